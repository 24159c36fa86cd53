// Signing up.
import { Link, useLocation } from "react-router";
import { useMutation } from "urql";
import { Field, Form } from "../components/form";
import { Heading } from "../components/page";
import { SignUpDocument } from "../graphql";
import { SubdomainField } from "../organizations/subdomain-field";
import { NewPasswordField } from "./new-password-field";
import { UntilSignedIn } from "./sign-in-page";

/** SignUpForm makes an account, for the invited address when there is an invitation. */
export function SignUpForm({
  invitation,
  done,
}: {
  invitation?: { email: string; token: string };
  done: () => void;
}) {
  const [, signUp] = useMutation(SignUpDocument);
  return (
    <Form
      send={({ email = "", password = "", firstName = "", lastName = "", subdomain }) =>
        signUp({
          input: {
            email,
            password,
            firstName,
            lastName,
            subdomain: subdomain || undefined,
            invitationToken: invitation?.token,
          },
        })
      }
      submit="Create the account"
      done={done}
    >
      <div className="pair">
        <Field name="firstName" label="First name" autoComplete="given-name" />
        <Field name="lastName" label="Last name" autoComplete="family-name" />
      </div>
      <Field
        name="email"
        label="Email address"
        type="email"
        autoComplete="username"
        defaultValue={invitation?.email}
        readOnly={invitation !== undefined}
      />
      <NewPasswordField name="password" label="Password" />
      <SubdomainField optional />
    </Form>
  );
}

/** SignUpPage makes an account with its first organization, and signs in. */
export function SignUpPage() {
  const { search } = useLocation();
  return (
    <UntilSignedIn>
      {(done) => (
        <>
          <Heading>Create an account</Heading>
          <p className="quiet">
            You get an organization of your own, in which you group instances and invite people.
          </p>
          <SignUpForm done={done} />
          <p>
            Already have an account? <Link to={`/sign-in${search}`}>Sign in</Link>
          </p>
        </>
      )}
    </UntilSignedIn>
  );
}

// Signing in.
import { Link, Navigate, useLocation, useSearchParams } from "react-router";
import { useMutation, useQuery } from "urql";
import { Field, Form } from "../components/form";
import { Heading } from "../components/page";
import { SignInDocument, ViewerDocument } from "../graphql";
import { useSession } from "../session";

/** SignInForm signs in; an address that is given cannot be changed. */
export function SignInForm({ email, done }: { email?: string; done: () => void }) {
  const [, signIn] = useMutation(SignInDocument);
  return (
    <Form
      send={({ email = "", password = "" }) => signIn({ input: { email, password } })}
      submit="Sign in"
      done={done}
    >
      <Field
        name="email"
        label="Email address"
        type="email"
        autoComplete="username"
        defaultValue={email}
        readOnly={email !== undefined}
      />
      <Field name="password" label="Password" type="password" autoComplete="current-password" />
    </Form>
  );
}

/** The path to go on to after signing in; addresses elsewhere are not followed. */
export function useNext(): string {
  const next = useSearchParams()[0].get("next") ?? "/";
  return /^\/(?![/\\])/.test(next) ? next : "/";
}

/** SignInPage signs in, and goes on to where the person wanted to go. */
export function SignInPage() {
  const next = useNext();
  const { search } = useLocation();
  const { renew } = useSession();
  const [{ data }] = useQuery({ query: ViewerDocument });
  if (data?.viewer) return <Navigate to={next} replace />;
  return (
    <section className="card">
      <Heading>Sign in</Heading>
      <SignInForm done={renew} />
      <p>
        <Link to="/forgot-password">Forgot your password?</Link>
      </p>
      <p>
        New here? <Link to={`/sign-up${search}`}>Create an account</Link>
      </p>
    </section>
  );
}

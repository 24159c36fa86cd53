// Signing in.
import { type ReactNode, useState } from "react";
import { Link, Navigate, useLocation, useSearchParams } from "react-router";
import { useMutation, useQuery } from "urql";
import { Field, Form } from "../components/form";
import { Failure, Heading, Loading } from "../components/page";
import { SignInDocument, ViewerDocument } from "../graphql";

/** SignInForm signs in; an address that is given cannot be changed. */
export function SignInForm({ email, done }: { email?: string; done?: () => void }) {
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
function useNext(): string {
  const next = useSearchParams()[0].get("next") ?? "/";
  // Browsers leave control characters out, and may then find another host.
  return /^\/(?![/\\])\P{Cc}*$/u.test(next) ? next : "/";
}

/**
 * UntilSignedIn shows a way to sign in, and goes on to where the person wanted to go. Its children get
 * the function to call when the server has signed in.
 */
export function UntilSignedIn({ children }: { children: (done: () => void) => ReactNode }) {
  const next = useNext();
  const [done, setDone] = useState(false);
  const [{ data, error, fetching }, again] = useQuery({ query: ViewerDocument });
  if (data?.viewer) return <Navigate to={next} replace />;
  if (done && fetching) return <Loading />;
  if (done && error)
    return <Failure error={error} again={() => again({ requestPolicy: "network-only" })} />;
  return <section className="card">{children(() => setDone(true))}</section>;
}

/** SignInPage signs in. */
export function SignInPage() {
  const { search } = useLocation();
  return (
    <UntilSignedIn>
      {(done) => (
        <>
          <Heading>Sign in</Heading>
          <SignInForm done={done} />
          <p>
            <Link to="/forgot-password">Forgot your password?</Link>
          </p>
          <p>
            New here? <Link to={`/sign-up${search}`}>Create an account</Link>
          </p>
        </>
      )}
    </UntilSignedIn>
  );
}

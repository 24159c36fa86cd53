// Asking for a mail with which to choose a new password.
import { useState } from "react";
import { Link } from "react-router";
import { useMutation } from "urql";
import { Field, Form } from "../components/form";
import { Heading } from "../components/page";
import { RequestPasswordResetDocument } from "../graphql";

/** ForgotPasswordPage has the mail sent; whether the address has an account is not told. */
export function ForgotPasswordPage() {
  const [, request] = useMutation(RequestPasswordResetDocument);
  const [requested, setRequested] = useState(false);
  return (
    <section className="card">
      <Heading>Forgot your password?</Heading>
      {requested ? (
        <p role="status">
          If the address has an account, a mail is on its way. Its link works once, for an hour.
        </p>
      ) : (
        <>
          <p className="quiet">We email you a link to choose a new one.</p>
          <Form
            send={({ email = "" }) => request({ input: { email } })}
            submit="Send the mail"
            done={() => setRequested(true)}
          >
            <Field name="email" label="Email address" type="email" autoComplete="username" />
          </Form>
        </>
      )}
      <p>
        <Link to="/sign-in">Back to signing in</Link>
      </p>
    </section>
  );
}

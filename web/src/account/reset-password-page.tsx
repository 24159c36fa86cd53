// Choosing a new password, from the link in a mail.
import { useState } from "react";
import { Link, useParams } from "react-router";
import { useMutation } from "urql";
import { Form } from "../components/form";
import { Heading } from "../components/page";
import { ResetPasswordDocument } from "../graphql";
import { useSession } from "../session";
import { NewPasswordField } from "./new-password-field";

/** ResetPasswordPage sets the password with the token in the address. */
export function ResetPasswordPage() {
  const { token = "" } = useParams();
  const { renew } = useSession();
  const [, reset] = useMutation(ResetPasswordDocument);
  const [done, setDone] = useState(false);
  return (
    <section className="card">
      <Heading>Choose a new password</Heading>
      {done ? (
        <>
          <p role="status">Your password is changed, and every session is signed out.</p>
          <p>
            <Link className="button primary" to="/sign-in">
              Sign in
            </Link>
          </p>
        </>
      ) : (
        <>
          <Form
            send={({ newPassword = "" }) => reset({ input: { token, newPassword } })}
            submit="Set the password"
            done={() => {
              setDone(true);
              renew();
            }}
          >
            <NewPasswordField />
          </Form>
          <p>
            Link no longer working? <Link to="/forgot-password">Get another one</Link>
          </p>
        </>
      )}
    </section>
  );
}

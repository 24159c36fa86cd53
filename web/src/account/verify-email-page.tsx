// Proving an address, from the link in a mail.
import { useState } from "react";
import { Link, useParams } from "react-router";
import { useMutation } from "urql";
import { Form } from "../components/form";
import { Heading } from "../components/page";
import { VerifyEmailDocument } from "../graphql";
import { useSession } from "../session";

/** VerifyEmailPage verifies on a click, not on opening: scanners of mails open links too. */
export function VerifyEmailPage() {
  const { token = "" } = useParams();
  const { renew } = useSession();
  const [, verify] = useMutation(VerifyEmailDocument);
  const [verified, setVerified] = useState<string>();
  return (
    <section className="card">
      <Heading>Verify your email address</Heading>
      {verified ? (
        <>
          <p role="status">{verified} is verified. You now see invitations to it.</p>
          <p>
            <Link className="button primary" to="/">
              Go on
            </Link>
          </p>
        </>
      ) : (
        <Form
          send={() => verify({ input: { token } })}
          submit="Verify my address"
          done={({ verifyEmail }) => {
            setVerified(verifyEmail.user.email);
            renew();
          }}
        />
      )}
    </section>
  );
}

// Proving an address, from the link in a mail.
import { useState } from "react";
import { Link, useParams } from "react-router";
import { useMutation, useQuery } from "urql";
import { Form } from "../components/form";
import { Heading } from "../components/page";
import { VerifyEmailDocument, ViewerDocument } from "../graphql";
import { useSession } from "../session";

/** VerifyEmailPage verifies on a click, not on opening: scanners of mails open links too. */
export function VerifyEmailPage() {
  const { token = "" } = useParams();
  const { renew } = useSession();
  const [, verify] = useMutation(VerifyEmailDocument);
  const [verified, setVerified] = useState<string>();
  const [{ data }] = useQuery({ query: ViewerDocument });
  const signedIn = data?.viewer?.user.email;
  return (
    <section className="card">
      <Heading>Verify your email address</Heading>
      {verified ? (
        <>
          <p role="status">
            {verified} is verified.{" "}
            {signedIn === verified
              ? "You now see invitations to it."
              : data &&
                `Sign in with it to see invitations to it${signedIn ? `: you are signed in as ${signedIn}` : ""}.`}
          </p>
          <p>
            <Link className="button primary" to="/">
              Go on
            </Link>
          </p>
        </>
      ) : (
        <>
          <Form
            send={() => verify({ input: { token } })}
            submit="Verify my address"
            done={({ verifyEmail }) => {
              setVerified(verifyEmail.user.email);
              renew();
            }}
          />
          <p>
            {data?.viewer?.emailVerified ? (
              "Your address is verified."
            ) : (
              <>
                Link no longer working? <Link to="/account">Get another one</Link>
              </>
            )}
          </p>
        </>
      )}
    </section>
  );
}

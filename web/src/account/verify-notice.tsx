// A word to people whose address is not verified yet.
import { useMutation } from "urql";
import { Form } from "../components/form";
import { ResendVerificationEmailDocument } from "../graphql";
import { useViewer } from "../session";

/** VerifyNotice offers the mail again to people who have not verified their address. */
export function VerifyNotice() {
  const { emailVerified, user } = useViewer();
  const [, resend] = useMutation(ResendVerificationEmailDocument);
  if (emailVerified) return null;
  return (
    <section className="card" aria-label="Verification">
      <p>
        Please verify <strong>{user.email}</strong> with the link in the mail that you got. Until
        then, you do not see invitations to it.
      </p>
      <Form send={() => resend({})} submit="Send the mail again" told="The mail is on its way." />
    </section>
  );
}

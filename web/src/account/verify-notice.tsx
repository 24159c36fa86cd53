// A word to people whose address is not verified yet.
import { useEffect } from "react";
import { useMutation } from "urql";
import { Form } from "../components/form";
import { ResendVerificationEmailDocument } from "../graphql";
import { useSession, useViewer } from "../session";

/** VerifyNotice offers the mail again to people who have not verified their address. */
export function VerifyNotice() {
  const { emailVerified, user } = useViewer();
  const { api } = useSession();
  const [, resend] = useMutation(ResendVerificationEmailDocument);
  useEffect(() => {
    if (emailVerified) return;
    // The link in the mail opens in another tab, and no event tells of it.
    const look = () => document.visibilityState === "visible" && api.refresh();
    document.addEventListener("visibilitychange", look);
    return () => document.removeEventListener("visibilitychange", look);
  }, [api, emailVerified]);
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

// Joining or declining an invitation that one sees after signing in.
import { useMutation } from "urql";
import { Form } from "../components/form";
import { AcceptInvitationDocument, DeclineInvitationDocument } from "../graphql";

/** AnswerInvitation is the two answers to an invitation. */
export function AnswerInvitation({
  id,
  organization,
  joined,
}: {
  /** Of the invitation, member_…. */
  id: string;
  organization: string;
  joined?: (subdomain: string) => void;
}) {
  const [, accept] = useMutation(AcceptInvitationDocument);
  const [, decline] = useMutation(DeclineInvitationDocument);
  return (
    <div className="actions">
      <Form
        send={() => accept({ input: { organizationUserId: id } })}
        submit="Join"
        label={`Join ${organization}`}
        told={`You have joined ${organization}.`}
        done={({ acceptInvitation }) =>
          joined?.(acceptInvitation.organizationUser.organization.subdomain)
        }
      />
      <Form
        send={() => decline({ input: { organizationUserId: id } })}
        submit="Decline"
        label={`Decline to join ${organization}`}
        quiet
        told={`You have declined to join ${organization}.`}
      />
    </div>
  );
}

import type { Organization } from "./organization-frame";

export function AnswerInvitation({ organization }: { organization: Organization }) {
  return <p>{organization.name}</p>;
}

import { Heading } from "../components/page";

export function InvitationPage() {
  return <Heading>Invitation</Heading>;
}

import { Heading } from "../components/page";

export function OrganizationsPage() {
  return <Heading>Organizations</Heading>;
}

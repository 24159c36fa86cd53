import { Heading } from "../components/page";

export function UsersPage() {
  return <Heading>Users</Heading>;
}

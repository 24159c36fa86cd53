import { Heading } from "../components/page";

export function ActivityPage() {
  return <Heading>Activity</Heading>;
}

import { Heading } from "../components/page";

export function InstancesPage() {
  return <Heading>Instances</Heading>;
}

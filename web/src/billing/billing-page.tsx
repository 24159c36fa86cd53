import { Heading } from "../components/page";

export function BillingPage() {
  return <Heading>Billing</Heading>;
}

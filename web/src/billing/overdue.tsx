// A word to owners, on each page of the organization, while a payment is overdue.
import { Link } from "react-router";
import { useMutation, useQuery } from "urql";
import { money } from "../components/figures";
import { Form } from "../components/form";
import { OverdueDocument, PayInvoiceDocument } from "../graphql";
import { useOrganization } from "../organizations/organization-frame";

/** Overdue tells what is overdue, and takes the payment. */
export function Overdue() {
  const { id, subdomain } = useOrganization();
  const [{ data }] = useQuery({ query: OverdueDocument, variables: { organizationId: id } });
  const [, pay] = useMutation(PayInvoiceDocument);
  const billing = data?.organization?.billing;
  if (billing?.status !== "PAYMENT_OVERDUE") return null;
  const open = [...billing.open.nodes, ...billing.uncollectible.nodes];
  const due = open.reduce((sum, { amountDue }) => sum + amountDue.amount, 0);
  const currency = open[0]?.amountDue.currency ?? "USD";

  const payAll = async () => {
    let answer: Awaited<ReturnType<typeof pay>> | undefined;
    for (const { id } of open) {
      answer = await pay({ input: { invoiceId: id } });
      if (answer.error) break;
    }
    return answer ?? {};
  };
  return (
    <section className="notice warning overdue" aria-label="Overdue payment">
      <p>
        <strong>
          A payment is overdue{open.length > 0 && `: ${money({ amount: due, currency })}`}.
        </strong>{" "}
        Until it is paid, nothing that costs money can be created or resized. You can{" "}
        <Link to={`/organizations/${subdomain}/billing`}>change the card</Link> first.
      </p>
      {open.length > 0 && <Form send={payAll} submit="Pay now" told="It is paid. Thank you." />}
    </section>
  );
}

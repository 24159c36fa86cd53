// The invoices of an organization.
import { useState } from "react";
import { useMutation, useQuery } from "urql";
import { money, When } from "../components/figures";
import { Form, Select } from "../components/form";
import { Answered, Empty, Loading } from "../components/page";
import { isEmpty, Pager, usePlace } from "../components/pager";
import {
  type InvoiceRow,
  type InvoiceStatus,
  InvoicesDocument,
  PayInvoiceDocument,
} from "../graphql";
import { useOrganization } from "../organizations/organization-frame";

const statuses: Record<InvoiceStatus, { told: string; badge: string }> = {
  DRAFT: { told: "Draft", badge: "badge" },
  OPEN: { told: "Open", badge: "badge warning" },
  PAID: { told: "Paid", badge: "badge good" },
  UNCOLLECTIBLE: { told: "Uncollectible", badge: "badge bad" },
  VOID: { told: "Void", badge: "badge" },
};

/** Invoices lists invoices, newest first. */
export function Invoices() {
  const { id } = useOrganization();
  const [status, setStatus] = useState<InvoiceStatus | "">("");
  const [place, setPlace] = usePlace(status);
  const query = useQuery({
    query: InvoicesDocument,
    variables: { organizationId: id, status: status || undefined, ...place },
  });
  return (
    <>
      <div className="heading">
        <h2>Invoices</h2>
        <div className="toolbar">
          <Select
            name="status"
            label="Status"
            value={status}
            onChange={(event) => setStatus(event.target.value as InvoiceStatus | "")}
          >
            <option value="">All</option>
            {Object.entries(statuses).map(([status, { told }]) => (
              <option key={status} value={status}>
                {told}
              </option>
            ))}
          </Select>
        </div>
      </div>
      <Answered query={query}>
        {({ organization }, fetching) => {
          const invoices = organization?.billing?.invoices;
          if (!invoices) return null;
          if (isEmpty(invoices)) return fetching ? <Loading /> : <Empty>There are none.</Empty>;
          return (
            <>
              <ul className="rows">
                {invoices.nodes.map((invoice) => (
                  <Row key={invoice.id} invoice={invoice} />
                ))}
              </ul>
              <Pager page={invoices.pageInfo} move={setPlace} />
            </>
          );
        }}
      </Answered>
    </>
  );
}

function Row({ invoice }: { invoice: InvoiceRow }) {
  const { told, badge } = statuses[invoice.status];
  const { number, createdAt, total, amountDue, lines, hostedUrl, pdfUrl } = invoice;
  const payable =
    amountDue.amount > 0 && (invoice.status === "OPEN" || invoice.status === "UNCOLLECTIBLE");
  return (
    <li>
      <details>
        <summary>
          {number ?? "Draft"} · <When at={createdAt} /> · <strong>{money(total)}</strong>{" "}
          <span className={badge}>{told}</span>
        </summary>
        <dl className="facts sums">
          {lines.map(({ description, amount }, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: lines have no ID, and never move
            <Sum key={index} label={description} amount={amount} />
          ))}
          <Sum label="Subtotal" amount={invoice.subtotal} strong />
          <Sum
            label="Discount"
            amount={{ ...invoice.discount, amount: 0 - invoice.discount.amount }} // -0 is "-$0.00"
          />
          <Sum label="Tax" amount={invoice.tax} />
          <Sum label="Total" amount={total} strong />
          <Sum label="Paid" amount={invoice.amountPaid} />
          <Sum label="Due" amount={amountDue} />
        </dl>
        <p className="actions">
          {hostedUrl && <a href={hostedUrl}>Show at Stripe</a>}
          {pdfUrl && <a href={pdfUrl}>Download</a>}
        </p>
      </details>
      {payable && <Pay invoice={invoice} />}
    </li>
  );
}

function Sum({
  label,
  amount,
  strong,
}: {
  label: string;
  amount: InvoiceRow["total"];
  strong?: boolean;
}) {
  return (
    <>
      <dt>{label}</dt>
      <dd>{strong ? <strong>{money(amount)}</strong> : money(amount)}</dd>
    </>
  );
}

function Pay({ invoice: { id, number, amountDue } }: { invoice: InvoiceRow }) {
  const [, pay] = useMutation(PayInvoiceDocument);
  return (
    <Form
      send={() => pay({ input: { invoiceId: id } })}
      submit={`Pay ${money(amountDue)}`}
      label={`Pay ${money(amountDue)} of ${number}`}
      told="It is paid. Thank you."
    />
  );
}

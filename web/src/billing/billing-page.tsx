// How an organization pays: the card, coupons and credit, the next bills, and the invoices. For owners.
import { useRef, useState } from "react";
import { useMutation, useQuery } from "urql";
import { money, When } from "../components/figures";
import { Field, Form } from "../components/form";
import { Answered, Heading } from "../components/page";
import {
  AddCouponDocument,
  BillingDocument,
  type BillingStatus,
  type BillingSummary,
  RemoveCardDocument,
} from "../graphql";
import { useOrganization } from "../organizations/organization-frame";
import { CardSetup } from "./card-setup";
import { Invoices } from "./invoices";

const statuses: Record<BillingStatus, { told: string; badge: string }> = {
  OK: { told: "Nothing is overdue", badge: "badge good" },
  PAYMENT_OVERDUE: { told: "Payment overdue", badge: "badge bad" },
};

/** BillingPage shows and changes how the organization pays. */
export function BillingPage() {
  const { id, name } = useOrganization();
  const query = useQuery({ query: BillingDocument, variables: { organizationId: id } });
  const status = query[0].data?.organization?.billing?.status;
  return (
    <>
      <Heading
        of={name}
        aside={status && <span className={statuses[status].badge}>{statuses[status].told}</span>}
      >
        Billing
      </Heading>
      <Answered query={query}>
        {({ organization }) =>
          organization?.billing && (
            <>
              <div className="cards">
                <Card card={organization.billing.card} />
                <Coupons
                  coupons={organization.billing.coupons}
                  credit={organization.billing.credit}
                />
                <Upcoming upcoming={organization.billing.upcomingInvoices} />
              </div>
              <Invoices />
            </>
          )
        }
      </Answered>
    </>
  );
}

function Card({ card }: { card: BillingSummary["card"] }) {
  const { id } = useOrganization();
  const [, remove] = useMutation(RemoveCardDocument);
  const [entering, setEntering] = useState(false);
  const opener = useRef<HTMLButtonElement>(null);
  return (
    <section className="card" aria-labelledby="card">
      <h2 id="card">Card</h2>
      {card ? (
        <p>
          <strong className="brand-name">{card.brand}</strong> ending in {card.last4}
          <br />
          <span className="quiet">
            expires {String(card.expMonth).padStart(2, "0")}/{card.expYear}
          </span>
        </p>
      ) : (
        <p className="quiet">There is none. Set one before you create what costs money.</p>
      )}
      <div className="actions">
        <button
          ref={opener}
          type="button"
          className={card || entering ? undefined : "primary"}
          aria-expanded={entering}
          onClick={() => setEntering(!entering)}
        >
          {card ? "Change the card" : "Set a card"}
        </button>
        {card && (
          <Form
            send={() => remove({ input: { organizationId: id } })}
            submit="Remove the card"
            quiet
            told="The card is removed."
          />
        )}
      </div>
      {entering && (
        // In no dialog: it would cover what Stripe shows above the page to have a bank ask its customer.
        <CardSetup
          done={() => {
            setEntering(false);
            opener.current?.focus();
          }}
        />
      )}
    </section>
  );
}

function Coupons({ coupons, credit }: Pick<BillingSummary, "coupons" | "credit">) {
  const { id } = useOrganization();
  const [, add] = useMutation(AddCouponDocument);
  return (
    <section className="card" aria-labelledby="coupons">
      <h2 id="coupons">Coupons and credit</h2>
      <p>
        Credit: <strong>{money(credit)}</strong>
        <br />
        <span className="quiet">It is spent before the card is charged.</span>
      </p>
      {coupons.length > 0 && (
        <ul className="plain-list">
          {coupons.map(({ id, code, name, amountOff, percentOff, expiresAt }) => (
            <li key={id}>
              <strong>{code}</strong> {name}
              <br />
              <span className="quiet">
                {amountOff && `${money(amountOff)} of credit`}
                {percentOff && `${percentOff} % off each invoice`}
                {expiresAt && (
                  <>
                    {" "}
                    until <When at={expiresAt} />
                  </>
                )}
              </span>
            </li>
          ))}
        </ul>
      )}
      <Form
        inline
        send={({ code = "" }) => add({ input: { organizationId: id, code } })}
        submit="Add"
        told="The coupon is added."
      >
        <Field
          name="code"
          label="Coupon code"
          autoComplete="off"
          autoCapitalize="characters"
          spellCheck={false}
        />
      </Form>
    </section>
  );
}

function Upcoming({ upcoming }: { upcoming: BillingSummary["upcomingInvoices"] }) {
  return (
    <section className="card" aria-labelledby="upcoming">
      <h2 id="upcoming">Next bills</h2>
      {upcoming.length === 0 && <p className="quiet">Nothing is due.</p>}
      {upcoming.map(({ interval, dueAt, total, lines }) => (
        <div key={interval}>
          <p>
            <strong>{money(total)}</strong> on <When at={dueAt} />, then each{" "}
            {interval.toLowerCase()}
          </p>
          <ul className="plain-list quiet">
            {lines.map(({ description, amount }) => (
              <li key={description}>
                {description}: {money(amount)}
              </li>
            ))}
          </ul>
        </div>
      ))}
    </section>
  );
}

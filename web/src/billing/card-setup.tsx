// Entering a card: in Stripe's own form, or in the sandbox by choosing a test card.
import { lazy, Suspense, useEffect, useState } from "react";
import { useMutation } from "urql";
import { Choices, Form } from "../components/form";
import { Failure, Loading } from "../components/page";
import { SetCardDocument, StartCardSetupDocument } from "../graphql";
import { useOrganization } from "../organizations/organization-frame";

const StripeForm = lazy(() => import("./stripe-form"));

/** The publishable key that stands for the server's sandbox instead of an account with Stripe. */
const sandboxKey = "pk_test_sandbox";

/** Stripe's test cards that the sandbox knows; see https://docs.stripe.com/testing. */
const testCards = [
  { value: "pm_card_visa", label: "Visa" },
  { value: "pm_card_mastercard", label: "Mastercard" },
  { value: "pm_card_chargeDeclined", label: "A card that is declined at once" },
  {
    value: "pm_card_chargeCustomerFail",
    label: "A card that is accepted, but whose payments fail",
  },
];

/** CardSetup asks the server how to enter a card, and has it entered. */
export function CardSetup({ done }: { done: () => void }) {
  const { id } = useOrganization();
  const [{ data, error }, start] = useMutation(StartCardSetupDocument);
  useEffect(() => void start({ input: { organizationId: id } }), [start, id]);
  if (error)
    return <Failure error={error} again={() => void start({ input: { organizationId: id } })} />;
  if (!data) return <Loading />;
  const setup = data.startCardSetup;
  if (setup.publishableKey === sandboxKey) return <TestCards done={done} />;
  return (
    <Suspense fallback={<Loading />}>
      <StripeForm {...setup} done={done} />
    </Suspense>
  );
}

function TestCards({ done }: { done: () => void }) {
  const { id } = useOrganization();
  const [, setCard] = useMutation(SetCardDocument);
  const [chosen, choose] = useState("pm_card_visa");
  return (
    <>
      <p className="quiet">
        This server has no account with Stripe: its sandbox stands in, and no card is ever charged.
      </p>
      <Form
        send={({ paymentMethodId = "" }) =>
          setCard({ input: { organizationId: id, paymentMethodId } })
        }
        submit="Set this card"
        told="The card is set."
        done={done}
      >
        <Choices
          name="paymentMethodId"
          label="Test card"
          choices={testCards}
          chosen={chosen}
          choose={choose}
        />
      </Form>
    </>
  );
}

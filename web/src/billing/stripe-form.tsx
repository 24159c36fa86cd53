// Stripe's own card form, in a frame of Stripe's: card numbers never reach this page or its server.
import type { Stripe, StripeElements } from "@stripe/stripe-js";
import { loadStripe } from "@stripe/stripe-js/pure";
import { useEffect, useRef, useState } from "react";
import { CombinedError, useMutation } from "urql";
import { Form } from "../components/form";
import { Loading } from "../components/page";
import { SetCardDocument } from "../graphql";
import { useOrganization } from "../organizations/organization-frame";

/** StripeForm has a card entered at Stripe, and makes it the organization's. */
export default function StripeForm({
  clientSecret,
  publishableKey,
  done,
}: {
  clientSecret: string;
  publishableKey: string;
  done: () => void;
}) {
  const { id } = useOrganization();
  const [, setCard] = useMutation(SetCardDocument);
  const frame = useRef<HTMLDivElement>(null);
  const [form, setForm] = useState<{ stripe: Stripe; elements: StripeElements }>();
  const [unreachable, setUnreachable] = useState(false);

  useEffect(() => {
    let closed = false;
    loadStripe(publishableKey).then(
      (stripe) => {
        if (closed || !stripe || !frame.current) return;
        const theme = matchMedia("(prefers-color-scheme: dark)").matches ? "night" : "stripe";
        const elements = stripe.elements({ clientSecret, appearance: { theme } });
        elements.create("payment").mount(frame.current);
        setForm({ stripe, elements });
      },
      () => setUnreachable(true),
    );
    return () => {
      closed = true;
    };
  }, [clientSecret, publishableKey]);

  const send = async () => {
    if (!form) return {};
    // Stripe rejects, rather than answers, when its form is not ready yet.
    const { error, setupIntent } = await form.stripe
      .confirmSetup({ elements: form.elements, redirect: "if_required" })
      .catch(() => ({ error: undefined, setupIntent: undefined }));
    // When the server could not take over what Stripe has, Stripe refuses to confirm it again.
    const taken = error?.setup_intent?.status === "succeeded" ? error.setup_intent : setupIntent;
    const method = taken?.payment_method;
    if (!method) {
      const message = error?.message ?? "Stripe did not accept the card. Please try again.";
      return {
        error: new CombinedError({
          graphQLErrors: [{ message, extensions: { code: "CARD_DECLINED" } }],
        }),
      };
    }
    const paymentMethodId = typeof method === "string" ? method : method.id;
    return setCard({ input: { organizationId: id, paymentMethodId } });
  };
  if (unreachable) {
    return (
      <p className="fault" role="alert">
        Stripe's card form cannot be loaded. Check your connection and any script blocker, and try
        again.
      </p>
    );
  }
  return (
    <Form send={send} submit="Set this card" disabled={!form} told="The card is set." done={done}>
      {!form && <Loading />}
      <div ref={frame} />
    </Form>
  );
}

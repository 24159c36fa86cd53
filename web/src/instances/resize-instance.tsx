// Resizing an instance.
import { useState } from "react";
import { useMutation } from "urql";
import { Form } from "../components/form";
import { Answered } from "../components/page";
import { type InstanceRow, ResizeInstanceDocument } from "../graphql";
import { PlanChoices, StorageSelect, Total, useCatalog } from "./plan-fields";

/** ResizeInstance asks for the new size. */
export function ResizeInstance({ instance, done }: { instance: InstanceRow; done: () => void }) {
  const query = useCatalog();
  const [, resize] = useMutation(ResizeInstanceDocument);
  const [plan, setPlan] = useState(instance.computePlan.id);
  const [storageGb, setStorageGb] = useState(instance.storageGb ?? undefined);
  const { storageResizableAt } = instance;
  const resizable = !storageResizableAt || new Date(storageResizableAt) <= new Date();
  return (
    <Answered query={query}>
      {({ catalog }) => (
        <Form
          send={() =>
            resize({
              input: {
                instanceId: instance.id,
                computePlanId: plan === instance.computePlan.id ? undefined : plan,
                storageGb: storageGb === instance.storageGb ? undefined : storageGb,
              },
            })
          }
          submit="Resize"
          disabled={
            plan === instance.computePlan.id && storageGb === (instance.storageGb ?? undefined)
          }
          done={done}
        >
          <PlanChoices catalog={catalog} type={instance.type} chosen={plan} choose={setPlan} />
          {storageGb !== undefined && (
            <StorageSelect
              catalog={catalog}
              from={instance.storageGb ?? 0}
              chosen={storageGb}
              choose={setStorageGb}
              disabled={!resizable}
              hint={
                resizable
                  ? "It can only grow, once in six hours."
                  : `It can be changed again at ${new Date(storageResizableAt).toLocaleTimeString("en-US", { timeStyle: "short" })}.`
              }
            />
          )}
          <Total catalog={catalog} plan={plan} storageGb={storageGb} />
          <p className="quiet">
            The difference for the rest of the {instance.interval.toLowerCase()} is charged, or
            added to the credit, at once.
          </p>
        </Form>
      )}
    </Answered>
  );
}

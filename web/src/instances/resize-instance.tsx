// Resizing an instance.
import { useState } from "react";
import { useMutation } from "urql";
import { When } from "../components/figures";
import { Form } from "../components/form";
import { Answered } from "../components/page";
import { type InstanceRow, ResizeInstanceDocument } from "../graphql";
import { PlanChoices, StorageSelect, Total, useCatalog } from "./plan-fields";

/** ResizeInstance asks for the new size. What is not chosen follows the instance: others resize it, too. */
export function ResizeInstance({ instance, done }: { instance: InstanceRow; done: () => void }) {
  const query = useCatalog();
  const [, resize] = useMutation(ResizeInstanceDocument);
  const [chosenPlan, setPlan] = useState<string>();
  const [chosenGb, setStorageGb] = useState(0);
  const { storageResizableAt } = instance;
  const resizable = !storageResizableAt || new Date(storageResizableAt) <= new Date();
  const plan = chosenPlan ?? instance.computePlan.id;
  const smallestGb = instance.storageGb ?? undefined;
  const storageGb = smallestGb && Math.max(smallestGb, resizable ? chosenGb : 0);
  return (
    <Answered query={query}>
      {({ catalog }) => (
        <Form
          send={() =>
            resize({
              input: {
                instanceId: instance.id,
                computePlanId: plan === instance.computePlan.id ? undefined : plan,
                storageGb: storageGb === smallestGb ? undefined : storageGb,
              },
            })
          }
          submit="Resize"
          told={`${instance.name} is being resized.`}
          disabled={plan === instance.computePlan.id && storageGb === smallestGb}
          done={done}
        >
          <PlanChoices catalog={catalog} type={instance.type} chosen={plan} choose={setPlan} />
          {storageGb !== undefined && (
            <StorageSelect
              catalog={catalog}
              from={smallestGb}
              chosen={storageGb}
              choose={setStorageGb}
              disabled={!resizable}
              hint={
                resizable ? (
                  "It can only grow, and once every six hours at most."
                ) : (
                  <>
                    It can be changed again after <When at={storageResizableAt} time />.
                  </>
                )
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

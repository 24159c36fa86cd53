// What the forms of instances share: the choice of a plan, of storage, and what it costs together.
import type { ReactNode } from "react";
import { Link } from "react-router";
import { useQuery } from "urql";
import { memory, money, price } from "../components/figures";
import { Choices, Select } from "../components/form";
import { BillingDocument, type Catalog, CatalogDocument, type InstanceType } from "../graphql";
import { useOrganization } from "../organizations/organization-frame";

type Offer = Catalog["catalog"];

/** useCatalog is the query for what there is and what it costs. */
export const useCatalog = () => useQuery({ query: CatalogDocument, requestPolicy: "cache-first" });

/** The plan to begin with. */
export const smallest = (catalog: Offer, type: InstanceType) =>
  catalog.computePlans.find((plan) => plan.type === type)?.id ?? "";

/** PlanChoices is the choice of memory. */
export function PlanChoices({
  catalog,
  type,
  chosen,
  choose,
}: {
  catalog: Offer;
  type: InstanceType;
  chosen: string;
  choose: (plan: string) => void;
}) {
  return (
    <Choices
      name="computePlanId"
      label="Memory"
      chosen={chosen}
      choose={choose}
      choices={catalog.computePlans
        .filter((plan) => plan.type === type)
        .map((plan) => ({
          value: plan.id,
          label: memory(plan.ramMb),
          aside: price(plan.price, plan.interval),
        }))}
    />
  );
}

/** StorageSelect is the choice of a size of storage, from a size on. */
export function StorageSelect({
  catalog,
  from = 0,
  chosen,
  choose,
  ...select
}: {
  catalog: Offer;
  from?: number;
  chosen: number;
  choose: (size: number) => void;
  disabled?: boolean;
  hint?: ReactNode;
}) {
  return (
    <Select
      {...select}
      name="storageGb"
      label="Storage"
      value={chosen}
      onChange={(event) => choose(Number(event.target.value))}
    >
      {catalog.storagePlans
        .filter(({ sizeGb }) => sizeGb >= from)
        .map(({ sizeGb, price }) => (
          <option key={sizeGb} value={sizeGb}>
            {sizeGb} GB – {price.amount === 0 ? "free" : `${money(price)} a month`}
          </option>
        ))}
    </Select>
  );
}

/** Total is what plan and storage cost together, and a word when there is no card to pay it with. */
export function Total({
  catalog,
  plan,
  storageGb,
}: {
  catalog: Offer;
  plan: string;
  storageGb?: number;
}) {
  const { id, subdomain } = useOrganization();
  const [{ data }] = useQuery({ query: BillingDocument, variables: { organizationId: id } });
  const compute = catalog.computePlans.find(({ id }) => id === plan);
  if (!compute) return null;
  const storage =
    catalog.storagePlans.find(({ sizeGb }) => sizeGb === storageGb)?.price.amount ?? 0;
  const amount = compute.price.amount + storage;
  const billing = data?.organization?.billing;
  return (
    <>
      <p className="total">
        Together <strong>{price({ ...compute.price, amount }, compute.interval)}</strong>
      </p>
      {amount > 0 && billing && !billing.card && (
        <p className="notice warning">
          This costs money: <Link to={`/organizations/${subdomain}/billing`}>set a card</Link>{" "}
          first.
        </p>
      )}
    </>
  );
}

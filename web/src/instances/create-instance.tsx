// Creating an instance in the cloud.
import { useState } from "react";
import { useMutation } from "urql";
import { Field, Form, Select } from "../components/form";
import { Answered } from "../components/page";
import { type Catalog, CreateInstanceDocument } from "../graphql";
import { useOrganization } from "../organizations/organization-frame";
import { PlanChoices, StorageSelect, smallest, Total, useCatalog } from "./plan-fields";

/** CreateInstance asks for what an instance is to be. */
export function CreateInstance({ done }: { done: () => void }) {
  return (
    <Answered query={useCatalog()}>
      {({ catalog }) => <CreateForm catalog={catalog} done={done} />}
    </Answered>
  );
}

function CreateForm({ catalog, done }: { catalog: Catalog["catalog"]; done: () => void }) {
  const { id, subdomain } = useOrganization();
  const [, create] = useMutation(CreateInstanceDocument);
  const [name, setName] = useState("");
  const [plan, setPlan] = useState(smallest(catalog, "CLOUD"));
  const [storageGb, setStorageGb] = useState(catalog.storagePlans[0]?.sizeGb ?? 0);
  return (
    <Form
      send={({ name = "", region = "", computePlanId = "" }) =>
        create({ input: { organizationId: id, name, region, computePlanId, storageGb } })
      }
      submit="Create"
      told="The instance is being created."
      done={done}
    >
      <Field
        name="name"
        label="Name"
        value={name}
        onChange={(event) => setName(event.target.value)}
        autoComplete="off"
        autoCapitalize="none"
        spellCheck={false}
        hint={
          <>
            It will be at{" "}
            <code>
              https://{name.trim().toLowerCase() || "c1"}-{subdomain}.harperdbcloud.com
            </code>
            .
          </>
        }
      />
      <Select name="region" label="Region">
        {catalog.regions.map((region) => (
          <option key={region.id} value={region.id}>
            {region.name}
          </option>
        ))}
      </Select>
      <PlanChoices catalog={catalog} type="CLOUD" chosen={plan} choose={setPlan} />
      <StorageSelect catalog={catalog} chosen={storageGb} choose={setStorageGb} />
      <Total catalog={catalog} plan={plan} storageGb={storageGb} />
    </Form>
  );
}

// Registering an instance that runs on somebody's own machine.
import { useState } from "react";
import { useMutation } from "urql";
import { Field, Form } from "../components/form";
import { Answered } from "../components/page";
import { type Catalog, RegisterInstanceDocument } from "../graphql";
import { useOrganization } from "../organizations/organization-frame";
import { PlanChoices, smallest, Total, useCatalog } from "./plan-fields";

/** RegisterInstance asks where the instance is, and for its plan. */
export function RegisterInstance({ done }: { done: () => void }) {
  return (
    <Answered query={useCatalog()}>
      {({ catalog }) => <RegisterForm catalog={catalog} done={done} />}
    </Answered>
  );
}

/** What is no port is sent as 0, which the server refuses at the field. */
const wholeNumber = (text = "") => (/^\d{1,5}$/.test(text.trim()) ? Number(text) : 0);

function RegisterForm({ catalog, done }: { catalog: Catalog["catalog"]; done: () => void }) {
  const { id } = useOrganization();
  const [, register] = useMutation(RegisterInstanceDocument);
  const [plan, setPlan] = useState(smallest(catalog, "USER_INSTALLED"));
  return (
    <Form
      send={({ name = "", host = "", port, ssl, computePlanId = "" }) =>
        register({
          input: {
            organizationId: id,
            name,
            host,
            port: wholeNumber(port),
            ssl: ssl === "on",
            computePlanId,
          },
        })
      }
      submit="Register"
      told="The instance is registered."
      done={done}
    >
      <Field name="name" label="Name" autoComplete="off" autoCapitalize="none" spellCheck={false} />
      <div className="pair">
        <Field
          name="host"
          label="Host"
          hint="A host name or an IP address."
          autoComplete="off"
          autoCapitalize="none"
          spellCheck={false}
        />
        <Field
          name="port"
          label="Port"
          inputMode="numeric"
          defaultValue="9925"
          autoComplete="off"
        />
      </div>
      <label className="choice">
        <input type="checkbox" name="ssl" defaultChecked />
        Its URL begins with https
      </label>
      <PlanChoices catalog={catalog} type="USER_INSTALLED" chosen={plan} choose={setPlan} />
      <Total catalog={catalog} plan={plan} />
    </Form>
  );
}

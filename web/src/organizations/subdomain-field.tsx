// The subdomain of an organization to be: what host names it will make, and whether it can be had.
import { useState } from "react";
import { useQuery } from "urql";
import { Field } from "../components/form";
import { useSettled } from "../components/settled";
import { SubdomainAvailabilityDocument, type SubdomainUnavailableReason } from "../graphql";

const reasons: Record<SubdomainUnavailableReason, string> = {
  INVALID: "Use 1 to 16 letters a-z and digits.",
  RESERVED: "This one is reserved. Please choose another.",
  TAKEN: "This one is taken. Please choose another.",
};

/** SubdomainField asks for a subdomain. */
export function SubdomainField({ optional = false }: { optional?: boolean }) {
  const [value, setValue] = useState("");
  const wanted = value.trim().toLowerCase();
  const subdomain = useSettled(wanted);
  const [{ data }] = useQuery({
    query: SubdomainAvailabilityDocument,
    variables: { subdomain },
    pause: subdomain === "",
  });
  const found = data?.subdomainAvailability;
  const told =
    found && found.subdomain === wanted && (found.reason ? reasons[found.reason] : "Available.");
  return (
    <Field
      name="subdomain"
      label={optional ? "Subdomain (optional)" : "Subdomain"}
      value={value}
      onChange={(event) => setValue(event.target.value)}
      autoComplete="off"
      autoCapitalize="none"
      spellCheck={false}
      hint={
        <>
          Your instances will be at <code>c1-{wanted || "demo"}.harperdbcloud.com</code>. It cannot
          be changed later.{" "}
          <strong role="status" className={found?.available ? "available" : undefined}>
            {told}
          </strong>
        </>
      }
    />
  );
}

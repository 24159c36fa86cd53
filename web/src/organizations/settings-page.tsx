// An organization's name, and leaving or deleting it.
import { useState } from "react";
import { useNavigate } from "react-router";
import { useMutation, useQuery } from "urql";
import { Dialog } from "../components/dialog";
import { When } from "../components/figures";
import { Field, Form } from "../components/form";
import { Answered, Heading } from "../components/page";
import {
  DeleteOrganizationDocument,
  DeletionBlockersDocument,
  LeaveOrganizationDocument,
  UpdateOrganizationDocument,
} from "../graphql";
import { useLeaving, useOrganization } from "./organization-frame";

/** SettingsPage is about the organization itself. */
export function SettingsPage() {
  const { name, subdomain, createdAt, viewerMembership } = useOrganization();
  return (
    <>
      <Heading of={name}>Settings</Heading>
      <section className="card">
        <h2>{name}</h2>
        <dl className="facts">
          <dt>Subdomain</dt>
          <dd>
            <code>{subdomain}</code>
          </dd>
          <dt>Since</dt>
          <dd>
            <When at={createdAt} />
          </dd>
          <dt>Your role</dt>
          <dd>{viewerMembership.isOwner ? "Owner" : "User"}</dd>
        </dl>
        {viewerMembership.isOwner && <Rename />}
      </section>
      <Leave />
      {viewerMembership.isOwner && <Delete />}
    </>
  );
}

function Rename() {
  const { id, name } = useOrganization();
  const [, update] = useMutation(UpdateOrganizationDocument);
  const [typed, setTyped] = useState<string>(); // until then, the field follows who else renames
  return (
    <Form
      inline
      send={({ name = "" }) => update({ input: { organizationId: id, name } })}
      submit="Rename"
      told="The organization is renamed."
      done={(_, sent) => setTyped((typed) => (typed === sent.name ? undefined : typed))}
    >
      <Field
        name="name"
        label="Name"
        value={typed ?? name}
        onChange={(event) => setTyped(event.target.value)}
        autoComplete="off"
      />
    </Form>
  );
}

function Leave() {
  const { id, name } = useOrganization();
  const [, leave] = useMutation(LeaveOrganizationDocument);
  const leaving = useLeaving();
  const navigate = useNavigate();
  return (
    <section className="card" aria-labelledby="leave">
      <h2 id="leave">Leave</h2>
      <p>You lose access to {name} at once. Only an owner can invite you again.</p>
      <div className="actions">
        <Dialog open="Leave…" title={`Leave ${name}?`}>
          {() => (
            <Form
              send={({ confirmName = "" }) =>
                leaving(leave({ input: { organizationId: id, confirmName } }))
              }
              submit="Leave"
              dangerous
              told={`You have left ${name}.`}
              done={() => void navigate("/organizations", { replace: true })}
            >
              <ConfirmName />
            </Form>
          )}
        </Dialog>
      </div>
    </section>
  );
}

function Delete() {
  const { id, name, subdomain } = useOrganization();
  const [, remove] = useMutation(DeleteOrganizationDocument);
  const leaving = useLeaving();
  const navigate = useNavigate();
  const query = useQuery({ query: DeletionBlockersDocument, variables: { organizationId: id } });
  return (
    <section className="card" aria-labelledby="delete">
      <h2 id="delete">Delete</h2>
      <p>
        For everybody, and for good. The subdomain <code>{subdomain}</code> is not given out again.
      </p>
      <Answered query={query}>
        {({ organization }) => {
          const blockers = organization?.deletionBlockers ?? [];
          return (
            <>
              {blockers.length > 0 && (
                <ul className="blockers">
                  {blockers.map(({ code, message }) => (
                    <li key={code}>{message}</li>
                  ))}
                </ul>
              )}
              <div className="actions">
                <Dialog open="Delete…" title={`Delete ${name}?`} disabled={blockers.length > 0}>
                  {() => (
                    <Form
                      send={({ confirmName = "" }) =>
                        leaving(remove({ input: { organizationId: id, confirmName } }))
                      }
                      submit="Delete"
                      dangerous
                      told={`${name} is deleted.`}
                      done={() => void navigate("/organizations", { replace: true })}
                    >
                      <ConfirmName />
                    </Form>
                  )}
                </Dialog>
              </div>
            </>
          );
        }}
      </Answered>
    </section>
  );
}

function ConfirmName() {
  const { name } = useOrganization();
  return <Field name="confirmName" label={`Type “${name}” to confirm`} autoComplete="off" />;
}

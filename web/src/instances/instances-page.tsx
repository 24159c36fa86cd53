// The instances of an organization, live.
import { useMutation, useQuery } from "urql";
import { Dialog } from "../components/dialog";
import { memory, price } from "../components/figures";
import { Field, Form } from "../components/form";
import { Answered, Empty, Heading } from "../components/page";
import { isEmpty, Pager, usePlace } from "../components/pager";
import {
  DeleteInstanceDocument,
  type InstanceRow,
  type InstanceStatus,
  InstancesDocument,
} from "../graphql";
import { useOrganization } from "../organizations/organization-frame";
import { CreateInstance } from "./create-instance";
import { RegisterInstance } from "./register-instance";
import { ResizeInstance } from "./resize-instance";

/** InstancesPage lists instances; owners change them. */
export function InstancesPage() {
  const { id, name, viewerMembership } = useOrganization();
  const [place, setPlace] = usePlace();
  const query = useQuery({ query: InstancesDocument, variables: { organizationId: id, ...place } });
  return (
    <>
      <Heading
        of={name}
        aside={
          viewerMembership.isOwner && (
            <div className="actions">
              <Dialog open="Register your own" title="Register an instance of your own">
                {(close) => <RegisterInstance done={close} />}
              </Dialog>
              <Dialog open="Create an instance" title="Create an instance" className="primary">
                {(close) => <CreateInstance done={close} />}
              </Dialog>
            </div>
          )
        }
      >
        Instances
      </Heading>
      <Answered query={query}>
        {({ organization }) => {
          if (!organization?.instances) return null;
          const { nodes, pageInfo } = organization.instances;
          if (isEmpty(organization.instances)) {
            return (
              <Empty>
                {viewerMembership.isOwner
                  ? "There are none yet. Create the first: one cloud instance is free."
                  : "There are none yet. Owners of the organization create them."}
              </Empty>
            );
          }
          return (
            <>
              {!viewerMembership.isOwner && (
                <p className="quiet">Owners of the organization create and change instances.</p>
              )}
              <ul className="rows">
                {nodes.map((instance) => (
                  <Row key={instance.id} instance={instance} />
                ))}
              </ul>
              <Pager page={pageInfo} move={setPlace} />
            </>
          );
        }}
      </Answered>
    </>
  );
}

function Row({ instance }: { instance: InstanceRow }) {
  const { viewerMembership } = useOrganization();
  const { name, url, type, region, computePlan, storageGb, interval } = instance;
  const settled = instance.status === "ACTIVE" || instance.status === "FAILED";
  return (
    <li>
      <div>
        <h2 className="name">
          {name} <Status status={instance.status} />
        </h2>
        <p>
          <a href={url} target="_blank" rel="noreferrer">
            {url}
          </a>
        </p>
        <p className="quiet">
          {type === "CLOUD" ? region?.name : "On your own machine"}
          {" · "}
          {memory(computePlan.ramMb)} memory
          {storageGb && ` · ${storageGb} GB storage`}
          {" · "}
          {price(instance.price, interval)}
        </p>
        {instance.status === "FAILED" && (
          <p className="wrong">Something went wrong; it is tried again automatically.</p>
        )}
      </div>
      {viewerMembership.isOwner && (
        <div className="actions">
          <Dialog
            open="Resize"
            label={`Resize ${name}`}
            title={`Resize ${name}`}
            disabled={!settled}
          >
            {(close) => <ResizeInstance instance={instance} done={close} />}
          </Dialog>
          <Delete instance={instance} disabled={!settled} />
        </div>
      )}
    </li>
  );
}

const statuses: Record<InstanceStatus, { told: string; badge: string; busy?: boolean }> = {
  CREATING: { told: "Creating", badge: "badge accent", busy: true },
  ACTIVE: { told: "Active", badge: "badge good" },
  UPDATING: { told: "Updating", badge: "badge accent", busy: true },
  DELETING: { told: "Deleting", badge: "badge warning", busy: true },
  FAILED: { told: "Failed", badge: "badge bad" },
};

function Status({ status }: { status: InstanceStatus }) {
  const { told, badge, busy } = statuses[status];
  return (
    <>
      <span className={badge}>{told}</span> {busy && <progress aria-label={told} />}
    </>
  );
}

function Delete({
  instance: { id, name, type },
  disabled,
}: {
  instance: InstanceRow;
  disabled: boolean;
}) {
  const [, remove] = useMutation(DeleteInstanceDocument);
  const verb = type === "CLOUD" ? "Delete" : "Deregister";
  return (
    <Dialog open={verb} label={`${verb} ${name}`} title={`${verb} ${name}?`} disabled={disabled}>
      {(close) => (
        <>
          <p>
            {type === "CLOUD"
              ? "Its data is gone for good."
              : "Studio forgets it; it goes on running on your machine, without a license."}{" "}
            What was paid for unused time becomes credit.
          </p>
          <Form
            send={({ confirmName = "" }) => remove({ input: { instanceId: id, confirmName } })}
            submit={verb}
            dangerous
            told={type === "CLOUD" ? `${name} is being deleted.` : `${name} is being deregistered.`}
            done={close}
          >
            <Field
              name="confirmName"
              label={`Type “${name}” to confirm`}
              autoComplete="off"
              autoCapitalize="none"
            />
          </Form>
        </>
      )}
    </Dialog>
  );
}

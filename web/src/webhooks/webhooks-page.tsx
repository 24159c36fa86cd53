// Where an organization has its events sent to. For owners.
import { useEffect, useState } from "react";
import { useMutation, useQuery } from "urql";
import { Dialog } from "../components/dialog";
import { When } from "../components/figures";
import { Field, Form } from "../components/form";
import { Answered, Empty, Heading } from "../components/page";
import { Secret } from "../components/secret";
import {
  CreateWebhookEndpointDocument,
  DeleteWebhookEndpointDocument,
  type EventType,
  RotateWebhookSecretDocument,
  TestWebhookEndpointDocument,
  UpdateWebhookEndpointDocument,
  type WebhookDeliveryRow,
  type WebhookDeliveryStatus,
  type WebhookEndpointCard,
  WebhookEndpointsDocument,
} from "../graphql";
import { useOrganization } from "../organizations/organization-frame";

/** How often it is asked how deliveries went that wait for their first or another attempt, in milliseconds: no event tells of it. */
const checks = { first: 2_000, another: 30_000 };

const events: Record<EventType, string> = {
  ORGANIZATION_CREATED: "Organization founded",
  ORGANIZATION_UPDATED: "Organization renamed",
  ORGANIZATION_DELETED: "Organization deleted",
  USER_INVITED: "User invited",
  INVITATION_RESENT: "Invitation resent",
  INVITATION_REVOKED: "Invitation revoked",
  INVITATION_ACCEPTED: "Invitation accepted",
  INVITATION_DECLINED: "Invitation declined",
  OWNER_ADDED: "Owner added",
  OWNER_REMOVED: "Owner removed",
  USER_REMOVED: "User removed",
  USER_LEFT: "User left",
  INSTANCE_CREATED: "Instance created",
  INSTANCE_UPDATED: "Instance changed",
  INSTANCE_DELETED: "Instance deleted",
  CARD_CHANGED: "Card changed",
  CARD_REMOVED: "Card removed",
  COUPON_ADDED: "Coupon added",
  INVOICE_CREATED: "Invoice created",
  INVOICE_PAID: "Invoice paid",
  PAYMENT_FAILED: "Payment failed",
  WEBHOOK_ENDPOINT_CREATED: "Webhook added",
  WEBHOOK_ENDPOINT_UPDATED: "Webhook changed",
  WEBHOOK_ENDPOINT_DELETED: "Webhook deleted",
};

const statuses: Record<WebhookDeliveryStatus, { told: string; badge: string }> = {
  PENDING: { told: "Waiting", badge: "badge" },
  DELIVERED: { told: "Delivered", badge: "badge good" },
  FAILED: { told: "Failed", badge: "badge bad" },
};

/** WebhooksPage lists webhook endpoints and how deliveries to them went; owners change them. */
export function WebhooksPage() {
  const { id, name } = useOrganization();
  const query = useQuery({ query: WebhookEndpointsDocument, variables: { organizationId: id } });
  const [{ data }, again] = query;
  const waiting = data?.organization?.webhookEndpoints
    ?.flatMap(({ deliveries }) => deliveries)
    .filter(({ status }) => status === "PENDING");
  const first = waiting?.some(({ attempts }) => attempts === 0);
  const check = first ? checks.first : waiting?.length ? checks.another : undefined;
  useEffect(() => {
    if (!check) return;
    const timer = setInterval(() => again({ requestPolicy: "network-only" }), check);
    return () => clearInterval(timer);
  }, [check, again]);
  return (
    <>
      <Heading
        of={name}
        aside={
          <Dialog open="Add an endpoint" title="Add an endpoint" className="primary">
            {(close) => <NewEndpoint close={close} />}
          </Dialog>
        }
      >
        Webhooks
      </Heading>
      <Answered query={query}>
        {({ organization }) =>
          organization?.webhookEndpoints?.length ? (
            organization.webhookEndpoints.map((endpoint) => (
              <EndpointCard key={endpoint.id} endpoint={endpoint} />
            ))
          ) : (
            <Empty>
              There are none. A webhook tells a program of yours what happens here as it happens,
              such as that a user joins or a payment fails. Add the URL at which it listens.
            </Empty>
          )
        }
      </Answered>
    </>
  );
}

function EndpointCard({ endpoint }: { endpoint: WebhookEndpointCard }) {
  const { id, url, eventTypes, createdAt, disabledAt, deliveries } = endpoint;
  const [, update] = useMutation(UpdateWebhookEndpointDocument);
  const [, test] = useMutation(TestWebhookEndpointDocument);
  const [, remove] = useMutation(DeleteWebhookEndpointDocument);
  const [shown, show] = useState(false);
  return (
    <section className="card" aria-labelledby={id}>
      <header className="heading">
        <h2 id={id} className="name">
          {url}
        </h2>
        <State endpoint={endpoint} />
      </header>
      <p className="quiet">
        {eventTypes ? eventTypes.map((type) => events[type]).join(", ") : "All events"} · added{" "}
        <When at={createdAt} />
      </p>
      <Trouble endpoint={endpoint} />
      <div className="actions">
        {!disabledAt && (
          <Form
            send={() => test({ input: { webhookEndpointId: id } })}
            submit="Send a test"
            label={`Send a test to ${url}`}
            quiet
            told="A test is on its way."
            done={() => show(true)}
          />
        )}
        <Form
          send={() => update({ input: { webhookEndpointId: id, enabled: !!disabledAt } })}
          submit={disabledAt ? "Enable" : "Disable"}
          label={`${disabledAt ? "Enable" : "Disable"} ${url}`}
          quiet
          told={
            disabledAt
              ? "The endpoint is enabled: what happens from now on is sent."
              : "The endpoint is disabled: nothing is sent there."
          }
        />
        <Dialog open="Edit" label={`Edit ${url}`} title="Edit the endpoint">
          {(close) => (
            <Form
              send={(values) => update({ input: { webhookEndpointId: id, ...inputOf(values) } })}
              submit="Save"
              told="The endpoint is changed."
              done={close}
            >
              <EndpointFields url={url} eventTypes={eventTypes} />
            </Form>
          )}
        </Dialog>
        <Dialog
          open="Rotate the secret"
          label={`Rotate the secret of ${url}`}
          title={`Rotate the secret of ${url}?`}
        >
          {(close) => <NewSecret id={id} close={close} />}
        </Dialog>
        <Dialog open="Delete" label={`Delete ${url}`} title={`Delete ${url}?`}>
          {(close) => (
            <>
              <p>Its deliveries are deleted, too. What has not arrived is not sent any more.</p>
              <Form
                send={() => remove({ input: { webhookEndpointId: id } })}
                submit="Delete it"
                dangerous
                told="The endpoint is deleted."
                done={close}
              />
            </>
          )}
        </Dialog>
      </div>
      <details open={shown} onToggle={(event) => show(event.currentTarget.open)}>
        <summary>Recent deliveries</summary>
        {deliveries.length === 0 && <p className="quiet">There are none.</p>}
        <ol className="plain-list">
          {deliveries.map((delivery) => (
            <Delivery key={delivery.id} delivery={delivery} />
          ))}
        </ol>
      </details>
    </section>
  );
}

function State({ endpoint: { disabledAt, failingSince } }: { endpoint: WebhookEndpointCard }) {
  if (disabledAt) return <span className={failingSince ? "badge bad" : "badge"}>Disabled</span>;
  if (failingSince) return <span className="badge warning">Failing</span>;
  return <span className="badge good">Enabled</span>;
}

/** Trouble tells since when and why nothing arrives; of what an owner disables, failures are forgotten. */
function Trouble({ endpoint: { disabledAt, failingSince } }: { endpoint: WebhookEndpointCard }) {
  if (!disabledAt && !failingSince) return null;
  return (
    <p className={failingSince ? "notice warning" : "quiet"}>
      {failingSince && (
        <>
          Nothing has arrived since <When at={failingSince} time />.{" "}
        </>
      )}
      {disabledAt ? (
        <>
          {failingSince ? "Studio" : "An owner"} disabled it on <When at={disabledAt} time />.
        </>
      ) : (
        "After 5 days of that, it is disabled."
      )}
    </p>
  );
}

function Delivery({ delivery }: { delivery: WebhookDeliveryRow }) {
  const { event, status, attempts, statusCode, error, nextAttemptAt, createdAt } = delivery;
  return (
    <li>
      <p>
        {event ? events[event.type] : "Test"}{" "}
        <span className={statuses[status].badge}>{statuses[status].told}</span>
      </p>
      <p className="quiet">
        <When at={createdAt} time />
        {statusCode && ` · answered ${statusCode}`}
        {error && ` · ${error}`}
        {` · ${attempts} ${attempts === 1 ? "attempt" : "attempts"}`}
        {nextAttemptAt && (
          <>
            {" · next attempt "}
            <When at={nextAttemptAt} time />
          </>
        )}
      </p>
    </li>
  );
}

/** What a form with EndpointFields sends. */
const inputOf = ({ url = "", ...chosen }: Record<string, string>) => ({
  url,
  eventTypes: Object.keys(chosen) as EventType[],
});

function EndpointFields({ url, eventTypes }: Partial<WebhookEndpointCard>) {
  return (
    <>
      <Field
        name="url"
        label="URL"
        type="url"
        defaultValue={url}
        hint="An https:// address on the public internet."
        autoComplete="off"
      />
      <details open={!!eventTypes}>
        <summary>Only some events</summary>
        <fieldset className="events">
          <legend className="hint">With none chosen, all are sent.</legend>
          {Object.entries(events).map(([type, told]) => (
            <label key={type}>
              <input
                type="checkbox"
                name={type}
                defaultChecked={eventTypes?.includes(type as EventType)}
              />{" "}
              {told}
            </label>
          ))}
        </fieldset>
      </details>
    </>
  );
}

function NewEndpoint({ close }: { close: () => void }) {
  const { id } = useOrganization();
  const [, create] = useMutation(CreateWebhookEndpointDocument);
  const [secret, setSecret] = useState<string>();
  if (secret) return <SigningSecret secret={secret} close={close} />;
  return (
    <Form
      send={(values) => create({ input: { organizationId: id, ...inputOf(values) } })}
      submit="Add"
      told="The endpoint is added."
      done={({ createWebhookEndpoint }) => setSecret(createWebhookEndpoint.secret)}
    >
      <EndpointFields />
    </Form>
  );
}

function NewSecret({ id, close }: { id: string; close: () => void }) {
  const [, rotate] = useMutation(RotateWebhookSecretDocument);
  const [secret, setSecret] = useState<string>();
  if (secret) return <SigningSecret secret={secret} close={close} />;
  return (
    <>
      <p>
        There will be a new one. For 24 hours, messages are signed with the old one as well: give
        the program the new one by then.
      </p>
      <Form
        send={() => rotate({ input: { webhookEndpointId: id } })}
        submit="Rotate it"
        told="The secret is rotated."
        done={({ rotateWebhookSecret }) => setSecret(rotateWebhookSecret.secret)}
      />
    </>
  );
}

function SigningSecret({ secret, close }: { secret: string; close: () => void }) {
  return (
    <Secret what="secret" value={secret} close={close}>
      <p>
        Each message is signed with it. {/* In a tab of its own: the secret would be lost. */}
        <a href="https://www.standardwebhooks.com" target="_blank" rel="noreferrer">
          standardwebhooks.com
        </a>{" "}
        has libraries with which the program verifies that, so that nobody else can send it any.
      </p>
    </Secret>
  );
}

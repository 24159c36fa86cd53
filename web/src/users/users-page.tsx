// Who belongs to an organization, and who is invited to it. For owners.
import { useEffect, useId, useState } from "react";
import { useMutation, useQuery } from "urql";
import { Dialog } from "../components/dialog";
import { When } from "../components/figures";
import { Field, Form } from "../components/form";
import { Answered, Empty, Heading, Loading } from "../components/page";
import { isEmpty, Pager, usePlace } from "../components/pager";
import { useSettled } from "../components/settled";
import { faultOf } from "../fault";
import {
  InvitationAcceptedDocument,
  InviteUserDocument,
  type MailDelivery,
  RemoveOrganizationUserDocument,
  ResendInvitationDocument,
  SetOrganizationOwnerDocument,
  type UserRow,
  UsersDocument,
} from "../graphql";
import { useLive } from "../live";
import { useLeaving, useOrganization } from "../organizations/organization-frame";

/** How often it is asked whether a mail has been sent, in milliseconds: no event tells of it. */
const mailCheck = 2_000;

/** UsersPage lists users and invitations, and changes by itself when somebody accepts. */
export function UsersPage() {
  const { id, name } = useOrganization();
  const [, invite] = useMutation(InviteUserDocument);
  const [searched, setSearched] = useState("");
  const search = useSettled(searched.trim());
  const [place, setPlace] = usePlace(search);
  const query = useQuery({
    query: UsersDocument,
    variables: { organizationId: id, search: search || undefined, ...place },
  });
  const [{ data }, again] = query;
  const waiting = data?.organization?.users?.nodes.some(
    (user) => user.invitationDelivery === "QUEUED",
  );
  useEffect(() => {
    if (!waiting) return;
    const timer = setInterval(() => again({ requestPolicy: "network-only" }), mailCheck);
    return () => clearInterval(timer);
  }, [waiting, again]);

  const [joined, setJoined] = useState<string[]>([]);
  useLive(id, {
    document: InvitationAcceptedDocument,
    variables: () => ({ organizationId: id }),
    received: ({ invitationAccepted: { id } }) => setJoined((before) => [...before, id]),
  });

  return (
    <>
      <Heading of={name}>Users</Heading>
      <section className="card" aria-labelledby="invite">
        <h2 id="invite">Invite somebody</h2>
        <Form
          inline
          send={({ email = "" }) => invite({ input: { organizationId: id, email } })}
          submit="Invite"
          told="The invitation is on its way."
          done={() => setSearched("")}
        >
          <Field
            name="email"
            label="Email address"
            type="email"
            autoComplete="off"
            hint="They get a mail with a link that works for 7 days."
          />
        </Form>
      </section>
      <div className="toolbar">
        <Field
          name="search"
          label="Search"
          type="search"
          value={searched}
          onChange={(event) => setSearched(event.target.value)}
        />
      </div>
      <Answered query={query}>
        {({ organization }, fetching) => {
          if (!organization?.users) return null;
          const { nodes, pageInfo } = organization.users;
          if (isEmpty(organization.users)) {
            return fetching ? (
              <Loading />
            ) : (
              <Empty>Nobody has “{search}” in their name or address.</Empty>
            );
          }
          return (
            <>
              <ul className="rows">
                {nodes.map((user) => (
                  <Row key={user.id} user={user} joined={joined.includes(user.id)} />
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

function Row({ user, joined }: { user: UserRow; joined: boolean }) {
  const { viewerMembership } = useOrganization();
  const pending = user.status === "INVITED";
  return (
    <li>
      <div>
        <h2 className="name">
          {user.user ? `${user.user.firstName} ${user.user.lastName}` : user.email}{" "}
          {user.id === viewerMembership.id && <span className="badge">You</span>}{" "}
          {joined && <span className="badge good">Just joined</span>}{" "}
          {user.status === "DECLINED" && <span className="badge bad">Declined</span>}{" "}
          {pending && <Pending user={user} />}
        </h2>
        {user.user && <p className="quiet">{user.email}</p>}
        {pending && user.invitationExpiresAt && (
          <p className="quiet">
            invited, until <When at={user.invitationExpiresAt} />
          </p>
        )}
      </div>
      <OwnerSwitch user={user} />
      <div className="actions">
        {pending && <Resend user={user} />}
        <Remove user={user} />
      </div>
    </li>
  );
}

const deliveries: Record<MailDelivery, { told: string; badge: string }> = {
  QUEUED: { told: "Mail waiting", badge: "badge" },
  SENT: { told: "Mail sent", badge: "badge good" },
  FAILED: { told: "Mail failed", badge: "badge bad" },
};

function Pending({ user: { invitationExpiresAt, invitationDelivery } }: { user: UserRow }) {
  if (!invitationExpiresAt || new Date(invitationExpiresAt) < new Date()) {
    return <span className="badge warning">Expired</span>;
  }
  const delivery = invitationDelivery && deliveries[invitationDelivery];
  return (
    <>
      <span className="badge warning">Invited</span>{" "}
      {delivery && <span className={delivery.badge}>{delivery.told}</span>}
    </>
  );
}

function OwnerSwitch({ user }: { user: UserRow }) {
  const { viewerMembership } = useOrganization();
  const [{ error, fetching }, setOwner] = useMutation(SetOrganizationOwnerDocument);
  const id = useId();
  const why =
    user.status === "ACCEPTED"
      ? error && faultOf(error).message
      : "Can be an owner once they have accepted.";
  const control = (change: (isOwner: boolean) => void) => (
    <label>
      <input
        type="checkbox"
        role="switch"
        aria-label={`Owner: ${user.email}`}
        aria-describedby={why && id}
        checked={user.isOwner}
        aria-checked={user.isOwner}
        disabled={user.status !== "ACCEPTED"}
        aria-disabled={fetching || undefined} // `disabled` would lose the focus
        onChange={({ target: { checked } }) => {
          if (!fetching) change(checked);
        }}
      />
      Owner
    </label>
  );
  return (
    <div className="owner">
      {user.id === viewerMembership.id ? (
        <Dialog open={control} title="Stop being an owner?">
          {(close) => <StepDown id={user.id} done={close} />}
        </Dialog>
      ) : (
        control((isOwner) => void setOwner({ input: { organizationUserId: user.id, isOwner } }))
      )}
      <p id={id} className={error ? "wrong" : "hint"} role={error && "alert"}>
        {why}
      </p>
    </div>
  );
}

/** StepDown asks first, as it cannot be taken back: only another owner can. */
function StepDown({ id, done }: { id: string; done: () => void }) {
  const { name } = useOrganization();
  const [, setOwner] = useMutation(SetOrganizationOwnerDocument);
  return (
    <>
      <p>
        You no longer see the users, the bills and the log of {name}. Only another owner can make
        you one again.
      </p>
      <Form
        send={() => setOwner({ input: { organizationUserId: id, isOwner: false } })}
        submit="Stop being an owner"
        dangerous
        told={`You are no longer an owner of ${name}.`}
        done={done}
      />
    </>
  );
}

function Resend({ user }: { user: UserRow }) {
  const [, resend] = useMutation(ResendInvitationDocument);
  return (
    <Form
      send={() => resend({ input: { organizationUserId: user.id } })}
      submit="Resend"
      label={`Resend the invitation to ${user.email}`}
      quiet
      told={`A new invitation to ${user.email} is on its way.`}
    />
  );
}

function Remove({ user }: { user: UserRow }) {
  const { viewerMembership } = useOrganization();
  const [, remove] = useMutation(RemoveOrganizationUserDocument);
  const leaving = useLeaving();
  const pending = user.status === "INVITED";
  return (
    <Dialog
      open={pending ? "Revoke" : "Remove"}
      label={`${pending ? "Revoke the invitation to" : "Remove"} ${user.email}`}
      title={pending ? `Revoke the invitation to ${user.email}?` : `Remove ${user.email}?`}
    >
      {(close) => (
        <>
          <p>
            {pending
              ? "The link in the mail stops working."
              : "They lose access at once. Their Studio account stays."}
          </p>
          <Form
            send={({ confirm = "" }) => {
              const removed = remove({ input: { organizationUserId: user.id, confirm } });
              return user.id === viewerMembership.id ? leaving(removed) : removed;
            }}
            submit={pending ? "Revoke" : "Remove"}
            dangerous
            told={
              pending ? `The invitation to ${user.email} is revoked.` : `${user.email} is removed.`
            }
            done={close}
          >
            <Field name="confirm" label="Type DELETE to confirm" autoComplete="off" />
          </Form>
        </>
      )}
    </Dialog>
  );
}

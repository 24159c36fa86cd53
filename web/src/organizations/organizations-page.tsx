// All organizations of a person, and the invitations to others.
import { useState } from "react";
import { Link, useNavigate } from "react-router";
import { useMutation, useQuery } from "urql";
import { VerifyNotice } from "../account/verify-notice";
import { Dialog } from "../components/dialog";
import { When } from "../components/figures";
import { Field, Form, Select } from "../components/form";
import { Answered, Empty, Heading, Loading } from "../components/page";
import { isEmpty, Pager, usePlace } from "../components/pager";
import { useSettled } from "../components/settled";
import {
  CreateOrganizationDocument,
  InvitationsDocument,
  type OrganizationOrder,
  type Organizations,
  OrganizationsDocument,
} from "../graphql";
import { AnswerInvitation } from "./answer-invitation";
import { SubdomainField } from "./subdomain-field";

const orders = {
  "Name, A to Z": { field: "NAME", direction: "ASC" },
  "Name, Z to A": { field: "NAME", direction: "DESC" },
  "Newest first": { field: "CREATED_AT", direction: "DESC" },
  "Oldest first": { field: "CREATED_AT", direction: "ASC" },
} satisfies Record<string, OrganizationOrder>;

type Order = keyof typeof orders;

/** OrganizationsPage lists the organizations that the person belongs to. */
export function OrganizationsPage() {
  const [searched, setSearched] = useState("");
  const search = useSettled(searched.trim());
  const [order, setOrder] = useState<Order>("Name, A to Z");
  const [place, setPlace] = usePlace(search + order);
  const query = useQuery({
    query: OrganizationsDocument,
    variables: { search: search || undefined, orderBy: orders[order], ...place },
  });
  return (
    <>
      <Heading
        aside={
          <Dialog
            open="Create a New Organization"
            title="Create a New Organization"
            className="primary"
          >
            {() => <Create />}
          </Dialog>
        }
      >
        Organizations
      </Heading>
      <VerifyNotice />
      <Invitations />
      <div className="toolbar">
        <Field
          name="search"
          label="Search"
          type="search"
          value={searched}
          onChange={(event) => setSearched(event.target.value)}
        />
        <Select
          name="order"
          label="Order"
          value={order}
          onChange={(event) => setOrder(event.target.value as Order)}
        >
          {Object.keys(orders).map((name) => (
            <option key={name}>{name}</option>
          ))}
        </Select>
      </div>
      <Answered query={query}>
        {({ viewer }, fetching) => {
          if (!viewer) return null;
          const { nodes, pageInfo } = viewer.organizations;
          if (isEmpty(viewer.organizations)) {
            return fetching ? (
              <Loading />
            ) : (
              <Empty>
                {search
                  ? `No organization has “${search}” in its name.`
                  : "You belong to no organization. Create one."}
              </Empty>
            );
          }
          return (
            <>
              <ul className="cards">
                {nodes.map((organization) => (
                  <Card key={organization.id} {...organization} />
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

type Organization = NonNullable<Organizations["viewer"]>["organizations"]["nodes"][number];

function Card({ name, subdomain, instanceCount, viewerMembership }: Organization) {
  return (
    <li className="card link">
      <h2>
        <Link to={`/organizations/${subdomain}`}>{name}</Link>
      </h2>
      <p className="quiet">
        <code>{subdomain}.harperdbcloud.com</code>
      </p>
      <p className="actions">
        <span className={viewerMembership.isOwner ? "badge accent" : "badge"}>
          {viewerMembership.isOwner ? "Owner" : "User"}
        </span>
        <span className="badge">
          {instanceCount === 1 ? "1 instance" : `${instanceCount ?? 0} instances`}
        </span>
      </p>
    </li>
  );
}

function Invitations() {
  const [{ data }] = useQuery({ query: InvitationsDocument });
  const navigate = useNavigate();
  const invitations = data?.viewer?.invitations ?? [];
  if (invitations.length === 0) return null;
  return (
    <section aria-labelledby="invitations">
      <h2 id="invitations">Invitations</h2>
      <ul className="rows">
        {invitations.map(({ id, organization, invitedBy, invitationExpiresAt }) => (
          <li key={id}>
            <div>
              <h3>{organization.name}</h3>
              <p className="quiet">
                {invitedBy && `${invitedBy.firstName} ${invitedBy.lastName} invites you`}
                {invitationExpiresAt && (
                  <>
                    , until <When at={invitationExpiresAt} />
                  </>
                )}
              </p>
            </div>
            <AnswerInvitation
              id={id}
              organization={organization.name}
              joined={(subdomain) => void navigate(`/organizations/${subdomain}`)}
            />
          </li>
        ))}
      </ul>
    </section>
  );
}

function Create() {
  const [, create] = useMutation(CreateOrganizationDocument);
  const navigate = useNavigate();
  return (
    <Form
      send={({ name = "", subdomain = "" }) => create({ input: { name, subdomain } })}
      submit="Create"
      told="The organization is yours."
      done={({ createOrganization }) =>
        void navigate(`/organizations/${createOrganization.organization.subdomain}`)
      }
    >
      <Field
        name="name"
        label="Name"
        hint="Up to 64 characters; it can be changed."
        autoComplete="organization"
      />
      <SubdomainField />
    </Form>
  );
}

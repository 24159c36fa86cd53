// What surrounds the pages of one organization. It follows the organization's events, so that each
// page in it is live.
import { createContext, type ReactNode, startTransition, useContext, useRef } from "react";
import { NavLink, Outlet, useNavigate, useParams } from "react-router";
import { useQuery } from "urql";
import { Overdue } from "../billing/overdue";
import { Answered, Empty, Heading } from "../components/page";
import { useToast } from "../components/toasts";
import { NotFound } from "../frame";
import {
  type Organization as OrganizationData,
  OrganizationDocument,
  OrganizationEventsDocument,
} from "../graphql";
import { useLive } from "../live";
import { useSession, useViewer } from "../session";
import { AnswerInvitation } from "./answer-invitation";

/** The organization of the page. */
export type Organization = NonNullable<OrganizationData["organizationBySubdomain"]>;

const OrganizationContext = createContext<Organization | null>(null);

/** The organization of the page. */
export function useOrganization(): Organization {
  const organization = useContext(OrganizationContext);
  if (!organization) throw new Error("outside of a page of an organization");
  return organization;
}

const LeavingContext = createContext({ current: false });

/** The function through which viewers end their own access, of which they are then not told as of what others do. */
export function useLeaving() {
  const leaving = useContext(LeavingContext);
  return async <Answer extends { error?: unknown }>(sent: Promise<Answer>) => {
    leaving.current = true;
    const answer = await sent;
    leaving.current = !answer.error;
    return answer;
  };
}

/** Follow announces what others do in the organization, and brings what pages show up to date. */
function Follow({ organization, children }: { organization: Organization; children: ReactNode }) {
  const viewer = useViewer();
  const toast = useToast();
  const navigate = useNavigate();
  const { renew } = useSession();
  const leaving = useRef(false);
  useLive(organization.id, {
    document: OrganizationEventsDocument,
    variables: (last) => ({
      organizationId: organization.id,
      after: last?.organizationEvents.cursor,
    }),
    received: ({ organizationEvents: { actor, summary } }) => {
      if (actor?.id !== viewer.user.id) toast(summary);
    },
    ended: ({ code }) => {
      if (code === "UNAUTHENTICATED") return; // signed out: what follows is signing in
      if (!leaving.current) toast(`You no longer have access to ${organization.name}.`);
      // In one go with the navigation, or the stream would be opened, and end, once more in between.
      startTransition(renew);
      void navigate("/organizations", { replace: true });
    },
  });
  return <LeavingContext value={leaving}>{children}</LeavingContext>;
}

function Tabs({
  organization: { name, subdomain, viewerMembership },
}: {
  organization: Organization;
}) {
  const base = `/organizations/${subdomain}`;
  return (
    <div className="tabs">
      <p>
        <strong>{name}</strong>
      </p>
      <nav aria-label={name}>
        <NavLink to={base} end>
          Instances
        </NavLink>
        {viewerMembership.isOwner && (
          <>
            <NavLink to={`${base}/users`}>Users</NavLink>
            <NavLink to={`${base}/billing`}>Billing</NavLink>
            <NavLink to={`${base}/activity`}>Activity</NavLink>
            <NavLink to={`${base}/webhooks`}>Webhooks</NavLink>
          </>
        )}
        <NavLink to={`${base}/settings`}>Settings</NavLink>
      </nav>
    </div>
  );
}

function Invited({ name, viewerMembership }: Organization) {
  return (
    <section className="card">
      <Heading>{name}</Heading>
      <p>You are invited to this organization.</p>
      <AnswerInvitation id={viewerMembership.id} organization={name} />
    </section>
  );
}

/** OwnersOnly surrounds the pages of an organization that only its owners see. */
export function OwnersOnly() {
  const { name, viewerMembership } = useOrganization();
  if (viewerMembership.isOwner) return <Outlet />;
  return (
    <>
      <Heading of={name}>For owners</Heading>
      <Empty>Only owners of the organization see this.</Empty>
    </>
  );
}

/** OrganizationFrame surrounds the pages of the organization whose subdomain is in the address. */
export function OrganizationFrame() {
  const { subdomain = "" } = useParams();
  const query = useQuery({ query: OrganizationDocument, variables: { subdomain } });
  return (
    <Answered query={query}>
      {({ organizationBySubdomain: organization }) => {
        if (!organization) return <NotFound />;
        if (organization.viewerMembership.status !== "ACCEPTED")
          return <Invited {...organization} />;
        return (
          // What is typed and turned to in one organization does not belong to another.
          <OrganizationContext value={organization} key={organization.id}>
            <Follow organization={organization}>
              <Tabs organization={organization} />
              {organization.viewerMembership.isOwner && <Overdue />}
              <Outlet />
            </Follow>
          </OrganizationContext>
        );
      }}
    </Answered>
  );
}

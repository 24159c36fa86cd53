// What surrounds the pages: for people who are signed in, a bar that leads everywhere, and a word when
// the connection is lost; for others, a plain one.
import { useEffect, useRef, useState } from "react";
import { Link, Navigate, NavLink, Outlet, useLocation } from "react-router";
import { useMutation, useQuery } from "urql";
import { Answered, Empty, Heading } from "./components/page";
import { Notice, useToast } from "./components/toasts";
import { faultOf } from "./fault";
import { InvitationReceivedDocument, SignOutDocument, ViewerDocument } from "./graphql";
import { useLive } from "./live";
import { useSession, type Viewer, ViewerContext } from "./session";

function Brand() {
  return (
    <Link className="brand" to="/">
      <img src="/favicon.svg" alt="" width="28" height="28" />
      Studio
    </Link>
  );
}

/** SkipLink leads past the bar, for people who use the keyboard. */
function SkipLink() {
  return (
    <a className="skip" href="#main">
      Skip to the content
    </a>
  );
}

/** SignedOut surrounds the pages that need no account. */
export function SignedOut() {
  return (
    <>
      <SkipLink />
      <header className="bar">
        <Brand />
      </header>
      <main id="main" className="narrow">
        <Outlet />
      </main>
    </>
  );
}

/** SignedIn surrounds the pages of people who are signed in, and leads others to signing in first. */
export function SignedIn() {
  const query = useQuery({ query: ViewerDocument });
  const { pathname, search } = useLocation();
  return (
    <Answered query={query}>
      {({ viewer }) =>
        viewer ? (
          // What is typed by one person does not belong to another.
          <ViewerContext value={viewer} key={viewer.id}>
            <Bar viewer={viewer} />
            <Lost />
            <main id="main">
              <Outlet />
            </main>
          </ViewerContext>
        ) : (
          <Navigate to={`/sign-in?next=${encodeURIComponent(pathname + search)}`} replace />
        )
      }
    </Answered>
  );
}

function Bar({ viewer }: { viewer: Viewer }) {
  const toast = useToast();
  useLive(viewer.emailVerified ? viewer.id : null, {
    document: InvitationReceivedDocument,
    variables: () => ({}),
    received: ({ invitationReceived: { invitedBy, organization } }) =>
      toast(
        `${invitedBy ? `${invitedBy.firstName} ${invitedBy.lastName}` : "Somebody"} invites you to ${organization.name}.`,
      ),
  });
  return (
    <>
      <SkipLink />
      <header className="bar">
        <Brand />
        <nav aria-label="Studio">
          <NavLink to="/organizations" end>
            All organizations
          </NavLink>
          <a href="/playground">Playground</a>
          <NavLink to="/account">
            {viewer.user.firstName} {viewer.user.lastName}
          </NavLink>
          <SignOut />
        </nav>
      </header>
    </>
  );
}

function SignOut() {
  const [, signOut] = useMutation(SignOutDocument);
  const toast = useToast();
  const leave = async () => {
    const { error } = await signOut({});
    if (error) toast(faultOf(error).message);
    else location.assign("/sign-in"); // nothing of the person stays in memory
  };
  return (
    <button type="button" className="plain" onClick={() => void leave()}>
      Sign out
    </button>
  );
}

/** Lost tells when live updates do not arrive, and when they do again. */
function Lost() {
  const { api } = useSession();
  const toast = useToast();
  const [lost, setLost] = useState(false);
  const was = useRef(false);
  useEffect(() => {
    setLost(false);
    was.current = false;
    return api.watch((connection) => {
      if (connection === "live" && was.current)
        toast("Connected again. What happened meanwhile is shown.");
      was.current = connection === "lost";
      setLost(was.current);
    });
  }, [api, toast]);
  return (
    lost && (
      <Notice>
        The connection to Studio is lost. What you see may be out of date; it is tried again
        automatically.
      </Notice>
    )
  );
}

/** NotFound shows at addresses where there is nothing, or nothing for this person. */
export function NotFound() {
  return (
    <>
      <Heading>Not found</Heading>
      <Empty>
        There is nothing here, or nothing that you may see. Go to{" "}
        <Link to="/organizations">all organizations</Link>.
      </Empty>
    </>
  );
}

/** Broken shows instead of everything when a page fails, also as a file of it has gone with an upgrade. */
export function Broken() {
  return (
    <main className="narrow">
      <Heading>Something went wrong</Heading>
      <div className="fault" role="alert">
        <p>This page cannot be shown. Try reloading it.</p>
        <button type="button" onClick={() => location.reload()}>
          Load again
        </button>
      </div>
    </main>
  );
}

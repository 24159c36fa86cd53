// Who is signed in, and the connection that they talk through.
import { createContext, type ReactNode, useContext, useEffect, useState } from "react";
import { Provider } from "urql";
import { type Api, connect } from "./client";
import type { Viewer as ViewerData } from "./graphql";

/** The signed-in person. */
export type Viewer = NonNullable<ViewerData["viewer"]>;

interface Session {
  api: Api;
  /** Starts over with nothing cached: after signing out, or when access has ended. */
  renew: () => void;
}

const SessionContext = createContext<Session | null>(null);

/** ViewerContext holds who is signed in, on pages that need it. */
export const ViewerContext = createContext<Viewer | null>(null);

/** Provides the session to all pages. */
export function SessionProvider({ children }: { children: ReactNode }) {
  const [api, setApi] = useState(() => connect(renew));
  function renew() {
    setApi(connect(renew));
  }
  useEffect(() => api.guard(), [api]);
  return (
    <SessionContext value={{ api, renew }}>
      <Provider value={api.client}>{children}</Provider>
    </SessionContext>
  );
}

/** The session; see Session. */
export function useSession(): Session {
  const session = useContext(SessionContext);
  if (!session) throw new Error("outside of SessionProvider");
  return session;
}

/** Who is signed in, on pages that only show then. */
export function useViewer(): Viewer {
  const viewer = useContext(ViewerContext);
  if (!viewer) throw new Error("outside of a page for people who are signed in");
  return viewer;
}

// The one way to the API: queries and mutations over HTTP, subscriptions over WebSocket, and a cache
// that holds each object once. The browser's session cookie says who is asking.
import { createClient as createSocket } from "graphql-ws";
import {
  type Client,
  createClient,
  fetchExchange,
  getOperationName,
  makeOperation,
  mapExchange,
  type Operation,
  subscriptionExchange,
} from "urql";
import { cache } from "./cache";
import { faultOf } from "./fault";
import { CallerDocument } from "./graphql";

/** Mutations that make what cannot be made twice: a second time, they would be told that it is there. */
const making = new Set(["CreateInstance", "CreateOrganization", "RegisterInstance"]);

/** For how many milliseconds an answer is waited for. None takes as long; then it is taken for lost. */
const answersWithin = 60_000;

/** For how many milliseconds the same is taken for what is sent again. Later, it may be wanted anew. */
const againWithin = 120_000;

/**
 * Gives what makes something an Idempotency-Key. When the answer is lost, or the server says to send it
 * again, the same mutation has the same key once more, so that it has one effect.
 */
function onceEach() {
  const unanswered = new Map<number, { idempotencyKey: string; since: number }>();
  return mapExchange({
    onOperation(operation) {
      const { kind, key, query, context } = operation;
      if (kind !== "mutation" || !making.has(getOperationName(query) ?? "")) return operation;
      let sent = unanswered.get(key);
      if (!sent || Date.now() - sent.since > againWithin) {
        // Not randomUUID, which browsers have over https only.
        const idempotencyKey = crypto.getRandomValues(new Uint32Array(4)).join("-");
        sent = { idempotencyKey, since: Date.now() };
        unanswered.set(key, sent);
      }
      const fetchOptions = { headers: { "Idempotency-Key": sent.idempotencyKey } };
      return makeOperation(kind, operation, { ...context, fetchOptions });
    },
    onResult({ operation, error }) {
      const later = error?.networkError ?? error?.graphQLErrors[0]?.extensions.retryAfter;
      if (later === undefined) unanswered.delete(operation.key);
    },
  });
}

/**
 * Asks again for what was answered after something changed that it may not know of: it was asked for before an
 * event or the answer to a mutation came, or twice, as the answers may come in either order.
 */
function upToDate(again: (query: Operation) => void) {
  /** Whether anything has changed since, by the query. */
  const asked = new Map<number, boolean>();
  return mapExchange({
    onOperation({ kind, key }) {
      if (kind === "query") asked.set(key, false);
      else asked.delete(key); // by a teardown, which has its query's key
    },
    onResult({ operation }) {
      if (operation.kind === "query") {
        if (asked.get(operation.key) !== false) again(operation);
        asked.delete(operation.key);
      } else {
        for (const key of asked.keys()) asked.set(key, true);
      }
    },
  });
}

/** Whether live updates arrive: "lost" until the server can be reached again. */
export type Connection = "idle" | "live" | "lost";

/** Where the tabs of a browser tell one another whose cookie they share: the ID of the viewer, or null. */
const cookie = new BroadcastChannel("cookie");

/** What a signed-in (or signed-out) browser talks through. Another caller gets a new one. */
export interface Api {
  client: Client;
  /** Tells of each change of the connection until the returned function is called. */
  watch(changed: (connection: Connection) => void): () => void;
  /**
   * Takes a stream for followed until the returned function is called. `reached` is told that the server is;
   * it tells whether the stream opens with that.
   */
  follow(reached: () => boolean): () => void;
  /** Asks again for all that shows. */
  refresh(): void;
  /** Asks who the caller is when the cookie may have become somebody else's, until the returned function is called. */
  guard(): () => void;
}

/**
 * Makes an Api; `renew` is called when somebody else is the caller, or nobody. It needs no closing: its
 * socket closes with the last stream that is followed.
 */
export function connect(renew: () => void): Api {
  const watchers = new Set<(connection: Connection) => void>();
  const tell = (connection: Connection) => {
    for (const changed of watchers) changed(connection);
  };
  const followers = new Set<() => boolean>();
  let viewerId: string | null | undefined;
  const learn = (id: string | null) => {
    if (viewerId === undefined) cookie.postMessage(id);
    else if (id !== viewerId) renew();
    viewerId = id;
  };
  const shown = new Map<number, Operation>();
  const again = (query: Operation) => {
    const context = { ...query.context, requestPolicy: "network-only" as const };
    client.reexecuteOperation(makeOperation("query", query, context));
  };
  const refresh = () => {
    for (const query of shown.values()) again(query);
  };
  const socket = createSocket({
    url: () => `${location.origin.replace(/^http/, "ws")}/graphql`,
    // Each stream is opened again by whoever follows it, with the cursor it has got to: see live.ts.
    retryAttempts: 0,
    keepAlive: 10_000,
    on: {
      connected: () => {
        const opens = [...followers].map((reached) => reached()).includes(true);
        tell("live");
        // No stream tells of what happened before its first event. Those that have waited open first.
        if (opens) queueMicrotask(refresh);
      },
      closed: (event) => {
        clearTimeout(overdue); // it would end the next connection
        tell((event as CloseEvent).code === 1000 || followers.size === 0 ? "idle" : "lost");
      },
      // The server is gone without a word: its pong is overdue.
      ping: (received) => {
        if (received) return;
        clearTimeout(overdue);
        overdue = setTimeout(() => socket.terminate(), 5_000);
      },
      pong: (received) => {
        if (received) clearTimeout(overdue);
      },
    },
  });
  let overdue: ReturnType<typeof setTimeout>;
  const client: Client = createClient({
    url: "/graphql",
    preferGetMethod: false,
    fetch: (url, { signal, ...init } = {}) => {
      const late = AbortSignal.timeout(answersWithin);
      return fetch(url, { ...init, signal: signal ? AbortSignal.any([signal, late]) : late });
    },
    requestPolicy: "cache-and-network",
    exchanges: [
      mapExchange({
        onOperation(operation) {
          if (operation.kind === "query") shown.set(operation.key, operation);
          else shown.delete(operation.key); // by a teardown, which has its query's key
        },
        onError(error) {
          if (faultOf(error).code === "UNAUTHENTICATED") renew();
        },
        onResult({ data }) {
          if (data?.signIn || data?.signUp) renew();
          if (data?.viewer !== undefined) learn(data.viewer?.id ?? null);
        },
      }),
      cache(),
      // The cache would keep the null in which an error ends up as what is so, and tell, say, that
      // nobody is signed in. A query that has failed anywhere has no data.
      mapExchange({
        onResult: (result) =>
          result.error && result.operation.kind === "query"
            ? { ...result, data: undefined }
            : result,
      }),
      upToDate(again),
      onceEach(),
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: ({ query = "", variables }) => ({
          subscribe: (sink) => ({
            unsubscribe: socket.subscribe(
              { query, variables: variables as Record<string, unknown> },
              sink,
            ),
          }),
        }),
      }),
    ],
  });
  return {
    client,
    watch(changed) {
      watchers.add(changed);
      return () => watchers.delete(changed);
    },
    follow(reached) {
      followers.add(reached);
      return () => {
        followers.delete(reached);
        if (followers.size === 0) tell("idle"); // nobody opens a connection that is lost again
      };
    },
    refresh,
    guard() {
      const over = new AbortController();
      // Only that: with a failure, what shows would be gone.
      const ask = () =>
        void client.query(CallerDocument, {}, { requestPolicy: "network-only" }).toPromise();
      // The Playground tells nobody, nor does the tab in which the link in a mail verifies an address.
      const look = () => document.visibilityState === "visible" && ask();
      document.addEventListener("visibilitychange", look, over);
      window.addEventListener("focus", look, over); // from a window beside it
      const compare = ({ data }: MessageEvent) => data !== viewerId && ask();
      cookie.addEventListener("message", compare, over);
      return () => over.abort();
    },
  };
}

// Live updates that survive what connections go through: a stream that ends is opened again, from
// where it was.
import { useEffect, useEffectEvent } from "react";
import type { AnyVariables, CombinedError, OperationResult, TypedDocumentNode } from "urql";
import { onEnd, pipe, type Source, subscribe, takeWhile } from "wonka";
import type { Api } from "./client";
import { type Fault, faultOf } from "./fault";
import { useSession } from "./session";

/** How long to wait before a stream is opened again, in milliseconds: twice as long each time. */
const patience = { first: 500, longest: 15_000 };

/** Codes of streams that the caller has no right to, or no longer. */
const rightless = new Set(["FORBIDDEN", "NOT_FOUND", "UNAUTHENTICATED", "EMAIL_UNVERIFIED"]);

/** Codes of cursors that the server does not know: they are too old, or of what a restored backup has undone. */
const forgotten = new Set(["CURSOR_EXPIRED", "INVALID_INPUT"]);

interface Follow<Data, Variables extends AnyVariables> {
  document: TypedDocumentNode<Data, Variables>;
  /** What to ask for, given the last answer, if there was one. */
  variables: (last: Data | undefined) => Variables;
  received: (data: Data) => void;
  /** The caller has no right to the stream any more. */
  ended?: (fault: Fault) => void;
}

/** Opens a stream again whenever it ends, until `over`; yields the fault of who has no right to it. */
async function followStream<Data>(
  api: Api,
  open: (last: Data | undefined) => Source<OperationResult<Data>>,
  received: (data: Data) => void,
  over: AbortSignal,
): Promise<Fault | undefined> {
  let last: Data | undefined;
  let failures = 0;
  let refused = false;
  let wake = () => {};
  const unfollow = api.follow(() => {
    if (!refused) wake();
    return !refused;
  });
  const works = () => {
    failures = 0;
    if (refused) api.refresh(); // it cannot make up for what happened meanwhile
    refused = false;
  };
  while (!over.aborted) {
    // Nothing tells that the server has accepted it, but a refusal does not take as long.
    const working = setTimeout(works, patience.longest);
    const error = await new Promise<CombinedError | undefined>((end) => {
      const stream = pipe(
        open(last),
        takeWhile(({ error }) => !error, true), // urql takes a stream with an error for one that goes on
        onEnd(() => end(undefined)),
        subscribe(({ data, error }) => {
          if (error) {
            end(error);
          } else if (data) {
            works();
            last = data;
            received(data);
          }
        }),
      );
      over.onabort = stream.unsubscribe;
    });
    clearTimeout(working);
    if (over.aborted) break;
    const fault = error && faultOf(error);
    if (fault && rightless.has(fault.code)) {
      unfollow();
      return fault;
    }
    if (fault && forgotten.has(fault.code)) last = undefined;
    refused = !!error?.graphQLErrors.length;
    await new Promise<void>((resolve) => {
      // Not all clients of a server that starts again come back in the same moment.
      const wait = Math.min(patience.first * 2 ** failures++, patience.longest);
      setTimeout(resolve, wait * (0.5 + Math.random() / 2));
      wake = resolve;
      over.onabort = () => resolve();
    });
  }
  unfollow();
}

/** Follows a subscription while the component shows and `key` stays the same; null follows nothing. */
export function useLive<Data, Variables extends AnyVariables>(
  key: string | null,
  follow: Follow<Data, Variables>,
) {
  const { api } = useSession();
  const variables = useEffectEvent(follow.variables);
  const received = useEffectEvent(follow.received);
  const ended = useEffectEvent((fault: Fault) => follow.ended?.(fault));
  const { document } = follow;

  useEffect(() => {
    if (key === null) return;
    const over = new AbortController();
    const open = (last: Data | undefined) => api.client.subscription(document, variables(last));
    void followStream(api, open, received, over.signal).then((fault) => fault && ended(fault));
    return () => over.abort();
  }, [api, document, key]);
}

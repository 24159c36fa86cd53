// Live updates that survive what connections go through: a stream that ends is opened again, from
// where it was.
import { useEffect, useEffectEvent } from "react";
import type { AnyVariables, TypedDocumentNode } from "urql";
import { onEnd, pipe, subscribe } from "wonka";
import { type Fault, faultOf } from "./fault";
import { useSession } from "./session";

/** How long to wait before a stream is opened again, in milliseconds: twice as long each time. */
const patience = { first: 500, longest: 15_000 };

/** Codes of streams that the caller has no right to, or no longer. */
const rightless = new Set(["FORBIDDEN", "NOT_FOUND", "UNAUTHENTICATED", "EMAIL_UNVERIFIED"]);

interface Follow<Data, Variables extends AnyVariables> {
  document: TypedDocumentNode<Data, Variables>;
  /** What to ask for, given the last answer, if there was one. */
  variables: (last: Data | undefined) => Variables;
  received: (data: Data) => void;
  /** The caller has no right to the stream any more. */
  ended?: (fault: Fault) => void;
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
    let last: Data | undefined;
    let failures = 0;
    let closed = false;
    let waiting = false;
    let stop = () => {};
    const again = (fault?: Fault) => {
      if (fault && rightless.has(fault.code)) {
        ended(fault);
        return;
      }
      // The cursor is too old, or of what a backup has undone.
      if (last && (fault?.code === "CURSOR_EXPIRED" || fault?.code === "INVALID_INPUT")) {
        last = undefined;
        open();
        api.refresh(); // no stream can make up for what happened meanwhile
        return;
      }
      // Not all clients of a server that starts again come back in the same moment.
      const wait = Math.min(patience.first * 2 ** failures++, patience.longest);
      const timer = setTimeout(open, wait * (0.5 + Math.random() / 2));
      waiting = true;
      stop = () => clearTimeout(timer);
    };
    const open = () => {
      let over = false;
      waiting = false;
      const end = (fault?: Fault) => {
        if (over || closed) return;
        over = true;
        again(fault);
      };
      const stream = pipe(
        api.client.subscription(document, variables(last)),
        onEnd(() => end()),
        subscribe(({ data, error }) => {
          if (error) {
            end(faultOf(error)); // urql takes a stream with an error for one that goes on
            stream.unsubscribe();
          } else if (data) {
            failures = 0;
            last = data;
            received(data);
          }
        }),
      );
      if (!over) stop = stream.unsubscribe;
    };
    const unfollow = api.follow(() => {
      failures = 0;
      if (!waiting) return;
      stop();
      open(); // before what shows is asked for again
    });
    open();
    return () => {
      closed = true;
      unfollow();
      stop();
    };
  }, [api, document, key]);
}

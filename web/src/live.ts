// Live updates that survive what connections go through: a stream that ends is opened again, from
// where it was.
import { useEffect, useEffectEvent } from "react";
import { type AnyVariables, type TypedDocumentNode, useClient } from "urql";
import { onEnd, pipe, subscribe } from "wonka";
import { type Fault, faultOf } from "./fault";

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
  /** Something may have been missed that the stream cannot make up for. */
  missed?: () => void;
}

/** Follows a subscription while the component shows and `key` stays the same; null follows nothing. */
export function useLive<Data, Variables extends AnyVariables>(
  key: string | null,
  follow: Follow<Data, Variables>,
) {
  const client = useClient();
  const variables = useEffectEvent(follow.variables);
  const received = useEffectEvent(follow.received);
  const ended = useEffectEvent((fault: Fault) => follow.ended?.(fault));
  const missed = useEffectEvent(() => follow.missed?.());
  const { document } = follow;

  useEffect(() => {
    if (key === null) return;
    let last: Data | undefined;
    let failures = 0;
    let stop = () => {};
    const open = () => {
      let fault: Fault | undefined;
      const stream = pipe(
        client.subscription(document, variables(last)),
        onEnd(() => {
          if (fault && rightless.has(fault.code)) {
            ended(fault);
            return;
          }
          if (!last || fault?.code === "CURSOR_EXPIRED") missed();
          if (fault?.code === "CURSOR_EXPIRED") last = undefined;
          // Not all clients of a server that starts again come back in the same moment.
          const wait = Math.min(patience.first * 2 ** failures++, patience.longest);
          const again = setTimeout(open, wait * (0.5 + Math.random() / 2));
          stop = () => clearTimeout(again);
        }),
        subscribe(({ data, error }) => {
          if (error) {
            fault = faultOf(error);
          } else if (data) {
            failures = 0;
            last = data;
            received(data);
          }
        }),
      );
      stop = stream.unsubscribe;
    };
    open();
    return () => stop();
  }, [client, document, key]);
}

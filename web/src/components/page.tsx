// What every page has: a heading, and something to show while there is nothing to show yet.
import { type ReactNode, useEffect, useRef, useState } from "react";
import { useNavigationType } from "react-router";
import type { CombinedError, UseQueryResponse } from "urql";
import { faultOf } from "../fault";

/** Heading names the page, for the tab of the browser too, and is where reading begins. */
export function Heading({
  children,
  of,
  aside,
}: {
  children: string;
  of?: string;
  aside?: ReactNode;
}) {
  const heading = useRef<HTMLHeadingElement>(null);
  const arrived = useNavigationType() !== "POP"; // by a link, rather than by opening the address
  useEffect(() => {
    if (arrived) heading.current?.focus({ preventScroll: true });
  }, [arrived]);
  return (
    <header className="heading">
      <title>{[children, of, "Studio"].filter(Boolean).join(" · ")}</title>
      <h1 ref={heading} tabIndex={-1}>
        {children}
      </h1>
      {aside}
    </header>
  );
}

/** useFocusKept goes on at the heading of the page, or dialog, when what had the focus is gone, such as a row of a list. */
export function useFocusKept() {
  useEffect(() => {
    let focused: Element | null = null;
    const over = new AbortController();
    const keep = () => {
      focused = document.activeElement;
    };
    const leave = () => {
      focused = null; // unless what is pressed takes the focus
    };
    const watch = new MutationObserver(() => {
      if (!focused || focused.isConnected || document.activeElement !== document.body) return;
      focused = document.querySelector("dialog:modal h2") ?? document.querySelector("h1");
      if (focused instanceof HTMLElement) focused.focus({ preventScroll: true });
    });
    document.addEventListener("focusin", keep, over);
    document.addEventListener("pointerdown", leave, over);
    watch.observe(document.body, { childList: true, subtree: true });
    return () => {
      over.abort();
      watch.disconnect();
    };
  }, []);
}

/** Loading stands for what is on its way. */
export function Loading() {
  return (
    <div className="loading" role="status">
      <span className="unseen">Loading…</span>
    </div>
  );
}

/** Empty tells that a list has nothing in it, and what to do about it. */
export function Empty({ children }: { children: ReactNode }) {
  return <p className="empty">{children}</p>;
}

/** Failure tells why something cannot be shown. */
export function Failure({ error, again }: { error: CombinedError; again: () => void }) {
  return (
    <div className="fault" role="alert">
      <p>{faultOf(error).message}</p>
      <button type="button" onClick={again}>
        Try again
      </button>
    </div>
  );
}

/**
 * Answered shows what a query has yielded, and before that, that it is on its way or has failed. While
 * something else is asked for, its children get what there was before.
 */
export function Answered<Data>({
  query: [{ data, error, operation, fetching }, again],
  children,
}: {
  // biome-ignore lint/suspicious/noExplicitAny: whatever the query's variables are
  query: UseQueryResponse<Data, any>;
  children: (data: Data, fetching: boolean) => ReactNode;
}) {
  // While it is asked for again, the page stays as it was, with what is open or typed on it. It stays
  // below the error, too, when that fails; but not when something else was asked for.
  const [last, setLast] = useState({ data, key: operation?.key });
  if (data && data !== last.data) setLast({ data, key: operation?.key });
  const shown = data ?? (error && operation?.key !== last.key ? undefined : last.data);
  return (
    <>
      {error && <Failure error={error} again={() => again({ requestPolicy: "network-only" })} />}
      {shown ? children(shown, fetching) : !error && <Loading />}
    </>
  );
}

// Pages of long lists.
import { useState } from "react";
import type { Page } from "../graphql";

/** How many entries a page has. */
const size = 20;

/** The page to ask for. */
export type Place = { first: number; after?: string } | { last: number; before?: string };

/** usePlace keeps the page of a list that is shown; another list, by its key, begins with its first. */
export function usePlace(list = "") {
  const [shown, show] = useState<{ list: string; place: Place }>({ list, place: { first: size } });
  const place: Place = shown.list === list ? shown.place : { first: size };
  return [place, (place: Place) => show({ list, place })] as const;
}

const alone = (page: Page) => !page.hasNextPage && !page.hasPreviousPage;

/** Whether a list has nothing in it. Of a list with more pages, one may have lost all its entries. */
export const isEmpty = ({ nodes, pageInfo }: { nodes: unknown[]; pageInfo: Page }) =>
  nodes.length === 0 && alone(pageInfo);

/** Pager leads to the next and the previous page, where there are any. */
export function Pager({ page, move }: { page: Page; move: (place: Place) => void }) {
  if (alone(page)) return null;
  const turn = (there: boolean, place: Place) => {
    if (!there) return;
    move(place);
    scrollTo({ top: 0 });
  };
  return (
    <nav className="pager" aria-label="Pages">
      <button
        type="button"
        aria-disabled={!page.hasPreviousPage} // `disabled` would lose the focus
        onClick={() =>
          turn(page.hasPreviousPage, { last: size, before: page.startCursor ?? undefined })
        }
      >
        Previous
      </button>
      <button
        type="button"
        aria-disabled={!page.hasNextPage}
        onClick={() => turn(page.hasNextPage, { first: size, after: page.endCursor ?? undefined })}
      >
        Next
      </button>
    </nav>
  );
}

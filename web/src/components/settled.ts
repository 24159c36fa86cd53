// Typing, as a whole: what is typed is asked for when the keys rest.
import { useEffect, useState } from "react";

/** How long the keys must rest, in milliseconds. */
const pause = 250;

/** useSettled is a value that has not changed for a moment, so that not every key asks the server. */
export function useSettled(value: string): string {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(setSettled, pause, value);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}

// Amounts and times, as people read them.
import type { Amount, BillingInterval } from "../graphql";

/** An amount of money, for example $19.99. */
export function money({ amount, currency }: Amount): string {
  const format = new Intl.NumberFormat("en-US", { style: "currency", currency });
  return format.format(amount / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 2));
}

/** A price for an interval, for example $19.99 a month; free when it is nothing. */
export function price(amount: Amount, interval: BillingInterval): string {
  return amount.amount === 0 ? "free" : `${money(amount)} a ${interval.toLowerCase()}`;
}

/** Memory, for example 2 GB. */
export const memory = (megabytes: number): string => `${megabytes / 1024} GB`;

const day = new Intl.DateTimeFormat("en-US", { dateStyle: "medium" });
const minute = new Intl.DateTimeFormat("en-US", { dateStyle: "medium", timeStyle: "short" });

/** When shows an instant, to the day or with its time of day. */
export function When({ at, time = false }: { at: string; time?: boolean }) {
  const date = new Date(at);
  return (
    <time dateTime={at} title={minute.format(date)}>
      {(time ? minute : day).format(date)}
    </time>
  );
}

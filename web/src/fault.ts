// What went wrong, in the API's own words.
import type { CombinedError } from "urql";
import type { ErrorCode } from "./graphql";

/** An error as a person is to see it. */
export interface Fault {
  code: ErrorCode;
  message: string;
  /** The input value it is about, such as "email"; absent when it is about the whole. */
  field?: string;
}

/** The first of the errors of an answer; what is no answer at all is UNAVAILABLE. */
export function faultOf(error: CombinedError): Fault {
  const first = error.graphQLErrors[0];
  if (!first) {
    return {
      code: "UNAVAILABLE",
      message: "The server cannot be reached. Please try again in a moment.",
    };
  }
  const { code, field } = first.extensions as { code?: ErrorCode; field?: string };
  return { code: code ?? "INTERNAL", message: first.message, field: field?.split(".").pop() };
}

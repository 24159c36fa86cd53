// What each mutation and each event makes stale. An object that an answer holds is brought up to date
// by itself, through its ID; what is listed here are the lists and sums that do not come with it.
// Whatever shows something stale asks for it again.
import { type Cache, cacheExchange, type UpdateResolver } from "@urql/exchange-graphcache";
import type { OrganizationEvents } from "./graphql";

type LoggedEvent = OrganizationEvents["organizationEvents"];

/** Makes lists of an organization stale, on whichever page and sorted however. */
function staleLists(cache: Cache, organizationId: string, ...lists: string[]) {
  const organization = { __typename: "Organization", id: organizationId };
  for (const { fieldName, fieldKey } of cache.inspectFields(organization)) {
    if (lists.includes(fieldName)) cache.invalidate(organization, fieldKey);
  }
}

/** Makes what changes with each change of an organization stale, by the first word of what it was. */
function changed(cache: Cache, organizationId: string, what: string) {
  switch (what) {
    case "USER":
    case "INVITATION":
    case "OWNER":
      staleLists(cache, organizationId, "users");
      break;
    case "INSTANCE":
      staleLists(cache, organizationId, "instances", "instanceCount");
      cache.invalidate("Billing");
      break;
    case "CARD":
    case "COUPON":
    case "INVOICE":
    case "PAYMENT":
      cache.invalidate("Billing");
      break;
  }
  // Each event is sent to the webhook endpoints, too.
  staleLists(cache, organizationId, "events", "deletionBlockers", "webhookEndpoints");
}

/** A mutation with the organization's ID in its input. */
const within =
  (what: string): UpdateResolver =>
  (_, args, cache) =>
    changed(cache, (args.input as { organizationId: string }).organizationId, what);

/** A mutation that ends an object whose ID its input holds. */
const end =
  (type: string, id: string): UpdateResolver =>
  (_, args, cache) =>
    cache.invalidate({ __typename: type, id: (args.input as Record<string, string>)[id] ?? null });

/** A mutation that changes what the caller has: organizations, invitations, sessions, tokens. */
const mine: UpdateResolver = (_, __, cache) => cache.invalidate("Query", "viewer");

/** A mutation that ends what the caller has. */
const left =
  (type: string, id: string): UpdateResolver =>
  (...change) => {
    end(type, id)(...change);
    mine(...change);
  };

/** Without an ID, an object is part of the one that holds it. */
const part = () => null;

/** The cache of one caller. */
export const cache = () =>
  cacheExchange({
    keys: {
      Card: part,
      Catalog: part,
      DeletionBlocker: part,
      InvitationPreview: part,
      InvoiceLine: part,
      Money: part,
      PageInfo: part,
      StoragePlan: part,
      SubdomainAvailability: part,
      UpcomingInvoice: part,
    },
    updates: {
      Mutation: {
        acceptInvitation: mine,
        addCoupon: within("COUPON"),
        changePassword: mine,
        createApiToken: mine,
        createInstance: within("INSTANCE"),
        createOrganization: mine,
        createWebhookEndpoint: within("WEBHOOK"),
        declineInvitation: left("OrganizationUser", "organizationUserId"),
        deleteInstance: end("Instance", "instanceId"),
        deleteOrganization: left("Organization", "organizationId"),
        deleteWebhookEndpoint: end("WebhookEndpoint", "webhookEndpointId"),
        inviteUser: within("USER"),
        leaveOrganization: left("Organization", "organizationId"),
        payInvoice: (_, __, cache) => cache.invalidate("Billing"),
        registerInstance: within("INSTANCE"),
        removeCard: within("CARD"),
        removeOrganizationUser: end("OrganizationUser", "organizationUserId"),
        resizeInstance: (_, __, cache) => cache.invalidate("Billing"),
        revokeApiToken: end("ApiToken", "apiTokenId"),
        revokeSession: end("Session", "sessionId"),
        setCard: within("CARD"),
        testWebhookEndpoint: (_, __, cache) => cache.invalidate("WebhookEndpoint"),
        updateOrganization: mine,
        verifyEmail: mine,
      },
      Subscription: {
        invitationReceived: mine,
        organizationEvents(result, _, cache) {
          const { organization, type } = result.organizationEvents as LoggedEvent;
          if (organization) changed(cache, organization.id, type.slice(0, type.indexOf("_")));
        },
      },
    },
  });

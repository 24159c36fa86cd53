// The Playground, as somebody meets the API through it for the first time. Each test goes on where
// the one before has ended.
import { readFileSync } from "node:fs";
import { buildSchema, parse, validate } from "graphql";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { operations } from "../src/playground/operations";
import { launch, Server, type Visitor, visit } from "./studio";

/** What GraphiQL writes and no setting changes. */
const beyondUs = [
  ".graphiql-tab", // holds the button that closes it, though a tab may hold no button
  ".graphiql-history-item-label", // named for what it does, and not by what it says
  ".graphiql-explorer-actions", // its choice has no name but the text beside it
];

let server: Server;
let browser: Browser;
let owner: Visitor;
let organizationId: string;

beforeAll(async () => {
  server = await Server.start();
  browser = await launch();
  owner = await visit(browser, server);
});

afterEach(() => owner.content());

afterAll(async () => {
  await browser?.close();
  await server?.remove();
});

const button = (page: Page, name: string | RegExp) => page.getByRole("button", { name });

/** Opens the Playground. A tab that is opened before GraphiQL has read the first would get its text. */
async function begin(visitor: Visitor) {
  const { page } = visitor;
  await visitor.open("/playground");
  await page.getByText("which signs you in as well").waitFor();
  await page.waitForFunction(() => {
    const { tabs, activeTabIndex } = JSON.parse(localStorage["graphiql:tabState"] ?? "{}");
    return tabs?.[activeTabIndex].operationName === "SignUp";
  });
}

/** Opens the tab of an operation. GraphiQL runs it only when it has read it, and then keeps it. */
async function choose(page: Page, name: string) {
  await page.getByRole("tab", { name }).getByRole("button", { name, exact: true }).click();
  await page.waitForFunction((name) => {
    const { tabs, activeTabIndex } = JSON.parse(localStorage["graphiql:tabState"] ?? "{}");
    return tabs?.[activeTabIndex].title === name;
  }, name);
}

/** Types into one of the two editors below the operation, in place of what is there. */
async function fill(page: Page, editor: "Variables" | "Headers", values: object) {
  await button(page, editor).click();
  const region = page.getByRole("region", { name: editor });
  await region.locator(".view-lines").filter({ visible: true }).click();
  await page.keyboard.press("ControlOrMeta+A");
  await page.keyboard.press("Delete");
  await page.keyboard.insertText(JSON.stringify(values));
  await page.keyboard.press("ControlOrMeta+Shift+End"); // brackets that the editor has closed itself
  await page.keyboard.press("Delete");
}

const run = (page: Page) => button(page, "Execute query").click();

/** What the answer says; the editor writes other spaces than were sent. */
const answer = async (page: Page) => {
  const lines = page.getByRole("region", { name: "Result Window" }).locator(".view-line");
  return (await lines.allTextContents()).join("\n").replaceAll("\u00a0", " ");
};

const answers = (page: Page, text: string | RegExp) =>
  expect.poll(() => answer(page)).toMatch(text);

/** Runs a subscription until the server has been asked for it: the first thing that was sent. */
async function follow(page: Page): Promise<string | undefined> {
  const sent: string[] = [];
  page.once("websocket", (socket) =>
    socket.on("framesent", ({ payload }) => sent.push(String(payload))),
  );
  await run(page);
  await expect.poll(() => sent.join()).toContain(`"type":"subscribe"`);
  return sent[0];
}

/** Accepts an invitation as another client. */
async function accept(email: string, firstName: string) {
  const token = (await server.link(email, "/invitations/")).split("/").at(-1);
  await server.ask(
    `mutation ($email: String!, $firstName: String!, $token: String!) {
      signUp(input: {
        email: $email, password: "another horse battery", firstName: $firstName, lastName: "Member"
        invitationToken: $token
      }) { viewer { id } }
    }`,
    { email, firstName, token },
  );
}

describe("Its operations", () => {
  const schema = buildSchema(readFileSync("../schema.graphqls", "utf8"));

  for (const { query, variables } of operations) {
    const [, name] = query.match(/(?:query|mutation|subscription) (\w+)/) ?? [];

    test(`${name} tells what it is for, and fits the schema`, () => {
      expect(query).toMatch(/^# /);
      expect(validate(schema, parse(query))).toEqual([]);
      expect(() => JSON.parse(variables ?? "{}")).not.toThrow();
    });
  }
});

describe("A first session", () => {
  test("begins with a tab for each step", async () => {
    const { page } = owner;
    await begin(owner);
    await page.getByRole("tab", { name: "SignUp", selected: true }).waitFor();
    expect(await page.getByRole("tab").count()).toBe(operations.length);
    expect(await page.getByRole("link", { name: "Studio" }).getAttribute("href")).toBe("/");
    await owner.looks("playground", ...beyondUs);
  });

  test("shows what is on offer to anybody", async () => {
    const { page } = owner;
    await choose(page, "Catalog");
    await run(page);
    await answers(page, /"regions": \[\s+\{\s+"id": "us-east-1"/);
    await owner.looks("playground-answer", ...beyondUs);
  });

  test("signs up, and goes on by the cookie", async () => {
    const { page } = owner;
    await choose(page, "SignUp");
    await run(page);
    await answers(page, /"name": "Olive's Organization"/);
    organizationId = (await answer(page)).match(/org_\w+/)?.[0] ?? "";
    await choose(page, "Viewer");
    await run(page);
    await answers(page, /"email": "owner@example.com"/);
    await answers(page, organizationId);
  });

  test("follows over a WebSocket how an invitation is accepted elsewhere", async () => {
    const { page } = owner;
    await choose(page, "Invite");
    await fill(page, "Variables", { organizationId, email: "member@example.com" });
    await run(page);
    await answers(page, /"status": "INVITED"/);

    await choose(page, "Accepted");
    await fill(page, "Variables", { organizationId });
    expect(await follow(page)).not.toContain("Bearer");
    await accept("member@example.com", "Max");
    await answers(page, /"email": "member@example.com"/);
    await answers(page, /"firstName": "Max"/);
    await button(page, "Stop").click();
  });

  test("acts as somebody else by the token in the headers editor, over HTTP and WebSocket", async () => {
    const guest = await visit(browser, server);
    const { page } = guest;
    const { signIn } = await server.ask(
      `mutation {
        signIn(input: { email: "owner@example.com", password: "correct horse battery" }) { token }
      }`,
    );
    const headers = { Authorization: `Bearer ${signIn.token}` };
    await begin(guest);
    await choose(page, "Viewer");
    await run(page);
    await answers(page, /"viewer": null/);
    await fill(page, "Headers", headers);
    await run(page);
    await answers(page, /"email": "owner@example.com"/);

    await choose(page, "Accepted");
    await fill(page, "Variables", { organizationId });
    await fill(page, "Headers", headers);
    expect(await follow(page)).toContain(signIn.token);
    await server.ask(
      `mutation ($organizationId: ID!) {
        inviteUser(input: { organizationId: $organizationId, email: "another@example.com" }) {
          organizationUser { id }
        }
      }`,
      { organizationId },
      signIn.token,
    );
    await accept("another@example.com", "Ines");
    await answers(page, /"firstName": "Ines"/);
    expect(await page.evaluate(() => JSON.stringify(localStorage))).not.toContain(signIn.token);
    guest.content();
    await guest.context.close();
  });
});

describe("Its help", () => {
  test("shows the schema's own descriptions", async () => {
    const { page } = owner;
    await button(page, "Show Documentation Explorer").click();
    await page.getByRole("link", { name: "Query", exact: true }).click();
    await page.getByRole("link", { name: "catalog", exact: true }).click();
    await page.getByText("The regions, plans and prices on offer.").first().waitFor();
    await owner.looks("playground-docs", ...beyondUs);
  });

  test("leads back to what was run before", async () => {
    const { page } = owner;
    await button(page, "Show History").click();
    await page.locator(".graphiql-history-item").filter({ hasText: "Viewer" }).first().waitFor();
    await owner.looks("playground-history", ...beyondUs);
  });

  test("puts an operation together by clicks", async () => {
    const { page } = owner;
    await choose(page, "Catalog");
    await button(page, "Show GraphiQL Explorer").click();
    await page.getByText("subdomainAvailability").first().waitFor();
    await owner.looks("playground-explorer", ...beyondUs);
  });
});

// The Playground, under the policy that the server serves it with.
import { readFileSync } from "node:fs";
import { buildSchema, parse, validate } from "graphql";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { operations } from "../src/playground/operations";
import { launch, Server, type Visitor, visit } from "./studio";

let server: Server;
let browser: Browser;
let visitor: Visitor;

beforeAll(async () => {
  server = await Server.start();
  browser = await launch();
  visitor = await visit(browser, server);
});

afterAll(async () => {
  visitor?.content();
  await browser?.close();
  await server?.remove();
});

/** Shows the tab of an operation. */
const show = (name: string) => visitor.page.getByRole("tab", { name }).click();

/** Replaces what an editor holds. */
async function write(editor: string, text: string) {
  const { page } = visitor;
  await page.locator(editor).click();
  await page.keyboard.press("Control+A");
  await page.keyboard.press("Delete");
  await page.keyboard.insertText(text);
}

const run = () => visitor.page.getByRole("button", { name: /Execute query/ }).click();

/** Waits until the answer holds a text. */
async function answers(text: string | RegExp) {
  await expect
    .poll(
      async () =>
        (await visitor.page.locator(".result-window").innerText()).replaceAll("\u00a0", " "),
      {
        timeout: 20_000,
      },
    )
    .toMatch(text);
}

describe("Playground", () => {
  const schema = buildSchema(readFileSync("../schema.graphqls", "utf8"));
  test.each(operations)("its ready operations fit the schema", ({ query }) => {
    expect(validate(schema, parse(query))).toEqual([]);
  });

  test("a query is run without internet access", async () => {
    await visitor.open("/playground");
    await show("Catalog");
    await run();
    await answers("us-east-1");
  });

  test("the documentation and the explorer show the schema", async () => {
    const { page } = visitor;
    await page.getByRole("button", { name: /Documentation Explorer/ }).click();
    await page.getByText("What can be read.").waitFor();
    await page.getByRole("button", { name: /GraphiQL Explorer/ }).click();
    await page.getByText("subdomainAvailability").first().waitFor();
    await visitor.looks("playground");
  });

  test("somebody signs up, follows an invitation, and sees it accepted", async () => {
    await show("SignUp");
    await run();
    await answers("landingOrganization");
    const token = await visitor.context.cookies().then((cookies) => cookies[0]?.value ?? "");
    const { viewer } = await server.ask("{ viewer { landingOrganization { id } } }", {}, token);
    const organizationId: string = viewer.landingOrganization.id;
    await show("Accepted");
    await write(".graphiql-editor-tools .monaco-editor", JSON.stringify({ organizationId }));
    await run();
    await visitor.page.getByRole("button", { name: /Stop query/ }).waitFor();
    await server.ask(
      `mutation($organizationId: ID!) {
        inviteUser(input: { organizationId: $organizationId, email: "max@example.com" }) { organizationUser { id } }
      }`,
      { organizationId },
      token,
    );
    const invitationToken = (await server.link("max@example.com", "/invitations/"))
      .split("/")
      .pop();
    await server.ask(
      `mutation($invitationToken: String!) { signUp(input: {
        email: "max@example.com", password: "another good password", firstName: "Max", lastName: "Member"
        invitationToken: $invitationToken
      }) { viewer { id } } }`,
      { invitationToken },
    );
    await answers("Max");
    await visitor.page.getByRole("button", { name: /Stop query/ }).click();
  });

  test("the headers editor says who asks", async () => {
    const { page } = visitor;
    const { signIn } = await server.ask(
      `mutation { signIn(input: { email: "max@example.com", password: "another good password" }) { token } }`,
    );
    await show("Viewer");
    await page.getByRole("button", { name: "Headers" }).click();
    await write(
      ".graphiql-editor-tools .graphiql-editor:not(.hidden) .monaco-editor",
      JSON.stringify({ Authorization: `Bearer ${signIn.token}` }),
    );
    await run();
    await answers("max@example.com");
  });
});

// What goes wrong on the way to the server, and with what people enter: each is told, and nothing is lost.
import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, test } from "vitest";
import { launch, Server, type Visitor, visit } from "./studio";

let server: Server;
let browser: Browser;
let olive: Person;

const password = "correct horse battery";

/** Somebody with an account, and the organization that came with it. */
interface Person {
  token: string;
  organizationId: string;
}

/** Makes an account whose address is verified. */
async function signUp(firstName: string, subdomain: string): Promise<Person> {
  const email = `${subdomain}@example.com`;
  const { signUp } = await server.ask(
    `mutation($input: SignUpInput!) {
      signUp(input: $input) { token viewer { landingOrganization { id } } }
    }`,
    { input: { email, password, firstName, lastName: "Owner", subdomain } },
  );
  const token = (await server.link(email, "/verify-email/")).split("/").pop();
  await server.ask(
    "mutation($token: String!) { verifyEmail(input: { token: $token }) { user { id } } }",
    { token },
  );
  return { token: signUp.token, organizationId: signUp.viewer.landingOrganization.id };
}

let visitor: Visitor;

/** Lets somebody in who is signed in already. */
async function enter({ token }: Person) {
  visitor = await visit(browser, server);
  await visitor.context.addCookies([{ name: "studio_session", value: token, url: server.url }]);
  return visitor;
}

beforeAll(async () => {
  server = await Server.start();
  browser = await launch();
  olive = await signUp("Olive", "demo");
});

afterEach(async ({ task }) => {
  if (task.result?.state === "fail")
    await visitor.page.screenshot({ path: "screenshots/failed.png" });
  await visitor.context.close();
});

afterAll(async () => {
  await browser?.close();
  await server?.remove();
});

test("what keeps a list from being shown is told, and nobody is signed out", async () => {
  const { page } = await enter(olive);
  await visitor.open("/organizations");
  const searchTooLong = async () => {
    await page.getByLabel("Search").fill("x".repeat(101));
    await page.getByRole("alert").getByText("Search for at most 100 characters.").waitFor();
  };
  await searchTooLong();
  await page.getByLabel("Search").fill("");
  await page.getByRole("link", { name: "Olive's Organization" }).click();
  await page.getByRole("link", { name: "Users" }).click();
  await visitor.arrives("Users");
  await searchTooLong();
  visitor.content();
});

// The whole product, walked through by people with browsers: Olive founds an organization, Max and Ines
// are invited to it. Each test goes on where the one before has ended.
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import { text } from "node:stream/consumers";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { launch, Server, type Visitor, visit } from "./studio";

let server: Server;
let browser: Browser;
let olive: Visitor;
let max: Visitor;

const password = "correct horse battery";

beforeAll(async () => {
  server = await Server.start({
    STUDIO_WEBHOOK_KEY: Buffer.alloc(32, "key").toString("base64"),
    STUDIO_WEBHOOK_NETWORKS: "127.0.0.0/8",
  });
  browser = await launch();
  olive = await visit(browser, server);
  max = await visit(browser, server);
});

afterEach(async ({ task }) => {
  if (task.result?.state === "fail")
    await olive.page.screenshot({ path: "screenshots/failed.png" });
  olive.content();
  max.content();
});

afterAll(async () => {
  await browser?.close();
  await server?.remove();
});

const button = (page: Page, name: string) => page.getByRole("button", { name, exact: true });
const dialog = (page: Page) => page.getByRole("dialog");
const row = (page: Page, text: string) => page.getByRole("listitem").filter({ hasText: text });
const tab = (page: Page, name: string) => page.getByRole("link", { name, exact: true });

describe("Accounts", () => {
  test("signing in without an account tells that it is wrong", async () => {
    const { page } = olive;
    await olive.open("/");
    await olive.arrives("Sign in");
    await olive.looks("sign-in");
    await page.getByLabel("Email address").fill("olive@example.com");
    await page.getByLabel("Password").fill(password);
    await button(page, "Sign in").click();
    await page.getByRole("alert").getByText("is wrong").waitFor();
  });

  test("signing up shows each error at its field", async () => {
    const { page } = olive;
    await tab(page, "Create an account").click();
    await olive.arrives("Create an account");
    await page.getByLabel("First name").fill("Olive");
    await page.getByLabel("Last name").fill("Owner");
    await page.getByLabel("Email address").fill("olive at home");
    await page.getByLabel("Password").fill("short");
    await page.getByLabel("Subdomain").fill("www");
    await page.getByText("This one is reserved").waitFor();
    await button(page, "Create the account").click();
    await page.getByText("Enter an email address").waitFor();
    expect(await page.getByLabel("Email address").getAttribute("aria-invalid")).toBe("true");
    await olive.looks("sign-up");
  });

  test("signing up leads into the first and only organization", async () => {
    const { page } = olive;
    await page.getByLabel("Email address").fill("olive@example.com");
    await page.getByLabel("Password").fill(password);
    await page.getByLabel("Subdomain").fill("demo");
    await page.getByText("c1-demo.harperdbcloud.com").waitFor();
    await page.getByText("Available.").waitFor();
    await button(page, "Create the account").click();
    await olive.arrives("Instances");
    expect(new URL(page.url()).pathname).toBe("/organizations/demo");
    await page.getByText("There are none yet").waitFor();
  });

  test("the link in the mail verifies the address, on a click", async () => {
    const { page } = olive;
    await olive.open(await server.link("olive@example.com", "/verify-email/"));
    await olive.looks("verify-email");
    await button(page, "Verify my address").click();
    await page.getByText("olive@example.com is verified. You now see invitations to it.").waitFor();
    await olive.looks("verified");
    await tab(page, "Go on").click();
    await olive.arrives("Instances");
  });
});

describe("Organizations", () => {
  test("a new one is created with a preview of its host names", async () => {
    const { page } = olive;
    await tab(page, "All organizations").click();
    await olive.arrives("Organizations");
    await button(page, "Create a New Organization").click();
    await dialog(page).getByLabel("Name").fill("Orchard");
    await dialog(page).getByLabel("Subdomain").fill("demo");
    await dialog(page).getByText("This one is taken").waitFor();
    await olive.looks("create-organization");
    await dialog(page).getByLabel("Subdomain").fill("Orchard7");
    await dialog(page).getByText("c1-orchard7.harperdbcloud.com").waitFor();
    await dialog(page).getByText("Available.").waitFor();
    await button(dialog(page) as unknown as Page, "Create").click();
    await olive.arrives("Instances");
    expect(new URL(page.url()).pathname).toBe("/organizations/orchard7");
  });

  test("they can be searched and sorted", async () => {
    const { page } = olive;
    await tab(page, "All organizations").click();
    const names = page.getByRole("listitem").getByRole("heading");
    await page.getByRole("link", { name: "Orchard" }).waitFor();
    expect(await names.allTextContents()).toEqual(["Olive's Organization", "Orchard"]);
    await page.getByLabel("Order").selectOption("Newest first");
    await expect.poll(() => names.allTextContents()).toEqual(["Orchard", "Olive's Organization"]);
    await page.getByLabel("Search").fill("oRCH");
    await expect.poll(() => names.allTextContents()).toEqual(["Orchard"]);
    await page.getByLabel("Search").fill("nothing like it");
    await page.getByText("No organization has").waitFor();
    await page.getByLabel("Search").fill("");
    await page.getByRole("link", { name: "Olive's Organization" }).waitFor();
    await olive.looks("organizations");
  });
});

describe("Users", () => {
  test("an invitation shows how far its mail got, and can be resent", async () => {
    const { page } = olive;
    await page.getByRole("link", { name: "Orchard" }).click();
    await tab(page, "Users").click();
    await olive.arrives("Users");
    await page.getByLabel("Email address").fill("max at home");
    await button(page, "Invite").click();
    await page.getByText("Enter an email address").waitFor();
    await page.getByLabel("Email address").fill("max@example.com");
    await button(page, "Invite").click();
    await page.getByText("The invitation is on its way.").waitFor();
    await row(page, "max@example.com").getByText("Mail sent").waitFor();
    const owner = page.getByRole("switch", { name: "Owner: max@example.com" });
    expect(await owner.isDisabled()).toBe(true);
    await row(page, "max@example.com").getByText("once they have accepted").waitFor();
    await button(page, "Resend the invitation to max@example.com").click();
    await page.getByText("A new invitation to max@example.com is on its way").waitFor();
    await row(page, "max@example.com").getByText("Mail sent").waitFor();
    await olive.looks("users-invited");
    await page.getByLabel("Email address").fill("max@example.com");
    await button(page, "Invite").click();
    await page.getByText("is invited already").waitFor();
    await tab(page, "Instances").click();
    await olive.arrives("Instances");
    await tab(page, "Users").click();
    await row(page, "max@example.com").waitFor();
  });

  test("one person accepts, and the other sees it without reloading", async () => {
    await olive.page.evaluate(() => Object.assign(window, { same: true }));
    const { page } = max;
    await max.open(await server.link("max@example.com", "/invitations/"));
    await max.arrives("Join Orchard");
    await max.looks("invitation");
    await page.getByLabel("First name").fill("Max");
    await page.getByLabel("Last name").fill("Member");
    await page.getByLabel("Password").fill(password);
    await button(page, "Create the account").click();
    await max.arrives("Organizations");
    await page.getByRole("link", { name: "Orchard" }).waitFor();

    await row(olive.page, "Max Member").getByText("Just joined").waitFor();
    await olive.page.getByText("Mail sent").waitFor({ state: "hidden" });
    expect(await olive.page.evaluate(() => "same" in window)).toBe(true);
    await olive.looks("users");
  });

  test("an owner makes another one, who gets an owner's pages at once", async () => {
    const { page } = max;
    await page.getByRole("link", { name: "Orchard" }).click();
    await max.arrives("Instances");
    expect(await tab(page, "Users").count()).toBe(0);
    await max.looks("member");
    await olive.page.getByRole("switch", { name: "Owner: max@example.com" }).click();
    await tab(page, "Users").click();
    await max.arrives("Users");
    await page.getByRole("switch", { name: "Owner: max@example.com" }).click();
    await dialog(page).getByText("Only another owner can make you one again.").waitFor();
    await max.looks("stop-being-owner");
    await button(page, "Stop being an owner").click();
    await page.getByText("You are no longer an owner of Orchard.").waitFor();
    await max.arrives("For owners");
    expect(await page.title()).toBe("For owners · Orchard · Studio");
    await expect
      .poll(() => page.evaluate(() => document.activeElement?.textContent))
      .toBe("For owners");
    await tab(page, "Users").waitFor({ state: "hidden" });
    await max.looks("owners-only");
    await olive.page.getByRole("switch", { name: "Owner: olive@example.com" }).click();
    await button(olive.page, "Stop being an owner").click();
    await dialog(olive.page).getByText("keeps at least one owner").waitFor();
    await button(olive.page, "Close").click();
    expect(
      await olive.page.getByRole("switch", { name: "Owner: olive@example.com" }).isChecked(),
    ).toBe(true);
  });

  test("somebody with an account joins or declines on the page of organizations", async () => {
    const ines = await visit(browser, server);
    const { page } = ines;
    await ines.open("/sign-up");
    await page.getByLabel("First name").fill("Ines");
    await page.getByLabel("Last name").fill("Invited");
    await page.getByLabel("Email address").fill("ines@example.com");
    await page.getByLabel("Password").fill(password);
    await button(page, "Create the account").click();
    await ines.arrives("Instances");
    await tab(page, "All organizations").click();
    await page.getByText("Please verify").waitFor();
    await ines.open(await server.link("ines@example.com", "/verify-email/"));
    await button(page, "Verify my address").click();
    await tab(page, "Go on").click();
    await tab(page, "All organizations").click();
    await ines.arrives("Organizations");

    const invite = async () => {
      await olive.page.getByLabel("Email address").fill("ines@example.com");
      await button(olive.page, "Invite").click();
      await row(olive.page, "ines@example.com").getByText("Invited", { exact: true }).waitFor();
    };
    await invite();
    await page.getByText("Olive Owner invites you to Orchard.").waitFor();
    await ines.looks("invitations");
    await button(page, "Decline to join Orchard").click();
    await row(olive.page, "ines@example.com").getByText("Declined").waitFor();
    await invite();
    await button(page, "Join Orchard").click();
    await ines.arrives("Instances");
    await row(olive.page, "Ines Invited").getByText("Just joined").waitFor();

    // Who is removed loses access at once.
    await button(olive.page, "Remove ines@example.com").click();
    await dialog(olive.page).getByLabel("Type DELETE").fill("delete");
    await button(olive.page, "Remove").click();
    await dialog(olive.page).locator(".wrong").getByText("DELETE").waitFor();
    await dialog(olive.page).getByLabel("Type DELETE").fill("DELETE");
    await olive.looks("remove-user");
    await button(olive.page, "Remove").click();
    await olive.page.getByText("ines@example.com is removed.").waitFor();
    await ines.arrives("Organizations");
    await page.getByText("no longer have access").waitFor();
    ines.content();

    // With an account, the link in the mail leads to signing in, with the right account.
    await invite();
    const link = await server.link("ines@example.com", "/invitations/");
    await max.open(link);
    await max.page.getByText("You are signed in as max@example.com").waitFor();
    await max.looks("invitation-other");
    await button(max.page, "Sign out").click();
    await max.page.getByText("Sign in to join").waitFor();
    await max.looks("invitation-sign-in");
    await max.page.getByLabel("Password").fill(password);
    await button(max.page, "Sign in").click();
    await button(max.page, "Join Orchard").click();
    await max.arrives("Instances");
    await max.page.getByRole("link", { name: "Ines Invited" }).waitFor();
    await max.open(link);
    await max.arrives("This invitation cannot be used");
    await max.looks("invitation-unusable");
    await ines.context.close();
  });
});

describe("Webhooks", () => {
  const received: { headers: IncomingHttpHeaders; body: string }[] = [];
  let answer = 204;
  let url: string;
  let secret: string;
  const receiver = createServer(async (request, response) => {
    received.push({ headers: request.headers, body: await text(request) });
    response.writeHead(answer).end();
  });

  beforeAll(async () => {
    await once(receiver.listen(0, "127.0.0.1"), "listening");
    url = `http://127.0.0.1:${(receiver.address() as { port: number }).port}/studio`;
  });

  afterAll(() => {
    receiver.close();
  });

  const endpoint = (page: Page) => page.getByRole("region", { name: url });
  const delivery = (page: Page, type: string) =>
    endpoint(page).getByRole("listitem").filter({ hasText: type });
  /** Waits for a test to arrive, and fails unless it is signed with each of the secrets. */
  const tested = async (...secrets: string[]) => {
    received.length = 0;
    await button(olive.page, `Send a test to ${url}`).click();
    // What was refused before may come again meanwhile.
    const tests = () => received.filter(({ body }) => JSON.parse(body).type === "TEST");
    await expect.poll(() => tests().length).toBe(1);
    const { headers, body } = tests()[0] as (typeof received)[0];
    const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
    const signatures = secrets.map((secret) => {
      const key = Buffer.from(secret.replace("whsec_", ""), "base64");
      return `v1,${createHmac("sha256", key).update(signed).digest("base64")}`;
    });
    expect(String(headers["webhook-signature"]).split(" ").sort()).toEqual(signatures.sort());
  };

  test("an endpoint is added, and a test arrives there that its secret verifies", async () => {
    const { page } = olive;
    await tab(page, "Webhooks").click();
    await olive.arrives("Webhooks");
    await page.getByText("There are none.").waitFor();
    await olive.looks("webhooks-empty");
    await button(page, "Add an endpoint").click();
    await dialog(page).getByLabel("URL").fill("http://example.com/studio");
    await button(page, "Add").click();
    await dialog(page).locator(".wrong").getByText("must begin with https://").waitFor();
    await dialog(page).getByLabel("URL").fill(url);
    await dialog(page).getByText("Only some events").click();
    await dialog(page).getByLabel("User invited").check();
    await dialog(page).getByLabel("Payment failed").check();
    await olive.looks("add-webhook");
    await button(page, "Add").click();
    await dialog(page).getByText("It is shown only now").waitFor();
    secret = (await dialog(page).locator("code").textContent()) ?? "";
    await olive.looks("webhook-secret");
    await button(page, "Done").click();
    await expect.poll(() => page.content()).not.toContain(secret);
    await endpoint(page).getByText("Payment failed, User invited").waitFor();
    await endpoint(page).getByText("Enabled").waitFor();
    await tested(secret);
    await delivery(page, "Test").getByText("Delivered").waitFor();
    await delivery(page, "Test").getByText("answered 204 · 1 attempt").waitFor();
    await olive.looks("webhooks");
  });

  test("what one tab changes, and what fails, is seen in another", async () => {
    const { page } = olive;
    const other = await olive.context.newPage();
    await other.goto(page.url());
    await endpoint(other).getByText("Enabled").waitFor();
    answer = 500;
    await button(page, `Edit ${url}`).click();
    await dialog(page).getByLabel("User invited").uncheck();
    await dialog(page).getByLabel("Payment failed").uncheck();
    await olive.looks("edit-webhook");
    await button(page, "Save").click();
    await endpoint(other).getByText("All events").waitFor();
    await endpoint(other).getByText("Failing").waitFor();
    await endpoint(other).getByText("Recent deliveries").click();
    await delivery(other, "Webhook changed").getByText("Waiting").waitFor();
    await delivery(other, "Webhook changed")
      .getByText(/answered 500 .* · next attempt/)
      .waitFor();
    await endpoint(page).getByText("Nothing has arrived since").waitFor();
    await olive.looks("webhooks-failing");

    answer = 204;
    await button(page, `Rotate the secret of ${url}`).click();
    await dialog(page).getByText("For 24 hours").waitFor();
    await olive.looks("rotate-webhook-secret");
    await button(page, "Rotate it").click();
    const rotated = (await dialog(page).locator("code").textContent()) ?? "";
    expect(rotated).not.toBe(secret);
    await button(page, "Done").click();
    await delivery(other, "Webhook changed").getByText("Delivered").first().waitFor();
    await endpoint(other).getByText("Enabled").waitFor();
    await tested(rotated, secret);

    await button(page, `Disable ${url}`).click();
    await endpoint(other).getByText("An owner disabled it").waitFor();
    await button(page, `Enable ${url}`).waitFor();
    expect(await button(page, `Send a test to ${url}`).count()).toBe(0);
    await olive.looks("webhooks-disabled");
    await button(page, `Enable ${url}`).click();
    await button(other, `Send a test to ${url}`).waitFor();
    await button(page, `Delete ${url}`).click();
    await olive.looks("delete-webhook");
    await button(page, "Delete it").click();
    await page.getByText("There are none.").waitFor();
    await other.getByText("There are none.").waitFor();
    await other.close();
  });

  test("a member has no such page", async () => {
    expect(await tab(max.page, "Webhooks").count()).toBe(0);
    await max.open("/organizations/orchard7/webhooks");
    await max.arrives("For owners");
  });
});

describe("Billing", () => {
  test("a declined card is told, a good one is set", async () => {
    const { page } = olive;
    await tab(page, "Billing").click();
    await olive.arrives("Billing");
    await button(page, "Set a card").click();
    await page.getByLabel("declined at once").check();
    await button(page, "Set this card").click();
    await page.getByRole("alert").getByText("declined").waitFor();
    await olive.looks("set-card");
    await page.getByLabel("Visa").check();
    await button(page, "Set this card").click();
    await page.getByText("ending in 4242").waitFor();
  });

  test("coupons become credit", async () => {
    const { page } = olive;
    await page.getByLabel("Coupon code").fill("NOSUCHCODE");
    await button(page, "Add").click();
    await page.locator(".wrong, [role=alert]").first().waitFor();
    await page.getByLabel("Coupon code").fill("welcome50");
    await button(page, "Add").click();
    await page.getByText("$50.00 of credit").waitFor();
  });
});

describe("Instances", () => {
  const create = async (name: string, plan: string) => {
    const { page } = olive;
    await button(page, "Create an instance").click();
    await dialog(page).getByLabel("Name").fill(name);
    await dialog(page).getByText(`https://${name}-orchard7.harperdbcloud.com`).waitFor();
    await dialog(page).getByLabel(plan).check();
  };

  test("one is created for free, and a second is refused", async () => {
    const { page } = olive;
    await tab(page, "Instances").click();
    await olive.arrives("Instances");
    await olive.looks("instances-empty");
    await create("apples", "1 GB");
    await olive.looks("create-instance");
    await button(page, "Create").click();
    await page.getByText("The instance is being created.").waitFor();
    await row(page, "apples").getByText("Creating").waitFor();
    await row(page, "apples").getByText("Active").waitFor();
    await create("pears", "1 GB");
    await button(page, "Create").click();
    await dialog(page).locator(".wrong, [role=alert]").first().waitFor();
    await dialog(page).getByLabel("4 GB").check();
    await dialog(page).getByLabel("Storage").selectOption("100");
    await dialog(page).getByText("$82.49 a month").waitFor();
    await button(page, "Create").click();
    await row(page, "pears").getByText("Active").waitFor();
  });

  test("one of one's own is registered", async () => {
    const { page } = olive;
    await button(page, "Register your own").click();
    await dialog(page).getByLabel("Name").fill("apples");
    await dialog(page).getByLabel("Host").fill("db.example.com");
    await button(page, "Register").click();
    await dialog(page).locator(".wrong").waitFor();
    await dialog(page).getByLabel("Name").fill("cellar");
    await dialog(page).getByLabel("2 GB").check();
    await dialog(page).locator(".total").getByText("$191.90 a year").waitFor();
    await olive.looks("register-instance");
    await button(page, "Register").click();
    await page.getByText("The instance is registered.").waitFor();
    await row(page, "https://db.example.com:9925").getByText("Active").waitFor();
    await olive.looks("instances");
  });

  test("one is resized, and another deleted", async () => {
    const { page } = olive;
    await button(page, "Resize pears").click();
    await dialog(page).getByLabel("2 GB").check();
    await olive.looks("resize");
    await button(page, "Resize").click();
    await page.getByText("pears is being resized.").waitFor();
    await row(page, "pears").getByText("2 GB memory").waitFor();
    await row(page, "pears").getByText("Active").waitFor();
    await button(page, "Delete apples").click();
    await dialog(page).getByLabel("to confirm").fill("pears");
    await olive.looks("delete-instance");
    await button(page, "Delete").click();
    await dialog(page).locator(".wrong").waitFor();
    await dialog(page).getByLabel("to confirm").fill("apples");
    await button(page, "Delete").click();
    await page.getByText("apples is being deleted.").waitFor();
    await row(page, "apples").waitFor({ state: "hidden" });
  });
});

describe("Invoices", () => {
  test("they show what was paid, and what is next", async () => {
    const { page } = olive;
    await tab(page, "Billing").click();
    await page.getByRole("listitem").filter({ hasText: "Paid" }).first().waitFor();
    await page.getByText("then each month").waitFor();
    await page.getByText("then each year").waitFor();
    const first = page.getByRole("listitem").filter({ hasText: "$32.49" });
    await first.getByText("$32.49").first().click();
    await first.getByText("Discount").waitFor();
    expect(await page.getByText("-$0.00").count()).toBe(0);
    await olive.looks("billing");
  });

  test("an overdue payment is told on each page, and paid there", async () => {
    const { page } = olive;
    await button(page, "Change the card").click();
    await page.getByLabel("whose payments fail").check();
    await button(page, "Set this card").click();
    await page.getByText("The card is set.").waitFor();
    await server.pass(100);
    await page.getByText("A payment is overdue").waitFor();
    await olive.looks("overdue");
    await button(page, "Pay now").click();
    await page.getByRole("alert").waitFor();
    await button(page, "Change the card").click();
    await page.getByLabel("Mastercard").check();
    await button(page, "Set this card").click();
    await page.getByText("ending in 4444").waitFor();
    await button(page, "Pay now").click();
    await page.getByText("A payment is overdue").waitFor({ state: "hidden" });
  });
});

describe("Live updates", () => {
  test("a connection that is lost is told, and goes on from where it was", async () => {
    const { page } = olive;
    await tab(page, "Users").click();
    await olive.arrives("Users");
    const { signIn } = await server.ask(
      `mutation($password: String!) { signIn(input: { email: "olive@example.com", password: $password }) {
        token viewer { organizations(search: "Orchard") { nodes { id } } }
      } }`,
      { password },
    );
    const organizationId = signIn.viewer.organizations.nodes[0].id;
    const invite = (email: string) =>
      server.ask(
        `mutation($organizationId: ID!, $email: String!) {
          inviteUser(input: { organizationId: $organizationId, email: $email }) { organizationUser { id } }
        }`,
        { organizationId, email },
        signIn.token,
      );
    await invite("before@example.com");
    await row(page, "before@example.com").waitFor();
    const resumed: string[] = [];
    page.on("websocket", (socket) =>
      socket.on("framesent", ({ payload }) => {
        const { type, payload: operation } = JSON.parse(String(payload));
        if (type === "subscribe" && operation.variables?.after)
          resumed.push(operation.variables?.after);
      }),
    );
    await server.stop();
    await page.getByText("The connection to Studio is lost").waitFor();
    await olive.looks("lost");
    await server.start();
    await invite("after@example.com");
    await page.getByText("Connected again").waitFor();
    await page.getByText("The connection to Studio is lost").waitFor({ state: "hidden" });
    await row(page, "after@example.com").waitFor();
    expect(resumed).toHaveLength(1);
    const unreachable = /ERR_CONNECTION|WebSocket|Failed to load resource/;
    olive.content(unreachable);
    max.content(unreachable);
  });

  test("the log grows while it is looked at", async () => {
    const { page } = olive;
    await tab(page, "Activity").click();
    await olive.arrives("Activity");
    await page.getByText("after@example.com").first().waitFor();
    await olive.looks("activity");
  });
});

describe("Leaving", () => {
  test("what keeps an organization from being deleted is told beforehand", async () => {
    const { page } = olive;
    await tab(page, "Settings").click();
    await olive.arrives("Settings");
    await page.locator(".blockers").getByText("instance").waitFor();
    expect(await button(page, "Delete…").isDisabled()).toBe(true);
    await olive.looks("settings");
    await page.getByLabel("Name").fill("Orchard and Cellar");
    await button(page, "Rename").click();
    await page.getByText("The organization is renamed.").waitFor();
    await tab(page, "Instances").click();
    for (const [verb, name] of [
      ["Delete", "pears"],
      ["Deregister", "cellar"],
    ] as const) {
      await button(page, `${verb} ${name}`).click();
      await dialog(page).getByLabel("to confirm").fill(name);
      await button(page, verb).click();
      await row(page, name).waitFor({ state: "hidden" });
    }
    await tab(page, "Settings").click();
    await button(page, "Delete…").click();
    await dialog(page).getByLabel("to confirm").fill("Orchard");
    await olive.looks("delete-organization");
    await button(page, "Delete").click();
    await dialog(page).locator(".wrong").waitFor();
    await dialog(page).getByLabel("to confirm").fill("Orchard and Cellar");
    await button(page, "Delete").click();
    await page.getByText("Orchard and Cellar is deleted.").waitFor();
    await olive.arrives("Organizations");
    await page.getByRole("link", { name: "Olive's Organization" }).waitFor();
    expect(await page.getByText("no longer have access").count()).toBe(0);
    await olive.open("/organizations/orchard7");
    await olive.arrives("Not found");
    await olive.looks("not-found");
  });

  test("sessions and tokens are ended, and a password is reset", async () => {
    const { page } = olive;
    await tab(page, "Olive Owner").click();
    await olive.arrives("Account");
    await page
      .getByRole("button", { name: /^Sign out there: .+, 127\.0\.0\.1$/ })
      .first()
      .click();
    await page.getByText("That session is signed out.").waitFor();
    await button(page, "Create a token").click();
    await dialog(page).getByLabel("Name").fill("deployment");
    await button(page, "Create").click();
    const token = (await dialog(page).locator("code").textContent()) ?? "";
    await olive.looks("api-token");
    const { viewer } = await server.ask("{ viewer { user { email } } }", {}, token);
    expect(viewer.user.email).toBe("olive@example.com");
    await button(page, "Done").click();
    await page.getByRole("heading", { name: "deployment" }).waitFor();
    await olive.looks("account");
    await button(page, "Revoke deployment").click();
    await button(page, "Revoke it").click();
    await page.getByText("deployment is revoked.").waitFor();

    await button(page, "Sign out").click();
    await olive.arrives("Sign in");
    await tab(page, "Forgot your password?").click();
    await olive.arrives("Forgot your password?"); // signing in asks for the address, too
    await page.getByLabel("Email address").fill("olive@example.com");
    await olive.looks("forgot-password");
    await button(page, "Send the mail").click();
    await page.getByText("a mail is on its way").waitFor();
    await olive.looks("forgot-password-sent");
    await olive.open(await server.link("olive@example.com", "/reset-password/"));
    await page.getByLabel("New password").fill("short");
    await olive.looks("reset-password");
    await button(page, "Set the password").click();
    await page.locator(".wrong").waitFor();
    await page.getByLabel("New password").fill("another good password");
    await button(page, "Set the password").click();
    await page.getByText("Your password is changed").waitFor();
    await olive.looks("reset-password-done");
    await tab(page, "Sign in").click();
    await page.getByLabel("Email address").fill("olive@example.com");
    await page.getByLabel("Password").fill("another good password");
    await button(page, "Sign in").click();
    await olive.arrives("Instances");
  });
});

describe("Sessions", () => {
  test("one that is ended elsewhere leads to signing in, and back to the page", async () => {
    const { page } = olive;
    await tab(page, "Users").click();
    await row(page, "olive@example.com").waitFor();
    let requests = 0;
    page.on("request", () => requests++);
    page.on("websocket", (socket) => socket.on("framesent", () => requests++));
    await page.reload(); // for a socket whose frames are counted
    await row(page, "olive@example.com").waitFor();
    requests = 0;
    const [session] = await olive.context.cookies();
    await server.ask("mutation { signOut { signedOut } }", {}, session?.value);
    await olive.arrives("Sign in");
    await tab(page, "Create an account").click();
    await olive.arrives("Create an account");
    await tab(page, "Sign in").click();
    await olive.arrives("Sign in");
    await page.getByLabel("Email address").fill("olive@example.com");
    await page.getByLabel("Password").fill("another good password");
    expect(requests).toBeLessThan(100); // nothing asks again and again
    await button(page, "Sign in").click();
    await olive.arrives("Users");
  });
});

describe("Keyboard", () => {
  test("an organization is founded and somebody invited without a mouse", async () => {
    const visitor = await visit(browser, server);
    const { page } = visitor;
    const press = (key: string) => page.keyboard.press(key);
    /** Goes on to what has a name, as somebody who cannot point at it. */
    const reach = async (name: string) => {
      for (let steps = 0; steps < 60; steps++) {
        await press("Tab");
        const label = await page.evaluate(() => {
          const at = document.activeElement as HTMLInputElement | null;
          return at?.labels?.[0]?.textContent || at?.getAttribute("aria-label") || at?.textContent;
        });
        if (label === name) return;
      }
      throw new Error(`${name} cannot be reached`);
    };
    const type = async (label: string, text: string) => {
      await reach(label);
      await page.keyboard.type(text);
    };
    await visitor.open("/sign-up");
    await visitor.arrives("Create an account");
    await type("First name", "Kim");
    await type("Last name", "Keys");
    await type("Email address", "kim@example.com");
    await type("Password", password);
    await press("Enter");
    await visitor.arrives("Instances");
    await reach("All organizations");
    await press("Enter");
    await visitor.arrives("Organizations");
    await reach("Create a New Organization");
    await press("Enter");
    await type("Name", "Keyboards");
    await type("Subdomain", "keyboards");
    await press("Enter");
    await visitor.arrives("Instances");
    await reach("Users");
    await press("Enter");
    await visitor.arrives("Users");
    await type("Email address", "lee@example.com");
    await press("Enter");
    await row(page, "lee@example.com").waitFor();
    await reach("Revoke the invitation to lee@example.com");
    await press("Enter");
    await dialog(page).waitFor();
    await press("Escape");
    await dialog(page).waitFor({ state: "detached" });
    await press("Enter");
    await type("Type DELETE to confirm", "DELETE");
    await press("Enter");
    await row(page, "lee@example.com").waitFor({ state: "hidden" });
    visitor.content();
    await visitor.context.close();
  });
});

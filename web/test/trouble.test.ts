// What goes wrong on the way to the server, and with what people enter: each is told, and nothing is lost.
import type { Browser, Locator, WebSocketRoute } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { launch, phone, Server, until, type Visitor, visit } from "./studio";

let server: Server;
let browser: Browser;
let olive: Person;

const password = "correct horse battery";

/** Somebody with an account, and the organization that came with it. */
interface Person {
  token: string;
  organizationId: string;
}

/** Makes an account whose address nobody has verified. */
async function signUpUnverified(firstName: string, subdomain: string): Promise<Person> {
  const { signUp } = await server.ask(
    `mutation($input: SignUpInput!) {
      signUp(input: $input) { token viewer { landingOrganization { id } } }
    }`,
    {
      input: {
        email: `${subdomain}@example.com`,
        password,
        firstName,
        lastName: "Owner",
        subdomain,
      },
    },
  );
  return { token: signUp.token, organizationId: signUp.viewer.landingOrganization.id };
}

/** Makes an account whose address is verified. */
async function signUp(firstName: string, subdomain: string): Promise<Person> {
  const person = await signUpUnverified(firstName, subdomain);
  const token = (await server.link(`${subdomain}@example.com`, "/verify-email/")).split("/").pop();
  await server.ask(
    "mutation($token: String!) { verifyEmail(input: { token: $token }) { user { id } } }",
    { token },
  );
  return person;
}

/** Invites addresses to somebody's organization, from elsewhere. */
const invite = ({ token, organizationId }: Person, ...emails: string[]) =>
  server.ask(
    `mutation($organizationId: ID!) {
      ${emails.map(
        (
          email,
          i,
        ) => `invited${i}: inviteUser(input: { organizationId: $organizationId, email: "${email}" }) {
          organizationUser { id }
        }`,
      )}
    }`,
    { organizationId },
    token,
  );

let visitor: Visitor;

/** Lets somebody in who is signed in already. */
async function enter({ token }: Person, timezone?: string) {
  visitor = await visit(browser, server, timezone);
  await visitor.context.addCookies([{ name: "studio_session", value: token, url: server.url }]);
  return visitor;
}

/** What can be waited for until it is so. */
function soon() {
  let so = () => {};
  const promise = new Promise<void>((resolve) => {
    so = resolve;
  });
  return { promise, so };
}

/**
 * Keeps the answers to an operation, or only the first, once the server has given them, from the visitor until
 * `answer` is called.
 */
async function delay(operation: string, onlyFirst = false) {
  let asked = 0;
  const { promise: given, so: give } = soon();
  const { promise: wanted, so: answer } = soon();
  await visitor.context.route("**/graphql", async (route) => {
    const meant = route.request().postData()?.includes(operation);
    if (!meant || (onlyFirst && asked++ > 0)) return route.continue();
    const response = await route.fetch();
    give();
    await wanted;
    await route.fulfill({ response });
  });
  return { given, answer };
}

/** Waits until as many streams are open, so that whatever happens is told. */
const streams = (count: number) =>
  until(`${count} streams are open`, async () => {
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    return metrics.includes(`studio_streams ${count}\n`);
  });

/** The way that live updates take to a visitor. */
class Wire {
  /** How many connections there have been. */
  connections = 0;
  /** How many pings were swallowed. */
  swallowed = 0;
  /** How many streams were refused. */
  refused = 0;
  /** Whether streams are refused, on connections that are not. */
  refusing = false;
  /** Makes of what the page sends what the server gets. */
  change = (message: string) => message;
  private socket?: WebSocketRoute;
  private upstream?: WebSocketRoute;
  private passable = Promise.resolve();
  private pass = () => {};

  static async to({ page }: Visitor): Promise<Wire> {
    await streams(0); // those of the visitor before have ended
    const wire = new Wire();
    await page.routeWebSocket("**/graphql", async (socket) => {
      await wire.passable;
      wire.connections++;
      wire.socket = socket;
      wire.upstream = socket.connectToServer();
      const { upstream } = wire;
      const first = wire.connections === 1;
      socket.onMessage((message) => {
        const { type, id } = JSON.parse(String(message)) as { type: string; id?: string };
        if (first && type === "ping") wire.swallowed++;
        else if (wire.refusing && type === "subscribe") wire.refuse(id);
        else upstream.send(wire.change(String(message)));
      });
    });
    return wire;
  }

  /** Lets no connection through until it is released. */
  hold() {
    this.passable = new Promise((pass) => {
      this.pass = pass;
    });
  }

  release() {
    this.pass();
  }

  private refuse(id?: string) {
    this.refused++;
    const payload = [{ message: "Wait.", extensions: { code: "RATE_LIMITED" } }];
    this.socket?.send(JSON.stringify({ id, type: "error", payload }));
  }

  /** Breaks the connection. */
  async cut() {
    await this.socket?.close({ code: 1001 });
    await this.upstream?.close();
  }
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

const lost = "The connection to Studio is lost";
const button = (name: string) => visitor.page.getByRole("button", { name, exact: true });
const row = (text: string) => visitor.page.getByRole("listitem").filter({ hasText: text });

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

test("nothing is said to be missing before that is known", async () => {
  const emil = await signUp("Emil", "empty");
  await server.ask(
    `mutation($organizationId: ID!) {
      setCard(input: { organizationId: $organizationId, paymentMethodId: "pm_card_visa" }) { billing { id } }
      createInstance(input: {
        organizationId: $organizationId, name: "paid", region: "us-east-1"
        computePlanId: "cloud-8gb", storageGb: 10
      }) { instance { id } }
    }`,
    { organizationId: emil.organizationId },
    emil.token,
  );
  const { page, context } = await enter(emil);
  const empty = page.locator(".empty");
  const status = page.getByLabel("Status");
  const search = page.getByLabel("Search");
  for (const [path, query, none, all, found] of [
    [
      "",
      "Organizations",
      () => search.fill("zzz"),
      () => search.fill("emil"),
      "Emil's Organization",
    ],
    ["/empty/users", "Users", () => search.fill("zzz"), () => search.fill("emil"), "Emil Owner"],
    [
      "/empty/billing",
      "Invoices",
      () => status.selectOption("Void"),
      () => status.selectOption("Paid"),
      "$",
    ],
  ] as const) {
    await visitor.open(`/organizations${path}`);
    await row(found).first().waitFor();
    await none();
    await empty.waitFor();
    const { answer } = await delay(`query ${query}(`);
    await Promise.all([page.waitForRequest("**/graphql"), all()]);
    await page.getByText("Loading…").waitFor();
    expect(await empty.count()).toBe(0);
    answer();
    await row(found).first().waitFor();
    await context.unrouteAll({ behavior: "wait" });
  }
  visitor.content();
});

test("an invitation that comes while the connection is lost is shown after it", async () => {
  const ines = await signUp("Ines", "ines");
  const { page } = await enter(ines);
  const wire = await Wire.to(visitor);
  await visitor.open("/organizations");
  await page.getByRole("link", { name: "Ines's Organization" }).waitFor();
  await streams(1);
  await invite(olive, "ines@example.com");
  await page.getByText("Olive Owner invites you to Olive's Organization.").waitFor();
  wire.hold();
  await wire.cut();
  await page.getByText(lost).waitFor();
  const { createOrganization } = await server.ask(
    `mutation { createOrganization(input: { name: "Cellar", subdomain: "cellar" }) { organization { id } } }`,
    {},
    olive.token,
  );
  await invite(
    { ...olive, organizationId: createOrganization.organization.id },
    "ines@example.com",
  );
  wire.release();
  await page.getByRole("heading", { name: "Cellar" }).waitFor();
  visitor.content();
});

test("a connection that nothing needs any more is not told to be lost", async () => {
  const { signUp } = await server.ask(
    `mutation($password: String!) {
      signUp(input: {
        email: "ulla@example.com", password: $password, firstName: "Ulla", lastName: "U", subdomain: "ulla"
      }) { token }
    }`,
    { password },
  );
  const { page } = await enter({ token: signUp.token, organizationId: "" });
  const wire = await Wire.to(visitor);
  await visitor.open("/organizations/ulla");
  await streams(1);
  wire.hold();
  await wire.cut();
  await page.getByText(lost).waitFor();
  await page.getByRole("link", { name: "All organizations" }).click();
  await visitor.arrives("Organizations"); // with no stream for whom is not verified
  await page.getByText(lost).waitFor({ state: "hidden" });
  visitor.content();
});

test("what happens before a page is live is shown when it is", async () => {
  await enter(olive);
  const wire = await Wire.to(visitor);
  wire.hold();
  await visitor.open("/organizations/demo/users");
  await row("demo@example.com").waitFor();
  await invite(olive, "early@example.com");
  wire.release();
  await row("early@example.com").waitFor();
  visitor.content();
});

test.each([
  ["the first time", "first"],
  ["again", "again"],
])("what happens while a list is asked for %s is in it", async (_, subdomain) => {
  const lea = await signUp("Lea", subdomain);
  const { page } = await enter(lea);
  const opened = page.waitForEvent("websocket");
  await visitor.open(`/organizations/${subdomain}`);
  const activity = page.getByRole("link", { name: "Activity" });
  if (subdomain !== "first") {
    await activity.click();
    await row("Lea Owner").first().waitFor();
    await page.getByRole("link", { name: "Instances" }).click();
    await visitor.arrives("Instances");
  }
  await streams(2);
  const { given, answer } = await delay("query Activity(");
  await activity.click();
  await given;
  const told = (await opened).waitForEvent("framereceived", ({ payload }) =>
    String(payload).includes("meanwhile@example.com"),
  );
  await invite(lea, "meanwhile@example.com");
  await told;
  answer();
  await row("meanwhile@example.com").waitFor();
  visitor.content();
});

test("an answer that comes after a newer one does not stay", async () => {
  const lea = await signUp("Lea", "newer");
  const { page } = await enter(lea);
  const { promise: connectable, so: connect } = soon();
  await page.routeWebSocket("**/graphql", async (socket) => {
    await connectable;
    socket.connectToServer();
  });
  const { given, answer } = await delay("query Activity(", true);
  await visitor.open("/organizations/newer/activity");
  await given;
  await invite(lea, "meanwhile@example.com");
  connect(); // whereupon the page asks for all once more
  await row("meanwhile@example.com").waitFor();
  const asked = page.waitForRequest((request) => !!request.postData()?.includes("query Activity("));
  answer();
  await (await asked).response();
  await row("meanwhile@example.com").waitFor();
  visitor.content();
});

test("the focus stays on the pager at the last page", async () => {
  const petra = await signUp("Petra", "pages");
  await invite(petra, ...Array.from({ length: 20 }, (_, i) => `page${i}@example.com`));
  const { page } = await enter(petra);
  await visitor.open("/organizations/pages/users");
  for (const [name, entries] of [
    ["Next", 1],
    ["Previous", 20],
  ] as const) {
    await button(name).press("Enter");
    await expect.poll(() => page.getByRole("switch").count()).toBe(entries);
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe(name);
    expect(await button(name).isEnabled()).toBe(false);
    await page.keyboard.press("Enter"); // leads nowhere
  }
  expect(await page.getByRole("switch").count()).toBe(20);
  visitor.content();
});

test("a page whose last entry is gone leads back to the others", async () => {
  const several = await signUp("Sam", "several");
  await invite(several, ...Array.from({ length: 20 }, (_, i) => `user${i}@example.com`));
  const { page } = await enter(several);
  await visitor.open("/organizations/several/users");
  await button("Next").click();
  await button("Revoke the invitation to user9@example.com").click();
  await page.getByRole("dialog").getByLabel("Type DELETE").fill("DELETE");
  await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await page.getByText("is revoked.").waitFor();
  await page.getByText("Nobody has").waitFor({ state: "hidden" });
  await button("Previous").click();
  await expect.poll(() => page.getByRole("switch").count()).toBe(20);
  visitor.content();
});

test("a token works to the end of its last day, where its owner is", async () => {
  const { page } = await enter(olive, "America/Los_Angeles");
  await visitor.open("/account");
  await button("Create a token").click();
  await page.getByLabel("Name", { exact: true }).fill("deployment");
  await page.getByLabel("Last day").fill("2090-12-10");
  await button("Create").click();
  await page.getByText("It is shown only now").waitFor();
  const { viewer } = await server.ask("{ viewer { apiTokens { expiresAt } } }", {}, olive.token);
  expect(viewer.apiTokens).toEqual([{ expiresAt: "2090-12-11T07:59:59Z" }]);
  visitor.content();
});

test("a page that cannot be brought up to date stays, and is when that can be done", async () => {
  const { page, context } = await enter(olive);
  const wire = await Wire.to(visitor);
  await visitor.open("/organizations/demo/users");
  await row("demo@example.com").waitFor();
  await streams(3);
  await invite(olive, "live@example.com");
  await row("live@example.com").waitFor();
  await context.route("**/graphql", (route) => route.abort());
  await invite(olive, "late@example.com");
  await page.getByRole("alert").getByText("The server cannot be reached.").waitFor();
  await row("live@example.com").waitFor();
  await context.unroute("**/graphql");
  await wire.cut();
  await row("late@example.com").waitFor();
  await page.getByRole("alert").waitFor({ state: "hidden" });
  await context.route("**/graphql", (route) => route.abort());
  await page.getByLabel("Search").fill("late");
  await page.getByRole("alert").getByText("The server cannot be reached.").waitFor();
  await row("live@example.com").waitFor({ state: "hidden" }); // it was not searched for
  visitor.content(/ERR_FAILED/);
});

test("a connection is not ended for the answer that the one before did not give", async () => {
  const { page } = await enter(olive);
  await page.clock.install();
  const wire = await Wire.to(visitor);
  await visitor.open("/organizations/demo/users");
  await row("demo@example.com").waitFor();
  await streams(3);
  await invite(olive, "first@example.com");
  await row("first@example.com").waitFor();
  await page.clock.fastForward(10_000);
  await until("a ping is on its way", async () => wire.swallowed === 1);
  await wire.cut();
  await page.getByText("Connected again.").waitFor();
  await page.clock.fastForward(5_000);
  await invite(olive, "second@example.com");
  await row("second@example.com").waitFor();
  expect(wire.connections).toBe(2);
  visitor.content();
});

test("a page is live again though the server does not know where it was", async () => {
  await enter(olive);
  const wire = await Wire.to(visitor);
  await visitor.open("/organizations/demo/users");
  await row("demo@example.com").waitFor();
  await streams(3);
  await invite(olive, "undone@example.com");
  await row("undone@example.com").waitFor();
  // As when what has happened since a backup is lost.
  let unknown = 0;
  wire.change = (message) =>
    message.replace(/"after":"[^"]+"/, () => {
      unknown++;
      return '"after":"unknown"';
    });
  await wire.cut();
  await until("the cursor is sent", async () => unknown === 1);
  await streams(3);
  await invite(olive, "done@example.com");
  await row("done@example.com").waitFor();
  expect(unknown).toBe(1);
  visitor.content();
});

test("streams that the server refuses come again later each time, and alone", async () => {
  const { page } = await enter(olive);
  await page.clock.install();
  const wire = await Wire.to(visitor);
  wire.refusing = true;
  let asked = 0;
  page.on("request", (request) => {
    if (request.method() === "POST") asked++;
  });
  await visitor.open("/organizations/demo/users");
  await row("demo@example.com").waitFor();
  let steps = 0;
  const refused = async (count: number) => {
    for (; wire.refused < count; steps++) {
      await page.clock.fastForward(500);
      await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(drawn)));
    }
  };
  await refused(9);
  const before = asked;
  await invite(olive, "meanwhile@example.com");
  await refused(30);
  expect(asked).toBe(before);
  expect(steps).toBeGreaterThan(20);
  // What no stream has told of is shown once they work.
  wire.refusing = false;
  await page.clock.fastForward(15_000);
  await streams(3);
  await page.clock.fastForward(15_000);
  await row("meanwhile@example.com").waitFor();
  visitor.content();
});

test("what is refused after its dialog is closed is told", async () => {
  const { page } = await enter(olive);
  await visitor.open("/organizations/demo");
  const { answer } = await delay("mutation RegisterInstance");
  await button("Register your own").click();
  await page.getByRole("dialog").getByLabel("Name").fill("no name");
  await button("Register").click();
  await button("Close").click();
  await page.getByRole("dialog").waitFor({ state: "detached" });
  answer();
  await page.locator(".toasts").getByText("Choose a name of 1 to 16").waitFor();
  visitor.content();
});

test("a server that can sign no webhook tells so", async () => {
  const { page } = await enter(olive);
  await visitor.open("/organizations/demo/webhooks");
  await button("Add an endpoint").click();
  await page.getByLabel("URL").fill("https://example.com/studio");
  await button("Add").click();
  await page.getByRole("alert").getByText("STUDIO_WEBHOOK_KEY").waitFor();
  visitor.content();
});

test("who is removed is told so once, however long the next page takes", async () => {
  const rita = await signUp("Rita", "removed");
  const { invited0 } = await invite(olive, "removed@example.com");
  const input = { organizationUserId: invited0.organizationUser.id };
  await server.ask(
    "mutation($input: AcceptInvitationInput!) { acceptInvitation(input: $input) { organizationUser { id } } }",
    { input },
    rita.token,
  );
  const { page } = await enter(rita);
  await page.addInitScript(() => {
    // What React does not do at once, it does when a message to itself arrives.
    const post = MessagePort.prototype.postMessage;
    MessagePort.prototype.postMessage = function (this: MessagePort, message: unknown) {
      setTimeout(() => post.call(this, message), 300);
    };
  });
  await visitor.open("/organizations/demo");
  await streams(2);
  await server.ask(
    "mutation($input: RemoveOrganizationUserInput!) { removeOrganizationUser(input: $input) { removedOrganizationUserId } }",
    { input: { ...input, confirm: "DELETE" } },
    olive.token,
  );
  await page.getByRole("heading", { name: "Organizations" }).waitFor();
  await streams(1);
  expect(await page.getByText("no longer have access").count()).toBe(1);
  visitor.content();
});

test.each([
  ["leaves", "settings", "Leave…", "Leave", "You have left"],
  ["deletes", "settings", "Delete…", "Delete", "Hugo's Organization is deleted."],
  ["ends their membership of", "users", "Remove ownremove@example.com", "Remove", "is removed."],
])(
  "who %s an organization is told of that, and of nothing else",
  async (_, path, open, submit, told) => {
    const hugo = await signUp("Hugo", `hugo${submit.toLowerCase()}`);
    const own = `own${submit.toLowerCase()}`;
    const nora = await signUp("Nora", own);
    const { invited0 } = await invite(hugo, `${own}@example.com`);
    const { id } = invited0.organizationUser;
    for (const [mutation, { token }] of [
      ["acceptInvitation(input: { organizationUserId: $id })", nora],
      ["setOrganizationOwner(input: { organizationUserId: $id, isOwner: true })", hugo],
    ] as const) {
      await server.ask(
        `mutation($id: ID!) { ${mutation} { organizationUser { id } } }`,
        { id },
        token,
      );
    }
    const { page } = await enter(nora);
    const { answer } = await delay(`mutation ${submit}Organization`);
    await visitor.open(`/organizations/hugo${submit.toLowerCase()}/${path}`);
    await button(open).click();
    const typed = submit === "Remove" ? "DELETE" : "Hugo's Organization";
    await page.getByRole("dialog").getByLabel("to confirm").fill(typed);
    await page.getByRole("dialog").getByRole("button", { name: submit }).click();
    await visitor.arrives("Organizations"); // for the stream has ended
    answer();
    await page.getByText(told).waitFor();
    expect(await page.getByText("no longer have access").count()).toBe(0);
    visitor.content();
  },
);

test("a size that somebody else changes meanwhile is where choosing goes on", async () => {
  const rosa = await signUp("Rosa", "resize");
  const ask = (query: string, variables: object) => server.ask(query, variables, rosa.token);
  const { organizationId } = rosa;
  await ask(
    `mutation($organizationId: ID!) {
      setCard(input: { organizationId: $organizationId, paymentMethodId: "pm_card_visa" }) { billing { id } }
    }`,
    { organizationId },
  );
  const { createInstance } = await ask(
    `mutation($organizationId: ID!) {
      createInstance(input: {
        organizationId: $organizationId, name: "pears", region: "us-east-1"
        computePlanId: "cloud-2gb", storageGb: 10
      }) { instance { id } }
    }`,
    { organizationId },
  );
  const { page } = await enter(rosa);
  await visitor.open("/organizations/resize");
  await row("pears").getByText("Active").waitFor();
  await streams(2);
  await button("Resize pears").click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Storage").selectOption("100");
  await ask(
    `mutation($id: ID!) {
      resizeInstance(input: { instanceId: $id, computePlanId: "cloud-8gb", storageGb: 250 }) { instance { id } }
    }`,
    { id: createInstance.instance.id },
  );
  await row("pears").getByText("250 GB storage").waitFor();
  await row("pears").getByText("Active").waitFor();
  expect(await dialog.getByLabel("8 GB").isChecked()).toBe(true);
  expect(await dialog.getByLabel("Storage").inputValue()).toBe("250");
  const resize = dialog.getByRole("button", { name: "Resize" });
  expect(await resize.isEnabled()).toBe(false);
  await dialog.getByLabel("4 GB").check();
  await resize.click();
  await row("pears").getByText("4 GB memory · 250 GB storage").waitFor();
  await row("pears").getByText("Active").waitFor();
  await button("Resize pears").click();
  await dialog.getByText(/It can be changed again after \w{3} \d+, \d{4}, /).waitFor();
  visitor.content();
});

test("what is typed in one organization is not taken along to another", async () => {
  const petra = await signUp("Petra", "petra");
  const { createOrganization } = await server.ask(
    `mutation { createOrganization(input: { name: "Crowd", subdomain: "crowd" }) { organization { id } } }`,
    {},
    petra.token,
  );
  const emails = Array.from({ length: 20 }, (_, i) => `crowd${i}@example.com`);
  await invite({ ...petra, organizationId: createOrganization.organization.id }, ...emails);
  const { page } = await enter(petra);
  await visitor.open("/organizations/petra/users");
  await row("petra@example.com").waitFor();
  await page.getByRole("link", { name: "All organizations" }).click();
  await page.getByRole("link", { name: "Crowd" }).click();
  await page.getByRole("link", { name: "Users" }).click();
  await button("Next").click();
  await expect.poll(() => page.getByRole("switch").count()).toBe(1);
  await page.getByLabel("Email address").fill("half@typed");
  await page.evaluate(() => history.go(-3));
  await page.getByText("Petra's Organization").waitFor();
  await row("petra@example.com").waitFor();
  expect(await page.getByLabel("Email address").inputValue()).toBe("");
  visitor.content();
});

test.each([
  ["signing in", "/sign-in", "SignIn", "Sign in"],
  ["signing up", "/sign-up", "SignUp", "Create the account"],
])("after %s, it is told that who signed in cannot be shown", async (_, path, mutation, submit) => {
  if (mutation === "SignIn") await signUp("Nina", "nina");
  visitor = await visit(browser, server);
  const { page, context } = visitor;
  await visitor.open(path);
  let signed = false;
  await context.route("**/graphql", async (route) => {
    if (signed) return route.abort();
    signed = route.request().postData()?.includes(`mutation ${mutation}(`) ?? false;
    await route.continue();
  });
  if (mutation === "SignUp") {
    await page.getByLabel("First name").fill("Nora");
    await page.getByLabel("Last name").fill("New");
  }
  const email = mutation === "SignUp" ? "nora@example.com" : "nina@example.com";
  await page.getByLabel("Email address").fill(email);
  await page.getByLabel("Password").fill(password);
  await button(submit).click();
  await page.getByRole("alert").getByText("The server cannot be reached.").waitFor();
  await page.getByLabel("Password").waitFor({ state: "hidden" });
  await context.unroute("**/graphql");
  await button("Try again").click();
  await visitor.arrives("Instances");
  visitor.content(/ERR_FAILED/);
});

test("a name that is being typed stays when somebody else renames", async () => {
  const nils = await signUp("Nils", "renamed");
  const rename = (name: string) =>
    server.ask(
      `mutation($organizationId: ID!, $name: String!) {
        updateOrganization(input: { organizationId: $organizationId, name: $name }) { organization { id } }
      }`,
      { organizationId: nils.organizationId, name },
      nils.token,
    );
  const { page } = await enter(nils);
  await visitor.open("/organizations/renamed/settings");
  await streams(2);
  const name = page.getByLabel("Name", { exact: true });
  await rename("First");
  await page.getByRole("heading", { name: "First" }).waitFor();
  expect(await name.inputValue()).toBe("First");
  await name.fill("My own");
  await rename("Second");
  await page.getByRole("heading", { name: "Second" }).waitFor();
  expect(await name.inputValue()).toBe("My own");
  expect(await name.evaluate((input) => input === document.activeElement)).toBe(true);
  visitor.content();
});

test("what is sent again, as its answer was lost, has one effect", async () => {
  const { page, context } = await enter(olive);
  await visitor.open("/organizations");
  const keys: (string | undefined)[] = [];
  let lost = 0;
  let refused = false;
  await context.route("**/graphql", async (route) => {
    const request = route.request();
    if (!request.postData()?.includes("mutation CreateOrganization")) return route.continue();
    keys.push(request.headers()["idempotency-key"]);
    if (refused) {
      refused = false;
      return route.fulfill({
        json: {
          errors: [{ message: "Wait.", extensions: { code: "RATE_LIMITED", retryAfter: 1 } }],
        },
      });
    }
    if (lost === 0) return route.continue();
    lost--;
    await route.fetch();
    await route.abort();
  });
  const dialog = page.getByRole("dialog");
  const create = async (subdomain: string) => {
    await dialog.getByLabel("Subdomain").fill(subdomain);
    await dialog.getByRole("button", { name: "Create" }).click();
  };
  await button("Create a New Organization").click();
  await dialog.getByLabel("Name").fill("Lost");
  lost = 1;
  await create("lost1");
  await dialog.getByRole("alert").getByText("The server cannot be reached.").waitFor();
  await create("lost2");
  await visitor.arrives("Instances"); // another request than the first
  await page.getByRole("link", { name: "All organizations" }).click();
  await button("Create a New Organization").click();
  await dialog.getByLabel("Name").fill("Lost");
  lost = 1;
  await create("lost3");
  await dialog.getByRole("alert").getByText("The server cannot be reached.").waitFor();
  refused = true;
  await create("lost3");
  await dialog.getByRole("alert").getByText("Wait.").waitFor();
  await create("lost3");
  await visitor.arrives("Instances");
  expect(new URL(page.url()).pathname).toBe("/organizations/lost3");
  expect(keys.map((key) => keys.indexOf(key))).toEqual([0, 1, 2, 2, 2]);
  visitor.content(/ERR_FAILED/);
});

test("a form whose answer does not come is told so, and can be sent again", async () => {
  const { page, context } = await enter(olive);
  await page.addInitScript(() => {
    const timeout = AbortSignal.timeout;
    AbortSignal.timeout = (after) => timeout.call(AbortSignal, after / 60);
  });
  await visitor.open("/organizations");
  const dialog = page.getByRole("dialog");
  const keys: (string | undefined)[] = [];
  await context.route("**/graphql", async (route) => {
    const request = route.request();
    if (!request.postData()?.includes("mutation CreateOrganization")) return route.continue();
    if (keys.push(request.headers()["idempotency-key"]) > 1) await route.continue();
  });
  await button("Create a New Organization").click();
  await dialog.getByLabel("Name").fill("Slow");
  await dialog.getByLabel("Subdomain").fill("slow");
  await dialog.getByRole("button", { name: "Create" }).click();
  await dialog.getByRole("alert").getByText("The server cannot be reached.").waitFor();
  await dialog.getByRole("button", { name: "Create" }).click();
  await visitor.arrives("Instances");
  expect(keys[1]).toBe(keys[0]);
  visitor.content();
});

test("what is typed while a form is sent stays", async () => {
  const { page } = await enter(await signUp("Tina", "typed"));
  for (const [path, label, submit, mutation, told] of [
    ["/account", "First name", "Save", "UpdateProfile", "Your name is saved."],
    ["/organizations/typed/settings", "Name", "Rename", "UpdateOrganization", "is renamed."],
    ["/organizations/typed/users", "Email address", "Invite", "InviteUser", "is on its way."],
  ] as const) {
    await visitor.open(path);
    const field = page.getByLabel(label, { exact: true });
    const { answer } = await delay(`mutation ${mutation}`);
    await field.fill("first@example.com");
    await button(submit).click();
    await button(`${submit}…`).waitFor();
    await field.fill("second@example.com");
    answer();
    await page.getByText(told).waitFor();
    expect(await field.inputValue()).toBe("second@example.com");
  }
  visitor.content();
});

test("changing the password ends the other sessions on the page, too", async () => {
  const otto = await signUp("Otto", "otto");
  await server.ask(
    `mutation($password: String!) { signIn(input: { email: "otto@example.com", password: $password }) { token } }`,
    { password },
  );
  const { page } = await enter(otto);
  await visitor.open("/account");
  const others = page.getByRole("button", { name: /^Sign out there/ });
  await others.waitFor();
  await page.getByLabel("Current password").fill(password);
  await page.getByLabel("New password").fill("another horse battery");
  await button("Change the password").click();
  await others.waitFor({ state: "hidden" });
  visitor.content();
});

test("who signs in on an invitation's page is not asked to once more", async () => {
  await signUp("Ida", "ida");
  await invite(olive, "ida@example.com");
  visitor = await visit(browser, server);
  const { page } = visitor;
  await visitor.open(await server.link("ida@example.com", "/invitations/"));
  await page.getByLabel("Password").fill(password);
  const { answer } = await delay("query Viewer");
  await button("Sign in").click();
  await page.getByText("Loading…").waitFor();
  expect(await page.getByLabel("Password").count()).toBe(0);
  answer();
  await button("Join Olive's Organization").waitFor();
  visitor.content();
});

test("the page of a link that no longer verifies leads on", async () => {
  const { page } = await enter(await signUpUnverified("Vito", "vito"));
  await visitor.open("/verify-email/unknown");
  await button("Verify my address").click();
  await page.getByRole("alert").getByText("Request a new mail.").waitFor();
  await page.getByRole("link", { name: "Get another one" }).click();
  await button("Send the mail again").waitFor();
  const link = await server.link("vito@example.com", "/verify-email/");
  await visitor.open(link);
  await button("Verify my address").click();
  await page.getByRole("link", { name: "Go on" }).waitFor();
  await visitor.open(link);
  await page.getByText("Your address is verified.").waitFor();
  visitor.content();
});

test("an invitation that is declined on the organization's page is gone", async () => {
  const dora = await signUp("Dora", "dora");
  await invite(olive, "dora@example.com");
  const { page } = await enter(dora);
  await visitor.open("/organizations/demo");
  await page.getByText("You are invited to this organization.").waitFor();
  await button("Decline to join Olive's Organization").click();
  await visitor.arrives("Not found");
  visitor.content();
});

test("an address that is verified in another tab is verified in this one", async () => {
  const { page } = await enter(await signUpUnverified("Vera", "vera"));
  await visitor.open("/account");
  await page.getByText("Please verify").waitFor();
  const token = (await server.link("vera@example.com", "/verify-email/")).split("/").pop();
  await server.ask(
    "mutation($token: String!) { verifyEmail(input: { token: $token }) { user { id } } }",
    { token },
  );
  // Without a window, all tabs are visible.
  await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
  await page.getByText("Please verify").waitFor({ state: "hidden" });
  visitor.content();
});

test("a page is whose its cookie is, also when that changes in another tab", async () => {
  const anna = await signUp("Anna", "anna");
  const carl = await signUp("Carl", "carl");
  const { page, context } = await enter(anna);
  await visitor.open("/account");
  const name = page.getByLabel("First name");
  await name.fill("Half typed");
  await context.addCookies([{ name: "studio_session", value: carl.token, url: server.url }]);
  const other = await context.newPage();
  await other.goto(`${server.url}/account`);
  await page.getByText("carl@example.com").waitFor();
  expect(await name.inputValue()).toBe("Carl");
  await streams(2);
  await invite(olive, "carl@example.com");
  await page.getByText("Olive Owner invites you to Olive's Organization.").waitFor();
  // Signing out in one tab is signing out in all, and so is signing in.
  await other.getByRole("button", { name: "Sign out" }).click();
  await other.getByRole("heading", { name: "Sign in" }).waitFor();
  await visitor.arrives("Sign in");
  await other.getByLabel("Email address").fill("anna@example.com");
  await other.getByLabel("Password").fill(password);
  await other.getByRole("button", { name: "Sign in" }).click();
  await visitor.arrives("Account");
  await page.getByText("anna@example.com").waitFor();
  await other.close();
  // The Playground does not tell. Without a window, all tabs are visible and have the focus.
  const looks = async (email: string, token: string, look: () => void) => {
    await context.addCookies([{ name: "studio_session", value: token, url: server.url }]);
    await page.evaluate(look);
    await page.getByText(email).waitFor();
  };
  const seen = () => document.dispatchEvent(new Event("visibilitychange"));
  await looks("demo@example.com", olive.token, seen);
  await looks("anna@example.com", anna.token, () => window.dispatchEvent(new Event("focus")));
  visitor.content();
});

test("who comes back to a tab finds it as it was", async () => {
  const { page, context } = await enter(await signUp("Rita", "rita"));
  await visitor.open("/organizations");
  await button("Create a New Organization").click();
  const name = page.getByRole("dialog").getByLabel("Name");
  await name.fill("Half typed");
  let requests = 0;
  page.on("request", () => requests++);
  const back = () =>
    page.evaluate(() => {
      document.dispatchEvent(new Event("visibilitychange"));
      window.dispatchEvent(new Event("focus"));
    });
  await Promise.all([page.waitForResponse("**/graphql"), back()]);
  expect(requests).toBe(1);
  // As when a laptop wakes up before its network does.
  await context.route("**/graphql", (route) => route.abort());
  await Promise.all([page.waitForEvent("requestfailed"), back()]);
  await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn))));
  expect(await page.getByRole("alert").count()).toBe(0);
  expect(await name.inputValue()).toBe("Half typed");
  visitor.content(/ERR_FAILED/);
});

test("an answer that comes late leads nobody away from where they are", async () => {
  const { page } = await enter(await signUp("Lena", "lena"));
  await visitor.open("/organizations");
  const { answer } = await delay("mutation CreateOrganization");
  await button("Create a New Organization").click();
  await page.getByRole("dialog").getByLabel("Name").fill("Late");
  await page.getByRole("dialog").getByLabel("Subdomain").fill("late");
  await page.getByRole("dialog").getByRole("button", { name: "Create" }).click();
  await page.keyboard.press("Escape");
  await page.getByRole("link", { name: "Lena Owner" }).click();
  await visitor.arrives("Account");
  await page.getByLabel("Current password").fill("half typed");
  answer();
  await page.getByText("The organization is yours.").waitFor();
  expect(new URL(page.url()).pathname).toBe("/account");
  expect(await page.getByLabel("Current password").inputValue()).toBe("half typed");
  visitor.content();
});

test("who signs in is signed in, though looking at another page meanwhile", async () => {
  await signUp("Emma", "emma");
  visitor = await visit(browser, server);
  const { page, context } = visitor;
  await visitor.open("/sign-in");
  let send = () => {};
  const sent = new Promise<void>((resolve) => {
    send = resolve;
  });
  await context.route("**/graphql", async (route) => {
    if (route.request().postData()?.includes("mutation SignIn(")) await sent;
    await route.continue();
  });
  await page.getByLabel("Email address").fill("emma@example.com");
  await page.getByLabel("Password").fill(password);
  await button("Sign in").click();
  await page.getByRole("link", { name: "Create an account" }).click();
  await visitor.arrives("Create an account");
  send();
  await visitor.arrives("Instances");
  visitor.content();
});

test.each(["/\t/example.com", "//example.com", "/\\example.com", "/.//example.com"])(
  "signing in does not lead elsewhere: %j",
  async (next) => {
    visitor = await visit(browser, server);
    const { page } = visitor;
    await visitor.open(`/sign-in?next=${encodeURIComponent(next)}`);
    await page.getByLabel("Email address").fill("demo@example.com");
    await page.getByLabel("Password").fill(password);
    await button("Sign in").click();
    await page.getByRole("link", { name: "Olive Owner" }).waitFor();
    expect(new URL(page.url()).origin).toBe(server.url);
    visitor.content();
  },
);

test.each([
  ["an account of another address", "gil", ": you are signed in as gil@example.com."],
  ["none", "", "."],
])("an address is verified with %s signed in", async (_, signedIn, end) => {
  const address = `of-${signedIn || "nobody"}@example.com`;
  await server.ask(
    `mutation($password: String!, $address: String!) {
      signUp(input: { email: $address, password: $password, firstName: "Hal", lastName: "H" }) { token }
    }`,
    { password, address },
  );
  if (signedIn) await enter(await signUp("Gil", signedIn));
  else visitor = await visit(browser, server);
  const { page } = visitor;
  await visitor.open(await server.link(address, "/verify-email/"));
  await button("Verify my address").click();
  await page
    .getByText(`${address} is verified. Sign in with it to see invitations to it${end}`)
    .waitFor();
  expect(await page.getByText("You now see invitations").count()).toBe(0);
  visitor.content();
});

test.each([
  ["of several words", "Rheinische Gesellschaft für angewandte Datenbanktechnik mbH & Co"],
  ["of one word", "W".repeat(64)],
])("a long name %s fits on a phone", async (_, name) => {
  const subdomain = name.includes(" ") ? "words" : "word";
  const wanda = await signUp(name.slice(0, 32), subdomain);
  await server.ask(
    `mutation($organizationId: ID!, $name: String!) {
      updateOrganization(input: { organizationId: $organizationId, name: $name }) { organization { id } }
    }`,
    { organizationId: wanda.organizationId, name },
    wanda.token,
  );
  await invite(wanda, `${subdomain}1@example.com`, `${subdomain}2@example.com`);
  const { page } = await enter(wanda);
  await page.setViewportSize(phone);
  for (const [path, heading] of Object.entries({
    "/organizations": "Organizations",
    "/account": "Account",
    [`/organizations/${subdomain}`]: "Instances",
    [`/organizations/${subdomain}/users`]: "Users",
    [`/organizations/${subdomain}/billing`]: "Billing",
    [`/organizations/${subdomain}/activity`]: "Activity",
    [`/organizations/${subdomain}/settings`]: "Settings",
  })) {
    await visitor.open(path);
    await visitor.arrives(heading);
    await page.locator(".loading").first().waitFor({ state: "detached" });
    await visitor.fits(path);
  }
  visitor.content();
  await visitor.context.close();

  const link = await server.link(`${subdomain}1@example.com`, "/invitations/");
  await enter(await signUp("Wilma", `${subdomain}1`));
  await visitor.page.setViewportSize(phone);
  await visitor.open(link);
  await button(`Join ${name}`).waitFor();
  await visitor.fits("invitation");
  visitor.content();
});

test("a switch and the current tab can be told in the system's own colors", async () => {
  const coco = await signUp("Coco", "colors");
  await invite(coco, "off@example.com");
  const { page } = await enter(coco);
  await page.emulateMedia({ forcedColors: "active" });
  await visitor.open("/organizations/colors/users");
  await row("off@example.com").waitFor();
  const [on, off] = await Promise.all(
    ["colors@example.com", "off@example.com"].map((email) =>
      visitor.colors(page.getByRole("switch", { name: `Owner: ${email}` })),
    ),
  );
  expect(on?.size).toBeGreaterThan(1);
  expect(off?.size).toBeGreaterThan(1);
  expect(on).not.toEqual(off);
  const underline = (tab: string) => visitor.colors(page.getByRole("link", { name: tab }), 2);
  expect(await underline("Users")).not.toEqual(await underline("Settings"));
  visitor.content();
});

test("the current tab is seen on the narrowest phone", async () => {
  const { page } = await enter(olive);
  await page.setViewportSize({ width: 320, height: 568 });
  await visitor.open("/organizations/demo/settings");
  await visitor.arrives("Settings");
  const box = await page.getByRole("link", { name: "Settings" }).boundingBox();
  expect((box?.x ?? 0) + (box?.width ?? 0)).toBeLessThanOrEqual(320);
  visitor.content();
});

test("notices are above dialogs", async () => {
  const tom = await signUp("Tom", "above");
  const { page } = await enter(olive);
  const wire = await Wire.to(visitor);
  await visitor.open("/organizations/demo");
  await streams(2);
  await invite(tom, "demo@example.com");
  const invited = page.locator(".toasts p").filter({ hasText: "Tom Owner invites you" });
  await invited.waitFor();
  await button("Create an instance").click();
  await page.getByRole("dialog").getByLabel("Name").waitFor();
  expect(await visitor.colors(invited)).toContain("33,29,51"); // and not darker
  expect(await invited.getByRole("button").count()).toBe(0); // which could not be pressed
  wire.hold();
  await wire.cut();
  await page.getByText(lost).waitFor();
  expect(await visitor.colors(page.getByText(lost))).toContain("253,241,220");
  wire.release();
  await page.getByText("Connected again.").waitFor();
  visitor.content();
});

test("the focus goes on at the heading when what had it is gone", async () => {
  const gina = await signUp("Gina", "gone");
  const { organizationId } = gina;
  await invite(gina, "guest@example.com");
  await server.ask(
    `mutation($password: String!) { signIn(input: { email: "gone@example.com", password: $password }) { token } }`,
    { password },
  );
  await server.ask(
    `mutation($organizationId: ID!) {
      createInstance(input: {
        organizationId: $organizationId, name: "pears", region: "us-east-1"
        computePlanId: "cloud-1gb", storageGb: 10
      }) { instance { id } }
    }`,
    { organizationId },
    gina.token,
  );
  const { page } = await enter(gina);
  const dialog = page.getByRole("dialog");
  const gone = async (what: Locator) => {
    await what.waitFor({ state: "detached" });
    await expect.poll(() => page.evaluate(() => document.activeElement?.tagName)).toBe("H1");
  };
  await visitor.open("/organizations/gone/users");
  await button("Revoke the invitation to guest@example.com").click();
  await dialog.getByLabel("Type DELETE").fill("DELETE");
  await page.keyboard.press("Enter");
  await gone(row("guest@example.com"));
  await visitor.open("/organizations/gone");
  await row("pears").getByText("Active").waitFor();
  await button("Delete pears").click();
  await dialog.getByLabel("to confirm").fill("pears");
  await page.keyboard.press("Enter");
  await gone(row("pears"));
  await visitor.open("/account");
  const other = page.getByRole("button", { name: /^Sign out there/ });
  await other.press("Enter");
  await gone(other);
  // Nor does it move once somebody has pressed elsewhere.
  await page.getByLabel("First name").focus();
  await page.mouse.click(2, 2);
  await page.getByLabel("First name").evaluate((field) => field.closest("section")?.remove());
  await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(drawn)));
  expect(await page.evaluate(() => document.activeElement?.tagName)).toBe("BODY");
  visitor.content();
});

test("the focus stays where something was done", async () => {
  const fay = await signUp("Fay", "focus");
  const felix = await signUp("Felix", "felix");
  const { invited0 } = await invite(fay, "felix@example.com");
  await server.ask(
    "mutation($input: AcceptInvitationInput!) { acceptInvitation(input: $input) { organizationUser { id } } }",
    { input: { organizationUserId: invited0.organizationUser.id } },
    felix.token,
  );
  const { page, context } = await enter(fay);
  await visitor.open("/organizations/focus/users");
  await page.getByLabel("Email address").fill("fred@example.com");
  await button("Invite").click();
  await row("fred@example.com").waitFor();
  const own = page.getByRole("switch", { name: "Owner: focus@example.com" });
  const owner = page.getByRole("switch", { name: "Owner: felix@example.com" });
  const resend = button("Resend the invitation to fred@example.com");
  for (const [control, key, told] of [
    [resend, "Enter", "A new invitation to fred@example.com is on its way."],
    [own, "Space", "Stop being an owner?"],
    [owner, "Space", "cannot be reached"],
  ] as const) {
    await control.focus();
    if (control === owner) await context.route("**/graphql", (route) => route.abort());
    await page.keyboard.press(key);
    await page.getByText(told).first().waitFor();
    if (control === own) await page.keyboard.press("Escape");
    await expect
      .poll(() => control.evaluate((element) => element === document.activeElement))
      .toBe(true);
  }
  await context.unroute("**/graphql");
  // While it is under way, once is enough.
  let sent = 0;
  let answer = () => {};
  const answered = new Promise<void>((resolve) => {
    answer = resolve;
  });
  await context.route("**/graphql", async (route) => {
    if (route.request().postData()?.includes("SetOrganizationOwner")) {
      sent++;
      await answered;
    }
    await route.continue();
  });
  await owner.press("Space");
  await until("it is under way", async () => sent === 1 && !(await owner.isEnabled()));
  await owner.press("Space");
  answer();
  await expect.poll(() => owner.isEnabled()).toBe(true);
  expect(sent).toBe(1);
  visitor.content(/ERR_FAILED/);
});

test("a name with two spaces is shown as it is to be typed", async () => {
  const bea = await signUp("Bea", "blue");
  await server.ask(
    `mutation($organizationId: ID!) {
      updateOrganization(input: { organizationId: $organizationId, name: "Blue  Barn" }) { organization { id } }
    }`,
    { organizationId: bea.organizationId },
    bea.token,
  );
  const { page } = await enter(bea);
  await visitor.open("/organizations/blue/settings");
  await button("Delete…").click();
  const shown = await page.getByRole("dialog").locator("label").innerText();
  expect(shown).toBe("Type “Blue  Barn” to confirm");
  visitor.content();
});

test.each([
  ["cannot copy", () => Object.defineProperty(navigator, "clipboard", { value: undefined })],
  [
    "refuses to copy",
    () =>
      Object.defineProperty(navigator, "clipboard", {
        value: { writeText: () => Promise.reject(new DOMException("no", "NotAllowedError")) },
      }),
  ],
])("a token can be taken from a browser that %s", async (what, browserThat) => {
  const { page } = await enter(olive);
  await page.addInitScript(browserThat);
  await visitor.open("/account");
  await button("Create a token").click();
  await page.getByLabel("Name", { exact: true }).fill(what);
  await button("Create").click();
  await page.getByText("It is shown only now").waitFor();
  if (what === "cannot copy") {
    expect(await button("Copy").count()).toBe(0);
  } else {
    await button("Copy").click();
    await page
      .getByRole("dialog")
      .getByRole("alert")
      .getByText("does not let Studio copy")
      .waitFor();
  }
  await button("Done").click();
  visitor.content();
});

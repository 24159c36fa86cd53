// Entering a card with an account at Stripe. Stripe itself is out of reach: stripe-mock, which is made
// by Stripe, stands for its API, and a few lines for its script in the browser.
import { type ChildProcess, spawn } from "node:child_process";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freePort, launch, Server, until, type Visitor, visit } from "./studio";

let mock: ChildProcess;
let server: Server;
let browser: Browser;

beforeAll(async () => {
  const program = process.env.STUDIO_TEST_STRIPE_MOCK;
  if (!program) throw new Error("STUDIO_TEST_STRIPE_MOCK is not set: run make test-browser");
  const port = await freePort();
  mock = spawn(program, ["-http-addr", `127.0.0.1:${port}`], { stdio: "ignore" });
  await until("stripe-mock is ready", () =>
    fetch(`http://127.0.0.1:${port}`).then(
      () => true,
      () => false,
    ),
  );
  server = await Server.start({
    STUDIO_STRIPE_SECRET_KEY: "sk_test_browser",
    STUDIO_STRIPE_PUBLISHABLE_KEY: "pk_test_browser",
    STUDIO_STRIPE_WEBHOOK_SECRET: "whsec_browser",
    STUDIO_STRIPE_API_URL: `http://127.0.0.1:${port}`,
  });
  browser = await launch();
});

afterAll(async () => {
  await browser?.close();
  await server?.remove();
  mock?.kill();
});

/** What of Stripe.js the page uses; see https://docs.stripe.com/js. */
const script = `window.Stripe = (key) => ({
  _registerWrapper() {},
  elements: ({ clientSecret }) => ({
    create: () => ({ mount: (frame) => { frame.textContent = "A card for " + key + " and " + clientSecret; } }),
  }),
  confirmSetup: async () => {
    if (window.declined) return { error: { message: "Your card number is incomplete." } };
    const setupIntent = { payment_method: "pm_card_visa", status: "succeeded" };
    if (window.confirmed)
      return { error: { code: "setup_intent_unexpected_state", message: "It has succeeded.", setup_intent: setupIntent } };
    window.confirmed = true;
    await new Promise((resolve) => {
      const challenge = document.createElement("div"); // as of 3-D Secure
      challenge.style = "position: fixed; inset: 0; z-index: 2147483647; background: white";
      challenge.innerHTML = "<button>Authenticate</button>";
      challenge.firstChild.onclick = () => resolve(challenge.remove());
      document.body.append(challenge);
    });
    return { setupIntent };
  },
});`;

test("with an account at Stripe, the card is entered in Stripe's form", async () => {
  const visitor = await visit(browser, server);
  const { page, context } = visitor;
  await context.route("https://js.stripe.com/**", (route) =>
    route.fulfill({ contentType: "text/javascript", body: script }),
  );
  await visitor.open("/sign-up");
  await page.getByLabel("First name").fill("Olive");
  await page.getByLabel("Last name").fill("Owner");
  await page.getByLabel("Email address").fill("olive@example.com");
  await page.getByLabel("Password").fill("correct horse battery");
  await page.getByRole("button", { name: "Create the account" }).click();
  await visitor.arrives("Instances");
  visitor.content(); // nothing of Stripe is loaded where it is not needed
  await page.getByRole("link", { name: "Billing" }).click();
  await page.getByRole("button", { name: "Set a card" }).click();
  await page.getByText("A card for pk_test_browser and seti_").waitFor();
  await page.evaluate(() => Object.assign(window, { declined: true }));
  await page.getByRole("button", { name: "Set this card" }).click();
  await page.getByRole("alert").getByText("Your card number is incomplete.").waitFor();
  await page.evaluate(() => Object.assign(window, { declined: false }));
  await context.route("**/graphql", (route) =>
    route.request().postData()?.includes("SetCard") ? route.abort() : route.continue(),
  );
  await page.getByRole("button", { name: "Set this card" }).click();
  await page.getByRole("button", { name: "Authenticate" }).click();
  await page.getByRole("alert").getByText("The server cannot be reached.").waitFor();
  await context.unroute("**/graphql");
  const sent = page.waitForRequest((request) => request.postData()?.includes("SetCard") ?? false);
  await page.getByRole("button", { name: "Set this card" }).click();
  expect((await sent).postDataJSON().variables.input.paymentMethodId).toBe("pm_card_visa");
  await page.getByText("The card is set.").waitFor();
  visitor.content(/^a request to https:\/\/js\.stripe\.com\/|ERR_FAILED/);
});

/** Signs in the account of the test before, and asks for the form. */
async function enterCard(visitor: Visitor) {
  const { page } = visitor;
  await visitor.open("/sign-in?next=/organizations/oliveowner/billing");
  await page.getByLabel("Email address").fill("olive@example.com");
  await page.getByLabel("Password").fill("correct horse battery");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page
    .getByRole("button", { name: /the card|Set a card/ })
    .first()
    .click();
}

test("without Stripe's script, it is told that the form cannot be loaded", async () => {
  const visitor = await visit(browser, server);
  const { page, context } = visitor;
  await context.route("https://js.stripe.com/**", (route) => route.abort());
  await enterCard(visitor);
  await page.getByRole("alert").getByText("cannot be loaded").waitFor();
  visitor.content(/js\.stripe\.com|ERR_FAILED/);
});

test("when a file of the page has gone with an upgrade, it can be loaded again", async () => {
  const visitor = await visit(browser, server);
  const { page, context } = visitor;
  await context.route("**/assets/stripe-form-*", (route) => route.fulfill({ status: 404 }));
  await enterCard(visitor);
  await visitor.arrives("Something went wrong");
  await visitor.looks("broken");
  await context.unroute("**/assets/stripe-form-*");
  await page.getByRole("button", { name: "Load again" }).click();
  await visitor.arrives("Billing");
  visitor.content(/404|dynamically imported module/);
});

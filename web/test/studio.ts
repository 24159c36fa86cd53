// What the tests stand on: the real server, with the built front end in it, and real Chromium.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Browser,
  type BrowserContext,
  chromium,
  type Locator,
  type Page,
} from "playwright-core";
import { expect, vi } from "vitest";

/** How long anything may take to be seen, in milliseconds: the machine may be busy with other tests. */
const patience = 30_000;

/** A free port of the loopback interface. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

/** Waits until something is true. */
export async function until(what: string, holds: () => Promise<boolean>) {
  await vi.waitFor(async () => expect(await holds(), what).toBe(true), {
    timeout: patience,
    interval: 50,
  });
}

interface Mail {
  to: string;
  text: string;
}

/** Server is the program, with a database of its own. */
export class Server {
  private constructor(
    readonly url: string,
    private readonly directory: string,
    private readonly settings: Record<string, string>,
  ) {}

  private process?: ChildProcess;

  /** Starts a server; settings are environment variables. */
  static async start(settings: Record<string, string> = {}): Promise<Server> {
    const url = `http://127.0.0.1:${await freePort()}`;
    const server = new Server(url, mkdtempSync(join(tmpdir(), "studio-")), settings);
    await server.start();
    return server;
  }

  /** Starts it again, on the same port and database. */
  async start() {
    const program = process.env.STUDIO_TEST_PROGRAM;
    if (!program) throw new Error("STUDIO_TEST_PROGRAM is not set: run make test-browser");
    const others = Object.entries(process.env).filter(([name]) => !name.startsWith("STUDIO_"));
    this.process = spawn(program, ["serve"], {
      cwd: this.directory,
      env: { ...Object.fromEntries(others), STUDIO_ADDR: new URL(this.url).host, ...this.settings },
      stdio: ["ignore", "ignore", process.env.STUDIO_TEST_LOG ? "inherit" : "ignore"],
    });
    await until("the server is ready", async () => {
      const answer = await fetch(`${this.url}/readyz`).catch(() => null);
      return answer?.ok ?? false;
    });
  }

  /** Stops it as an operator does, and waits for its end. */
  async stop() {
    const running = this.process;
    if (!running || running.exitCode !== null) return;
    running.kill("SIGTERM");
    await once(running, "exit");
  }

  /** Stops it for good. */
  async remove() {
    await this.stop();
    rmSync(this.directory, { recursive: true });
  }

  /** The path of the link in the newest mail to an address whose link begins with a path. */
  async link(to: string, path: string): Promise<string> {
    let found: string | undefined;
    await until(`a mail to ${to} with a link to ${path}`, async () => {
      const mails = (await (await fetch(`${this.url}/dev/mailbox.json`)).json()) as Mail[];
      const texts = mails.filter((mail) => mail.to === to).map((mail) => mail.text);
      found = texts.flatMap((text) => text.match(new RegExp(`${path}[\\w-]+`)) ?? [])[0];
      return found !== undefined;
    });
    return found ?? "";
  }

  /** Lets days pass in the sandbox, counted from today. */
  async pass(days: number) {
    const to = new Date(Date.now() + days * 24 * 3600 * 1000).toISOString().replace(/\.\d+/, "");
    const answer = await fetch(`${this.url}/dev/stripe/advance`, {
      method: "POST",
      body: JSON.stringify({ to }),
    });
    expect(answer.status, await answer.text()).toBe(200);
  }

  /** Another client of the API: the data of the answer. */
  // biome-ignore lint/suspicious/noExplicitAny: each test knows what it asks for
  async ask(query: string, variables: object = {}, token = ""): Promise<any> {
    const answer = await fetch(`${this.url}/graphql`, {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        ...(token && { Authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify({ query, variables }),
    });
    const { data, errors } = (await answer.json()) as { data: unknown; errors?: unknown };
    expect(errors).toBeUndefined();
    return data;
  }
}

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const desktop = { width: 1280, height: 800 };

/** The size of a phone's window. */
export const phone = { width: 390, height: 844 };

/** Visitor is somebody with a browser of their own: cookies are not shared. */
export class Visitor {
  private readonly complaints: string[] = [];

  constructor(
    readonly context: BrowserContext,
    readonly page: Page,
    private readonly url: string,
  ) {
    context.on("request", (request) => {
      const { protocol, hostname } = new URL(request.url());
      if (!["data:", "blob:"].includes(protocol) && hostname !== "127.0.0.1") {
        this.complaints.push(`a request to ${request.url()}`);
      }
    });
    page.on("console", (message) => {
      if (message.type() === "error") this.complaints.push(message.text());
    });
    page.on("pageerror", (error) => this.complaints.push(error.message));
  }

  open(path: string) {
    return this.page.goto(this.url + path);
  }

  /** Waits for the page of a heading. */
  async arrives(heading: string) {
    await this.page.getByRole("heading", { name: heading, level: 1 }).waitFor();
  }

  /** Fails for all that the browser has complained of: errors, the policy, requests elsewhere. */
  content(expected = /^$/) {
    const unexpected = this.complaints.splice(0).filter((complaint) => !expected.test(complaint));
    expect(unexpected).toEqual([]);
  }

  /** The colors in which an element is painted, or only so many pixels at its lower edge, as "red,green,blue". */
  async colors(of: Locator, edge?: number): Promise<Set<string>> {
    await of.scrollIntoViewIfNeeded();
    const box = await of.boundingBox();
    if (!box) throw new Error("it is not shown");
    const height = edge ?? box.height;
    const clip = { x: box.x, width: box.width, y: box.y + box.height - height, height };
    const png = (await this.page.screenshot({ clip })).toString("base64");
    const colors = await this.page.evaluate(async (png) => {
      const bytes = Uint8Array.from(atob(png), (byte) => byte.charCodeAt(0));
      const picture = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
      const canvas = new OffscreenCanvas(picture.width, picture.height);
      const context = canvas.getContext("2d") as OffscreenCanvasRenderingContext2D;
      context.drawImage(picture, 0, 0);
      const { data } = context.getImageData(0, 0, picture.width, picture.height);
      return Array.from({ length: data.length / 4 }, (_, i) => data.slice(4 * i, 4 * i + 3).join());
    }, png);
    return new Set(colors);
  }

  /** Fails when the page scrolls sideways. */
  async fits(name: string) {
    const wider = await this.page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    );
    expect(wider, `${name} is wider than the window`).toBe(0);
  }

  /**
   * Takes pictures of the page, light and dark, on a desktop and on a phone, and fails for each
   * barrier that axe finds, and when the page scrolls sideways. What is excluded is named by selectors.
   */
  async looks(name: string, ...exclude: string[]) {
    mkdirSync("screenshots", { recursive: true });
    await this.page.evaluate(() => {
      for (const notice of document.querySelectorAll<HTMLElement>(".toasts button")) notice.click();
    });
    for (const [width, viewport] of Object.entries({ "": desktop, "-phone": phone })) {
      await this.page.setViewportSize(viewport);
      for (const colorScheme of ["light", "dark"] as const) {
        await this.page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        await this.page.screenshot({ path: `screenshots/${name}-${colorScheme}${width}.png` });
        await this.fits(name + width);
        await this.page.evaluate(axe);
        const barriers = await this.page.evaluate(
          async ([rules, exclude]) => {
            // @ts-expect-error axe has just been loaded
            const { violations } = await window.axe.run({ exclude }, { runOnly: rules });
            return (violations as { id: string; nodes: { html: string }[] }[]).flatMap(
              ({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`),
            );
          },
          [rules, exclude] as const,
        );
        expect(barriers, `barriers of ${name}, ${colorScheme}${width}`).toEqual([]);
      }
    }
    await this.page.emulateMedia({ colorScheme: "light" });
    await this.page.setViewportSize(desktop);
  }
}

/** Chromium without anything that it does by itself. */
export function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env.STUDIO_TEST_CHROMIUM || "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** Lets somebody in, from a time zone. */
export async function visit(
  browser: Browser,
  server: Server,
  timezoneId = "UTC",
): Promise<Visitor> {
  const context = await browser.newContext({
    viewport: desktop,
    reducedMotion: "reduce",
    timezoneId,
  });
  context.setDefaultTimeout(patience);
  return new Visitor(context, await context.newPage(), server.url);
}

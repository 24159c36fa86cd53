// The protocols, as others know them: the audits of the GraphQL over HTTP specification, the clients
// that the streaming protocols were defined with, and compilers that other front ends are built with.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generate } from "@graphql-codegen/cli";
import { serverAudits } from "graphql-http";
import * as sse from "graphql-sse";
import * as ws from "graphql-ws";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { Server, until } from "./studio";

let server: Server;
let token: string;
let organizationId: string;

beforeAll(async () => {
  server = await Server.start();
  const { signUp } = await server.ask(
    `mutation { signUp(input: {
      email: "owner@example.com", password: "correct horse battery", firstName: "Olive", lastName: "Owner"
    }) { token viewer { landingOrganization { id } } } }`,
  );
  token = signUp.token;
  organizationId = signUp.viewer.landingOrganization.id;
});

afterAll(() => server?.remove());

describe("graphql-http", () => {
  const audits = serverAudits({ url: () => `${server.url}/graphql` });

  test("has audits of each kind", () => {
    const kinds = new Set(audits.map(({ name }) => name.split(" ")[0]));
    expect([...kinds].sort()).toEqual(["MAY", "MUST", "SHOULD"]);
  });

  test.each(audits)("$id: $name", async ({ id, name, fn }) => {
    expect(await fn()).toEqual({ id, name, status: "ok" });
  });
});

/** What both clients have in common. */
interface Client {
  subscribe(
    request: { query: string; variables?: Record<string, unknown> },
    sink: {
      // biome-ignore lint/suspicious/noExplicitAny: each test knows what it asks for
      next(answer: { data?: any; errors?: readonly { extensions?: unknown }[] | null }): void;
      error(error: unknown): void;
      complete(): void;
    },
  ): () => void;
  dispose(): unknown;
}

const clients: Record<string, (authorization?: string) => Client> = {
  "graphql-ws": (Authorization = `Bearer ${token}`) =>
    ws.createClient({
      url: `${server.url.replace("http", "ws")}/graphql`,
      webSocketImpl: WebSocket,
      connectionParams: { Authorization },
      retryWait: () => new Promise((resolve) => setTimeout(resolve, 100)),
      retryAttempts: 100,
      shouldRetry: () => true, // also while the server is not there yet
    }) as Client,
  "graphql-sse": (Authorization = `Bearer ${token}`) =>
    sse.createClient({
      url: `${server.url}/graphql`,
      headers: { Authorization },
      retryAttempts: 0,
    }) as Client,
};

const rename = (name: string) =>
  server.ask(
    `mutation($organizationId: ID!, $name: String!) {
      updateOrganization(input: { organizationId: $organizationId, name: $name }) { organization { name } }
    }`,
    { organizationId, name },
    token,
  );

describe.each(Object.keys(clients))("%s", (name) => {
  const connect = clients[name] as (authorization?: string) => Client;

  /** All answers to an operation, and the error that ended it. */
  async function answers(client: Client, query: string, variables = {}) {
    const found: unknown[] = [];
    let error: unknown;
    await new Promise<void>((resolve) =>
      client.subscribe(
        { query, variables },
        {
          next: (answer) => found.push(answer),
          error(reason) {
            error = reason;
            resolve();
          },
          complete: resolve,
        },
      ),
    );
    return { found, error };
  }

  /** The codes of the errors, wherever the client has put them. */
  function codes({ found, error }: { found: unknown[]; error: unknown }) {
    const [answer] = found as { errors?: unknown }[];
    const errors = (error ?? answer?.errors) as { extensions: { code: string } }[];
    return errors.map(({ extensions }) => extensions.code);
  }

  test("queries and changes", async () => {
    const client = connect();
    const renamed = await answers(
      client,
      `mutation { updateProfile(input: { firstName: "${name}" }) { user { firstName } } }`,
    );
    expect(renamed).toEqual({
      found: [{ data: { updateProfile: { user: { firstName: name } } } }],
      error: undefined,
    });
    const { found } = await answers(client, "{ viewer { user { firstName } } }");
    expect(found).toEqual([{ data: { viewer: { user: { firstName: name } } } }]);
    await client.dispose();
  });

  test("is told what is wrong", async () => {
    const client = connect();
    expect(codes(await answers(client, "{"))).toEqual(["GRAPHQL_PARSE_FAILED"]);
    expect(codes(await answers(client, "{ nope }"))).toEqual(["GRAPHQL_VALIDATION_FAILED"]);
    const elsewhere = 'updateOrganization(input: { organizationId: "x", name: "x" })';
    expect(codes(await answers(client, `mutation { ${elsewhere} { __typename } }`))).toEqual([
      "NOT_FOUND",
    ]);
    expect(
      codes(
        await answers(client, 'subscription { organizationEvents(organizationId: "x") { id } }'),
      ),
    ).toEqual(["NOT_FOUND"]);
    await client.dispose();
  });

  test("goes on after a restart of the server", async () => {
    const client = connect();
    const subscribed = {
      query: `subscription($organizationId: ID!, $after: String) {
        organizationEvents(organizationId: $organizationId, after: $after) { cursor summary }
      }`,
      variables: { organizationId, after: undefined as string | undefined },
    };
    const { organization } = await server.ask(
      `query($organizationId: ID!) {
        organization(id: $organizationId) { events(first: 1) { nodes { cursor } } }
      }`,
      { organizationId },
      token,
    );
    subscribed.variables.after = organization.events.nodes[0].cursor;
    const summaries: string[] = [];
    const ends: unknown[] = [];
    let stop = () => {};
    const follow = () => {
      stop = client.subscribe(subscribed, {
        next({ data, errors }) {
          if (errors) {
            ends.push(...codes({ found: [{ errors }], error: undefined }));
          } else {
            summaries.push(data.organizationEvents.summary);
            subscribed.variables.after = data.organizationEvents.cursor;
          }
        },
        error: (error) => ends.push(error),
        complete: () => ends.push("complete"),
      });
    };
    follow();
    await rename(`${name} one`);
    await until("the first event", async () => summaries.length === 1);

    await server.stop();
    await server.start();
    await rename(`${name} two`);
    if (name === "graphql-ws") {
      expect(ends).toEqual([]); // The code of the close made the client connect again by itself.
    } else {
      expect(ends).toEqual(["UNAVAILABLE", "complete"]);
      follow();
    }
    await rename(`${name} three`);
    await until("the other events", async () => summaries.length >= 3);
    stop();
    expect(summaries.map((summary) => summary.match(/(one|two|three)\W*$/)?.[1])).toEqual([
      "one",
      "two",
      "three",
    ]);
    await client.dispose();
  });
});

describe("graphql-ws", () => {
  /** The code with which the server closes what a client has opened. */
  async function closed(options: Partial<ws.ClientOptions>) {
    const client = ws.createClient({
      url: `${server.url.replace("http", "ws")}/graphql`,
      webSocketImpl: WebSocket,
      retryAttempts: 0,
      ...options,
    });
    const code = new Promise((resolve) =>
      client.on("closed", (event) => resolve((event as CloseEvent).code)),
    );
    client.subscribe({ query: "{ __typename }" }, { next() {}, error() {}, complete() {} });
    return await code;
  }

  test.each([
    ["a token that does not work", { connectionParams: { Authorization: "Bearer x" } }, 4403],
    ["an authorization that is no text", { connectionParams: { Authorization: 1 } }, 4400],
    ["nothing to do any more", { lazyCloseTimeout: 0 }, 1000],
  ] as [string, Partial<ws.ClientOptions>, number][])(
    "is closed for %s",
    async (_, options, code) => {
      expect(await closed(options)).toBe(code);
    },
  );
});

describe("schema.graphqls", () => {
  const schema = "../schema.graphqls";

  test("is accepted by graphql-codegen", async () => {
    const files = await generate(
      {
        schema,
        generates: { "schema.ts": { plugins: ["typescript-operations"] } },
        documents: ["query Whole { viewer { id } }"],
      },
      false,
    );
    expect(files).toHaveLength(1);
  });

  test("is accepted by relay-compiler, as are its connections and nodes", () => {
    const folder = mkdtempSync(join(tmpdir(), "studio-relay-"));
    mkdirSync(join(folder, "src/artifacts"), { recursive: true });
    // It reads a schema only from a file that is named so.
    writeFileSync(join(folder, "schema.graphql"), readFileSync(schema));
    writeFileSync(
      join(folder, "src/users.ts"),
      `graphql\`query usersQuery($id: ID!) { organization(id: $id) { ...users_organization } }\`;
      graphql\`fragment users_organization on Organization
        @refetchable(queryName: "usersPageQuery")
        @argumentDefinitions(first: { type: "Int", defaultValue: 20 }, after: { type: "String" }) {
        users(first: $first, after: $after) @connection(key: "users_users") { edges { node { id email } } }
      }\`;
      graphql\`mutation usersInviteMutation($input: InviteUserInput!) {
        inviteUser(input: $input) { organizationUser { id status } }
      }\`;
      graphql\`subscription usersSubscription($organizationId: ID!) {
        invitationAccepted(organizationId: $organizationId) { id status }
      }\`;`,
    );
    writeFileSync(
      join(folder, "relay.config.json"),
      JSON.stringify({
        src: "src",
        schema: "schema.graphql",
        language: "typescript",
        artifactDirectory: "src/artifacts",
      }),
    );
    const compiler = createRequire(import.meta.url).resolve("relay-compiler/cli.js");
    execFileSync(process.execPath, [compiler, "relay.config.json"], { cwd: folder, stdio: "pipe" });
    expect(readdirSync(join(folder, "src/artifacts")).sort()).toEqual(
      [
        "usersInviteMutation",
        "usersPageQuery",
        "usersQuery",
        "usersSubscription",
        "users_organization",
      ].map((name) => `${name}.graphql.ts`),
    );
    rmSync(folder, { recursive: true });
  });
});

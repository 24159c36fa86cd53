// The Playground: GraphiQL, with a first session to try. Everything comes from this server.
import "graphiql/setup-workers/vite";
import { explorerPlugin } from "@graphiql/plugin-explorer";
import { createGraphiQLFetcher } from "@graphiql/toolkit";
import { GraphiQL } from "graphiql";
import { createRoot } from "react-dom/client";
import { operations } from "./operations";
import "graphiql/style.css";
import "@graphiql/plugin-explorer/style.css";
import "./style.css";

// What is in the headers editor also goes into a WebSocket's connection_init, and both may hold
// {"Authorization": "Bearer …"}; without it, the cookie of the session counts.
const fetcher = createGraphiQLFetcher({
  url: "/graphql",
  subscriptionUrl: `${location.origin.replace(/^http/, "ws")}/graphql`,
});

createRoot(document.getElementById("root") as HTMLElement).render(
  <main>
    <h1>Playground</h1>
    <GraphiQL
      fetcher={fetcher}
      plugins={[explorerPlugin()]}
      defaultTabs={operations}
      defaultEditorToolsVisibility="variables"
    >
      <GraphiQL.Logo>
        <a href="/">Studio</a>
      </GraphiQL.Logo>
    </GraphiQL>
  </main>,
);

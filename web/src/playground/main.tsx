// The Playground: GraphiQL, with a first session to try. Everything comes from this server.
import "graphiql/setup-workers/vite";
import { explorerPlugin } from "@graphiql/plugin-explorer";
import { useGraphiQL, useGraphiQLActions } from "@graphiql/react";
import { createGraphiQLFetcher } from "@graphiql/toolkit";
import { GraphiQL, HISTORY_PLUGIN } from "graphiql";
import { useEffect } from "react";
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

const plugins = [HISTORY_PLUGIN, explorerPlugin()];

/** What GraphiQL keeps in the browser; of what was run in the past not the headers, which hold tokens. */
const storage = {
  getItem: (key: string) => localStorage.getItem(key),
  setItem: (key: string, value: string) => {
    const past = key === "graphiql:queries" || key === "graphiql:favorites";
    const withoutHeaders = (name: string, value: unknown) =>
      name === "headers" ? undefined : value;
    localStorage.setItem(key, past ? JSON.stringify(JSON.parse(value, withoutHeaders)) : value);
  },
  removeItem: (key: string) => localStorage.removeItem(key),
  clear: () => localStorage.clear(),
  get length() {
    return localStorage.length;
  },
};

function Home() {
  const theme = useGraphiQL((state) => state.theme);
  const { setTheme } = useGraphiQLActions();
  // Without a choice in the settings, the page follows the system at once, but the editors only once.
  useEffect(() => {
    if (theme) return;
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const follow = () => setTheme(null);
    dark.addEventListener("change", follow);
    return () => dark.removeEventListener("change", follow);
  }, [theme, setTheme]);
  return <a href="/">Studio</a>;
}

createRoot(document.getElementById("root") as HTMLElement).render(
  <main>
    <h1>Playground</h1>
    <GraphiQL
      fetcher={fetcher}
      plugins={plugins}
      storage={storage}
      defaultTabs={operations}
      defaultEditorToolsVisibility="variables"
    >
      <GraphiQL.Logo>
        <Home />
      </GraphiQL.Logo>
    </GraphiQL>
  </main>,
);

// How the front end and the Playground are built into dist, which the Go server embeds.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import react from "@vitejs/plugin-react";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

/** What a browser loads before the first page shows, gzipped, in bytes; the Playground is apart. */
const budget = 150_000;

const api = process.env.STUDIO_DEV_API ?? "http://127.0.0.1:8080";

/** Fails the build when the JavaScript that index.html loads at once is over the budget. */
function withinBudget(): Plugin {
  return {
    name: "within-budget",
    writeBundle({ dir }) {
      const read = (file: string) => readFileSync(`${dir}/${file}`);
      const initial = [
        ...read("index.html")
          .toString()
          .matchAll(/(?:src|href)="\/(assets\/[^"]+\.js)"/g),
      ];
      const size = initial.reduce((sum, [, file]) => sum + gzipSync(read(file ?? "")).length, 0);
      if (size === 0 || size > budget) {
        this.error(`The initial JavaScript has ${size} bytes gzipped; the budget is ${budget}.`);
      }
      this.info(`The initial JavaScript has ${size} bytes gzipped, of ${budget}.`);
    },
  };
}

export default defineConfig({
  plugins: [react(), withinBudget()],
  build: {
    target: "es2022",
    // The policy of the pages lets scripts and workers come from files only.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 4000, // the Playground's editor
    rolldownOptions: {
      input: ["index.html", "playground.html"],
      onLog(level, log, show) {
        // GraphiQL's packages address React's compiler, which does not run here.
        if (log.code !== "MODULE_LEVEL_DIRECTIVE") show(level, log);
      },
    },
  },
  worker: { format: "es" },
  // `npm run dev` shows changes at once, with the API of a server that runs beside it.
  server: {
    proxy: {
      "/graphql": { target: api, ws: true },
      "/dev": api,
      "^/organizations/[^/]+/events\\.": api,
    },
  },
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 30_000 } },
    maxWorkers: 2, // on two cores there would be one, which waits for pages half of the time
    bail: 1,
  },
});

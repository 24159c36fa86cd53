// The front end of Studio.
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { ErrorBoundary } from "react-error-boundary";
import { BrowserRouter } from "react-router";
import { App } from "./app";
import { Toasts } from "./components/toasts";
import { Broken } from "./frame";
import { SessionProvider } from "./session";
import "./style.css";

createRoot(document.getElementById("root") as HTMLElement).render(
  <StrictMode>
    <BrowserRouter>
      <ErrorBoundary FallbackComponent={Broken}>
        <Toasts>
          <SessionProvider>
            <App />
          </SessionProvider>
        </Toasts>
      </ErrorBoundary>
    </BrowserRouter>
  </StrictMode>,
);

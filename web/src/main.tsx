// The front end of Studio.
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { BrowserRouter } from "react-router";
import { App } from "./app";
import { Toasts } from "./components/toasts";
import { SessionProvider } from "./session";
import "./style.css";

createRoot(document.getElementById("root") as HTMLElement).render(
  <StrictMode>
    <BrowserRouter>
      <Toasts>
        <SessionProvider>
          <App />
        </SessionProvider>
      </Toasts>
    </BrowserRouter>
  </StrictMode>,
);

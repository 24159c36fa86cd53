// Short notices of what has happened, gone after a while. Screen readers read them out, but for those that come
// while a dialog is open: all outside of it is inert, though it shows above.
import { createContext, type ReactNode, useCallback, useContext, useEffect, useState } from "react";
import { createPortal } from "react-dom";

const ToastContext = createContext<(text: string) => void>(() => {});

/** The function that shows a notice. */
export const useToast = () => useContext(ToastContext);

const region = () => document.querySelector(".toasts") as HTMLElement;

/** Notice is one that stays as long as it is rendered. */
export function Notice({ children }: { children: ReactNode }) {
  return createPortal(<p className="warning">{children}</p>, region());
}

/** raiseNotices puts them above a dialog that has just opened: what is shown last is on top. */
export function raiseNotices() {
  region().hidePopover();
  region().showPopover();
}

/** How long a notice stays, in milliseconds: long enough to read two lines. */
const staying = 7_000;

/** Toasts shows notices above all pages in it. */
export function Toasts({ children }: { children: ReactNode }) {
  const [shown, setShown] = useState<{ id: number; text: string }[]>([]);
  useEffect(raiseNotices, []);
  const close = useCallback(
    (id: number) => setShown((all) => all.filter((one) => one.id !== id)),
    [],
  );
  const toast = useCallback(
    (text: string) => {
      const id = performance.now() + Math.random();
      setShown((all) => [...all.slice(-3), { id, text }]);
      setTimeout(close, staying, id);
    },
    [close],
  );
  return (
    <ToastContext value={toast}>
      {children}
      <div className="toasts" role="status" popover="manual">
        {shown.map(({ id, text }) => (
          <p key={id}>
            {text}
            <button type="button" className="plain" aria-label="Dismiss" onClick={() => close(id)}>
              ×
            </button>
          </p>
        ))}
      </div>
    </ToastContext>
  );
}

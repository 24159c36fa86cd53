// Dialogs: what is done in one place, without leaving the page.
import { type ReactNode, useEffect, useId, useRef, useState } from "react";
import { raiseNotices } from "./toasts";

function raise(dialog: HTMLDialogElement | null) {
  dialog?.showModal();
  raiseNotices();
}

/** Dialog is a button, or what else it is given, that opens a dialog; its children get the function that closes it. */
export function Dialog({
  open,
  label,
  title,
  className,
  disabled,
  children,
}: {
  /** What the button says; or what there is instead of a button, which gets the function that opens. */
  open: ReactNode | ((show: () => void) => ReactNode);
  /** What a screen reader says instead, where several buttons look alike. */
  label?: string;
  title: string;
  className?: string;
  disabled?: boolean;
  children: (close: () => void) => ReactNode;
}) {
  const [shown, setShown] = useState(false);
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    if (shown) raise(dialog.current);
  }, [shown]);
  const show = () => {
    if (disabled) return;
    setShown(true);
    raise(dialog.current); // one that is closed, but not gone yet
  };
  return (
    <>
      {typeof open === "function" ? (
        open(show)
      ) : (
        <button
          type="button"
          className={className}
          aria-label={label}
          // Not `disabled`: the focus comes back here when the dialog closes, and would be lost.
          aria-disabled={disabled || undefined}
          onClick={show}
        >
          {open}
        </button>
      )}
      {shown && (
        <dialog
          ref={dialog}
          aria-labelledby={id}
          onClose={() => setShown(dialog.current?.open ?? false)}
        >
          <header className="heading">
            <h2 id={id} tabIndex={-1}>
              {title}
            </h2>
            <button
              type="button"
              className="plain"
              aria-label="Close"
              onClick={() => dialog.current?.close()}
            >
              ×
            </button>
          </header>
          {children(() => dialog.current?.close())}
        </dialog>
      )}
    </>
  );
}

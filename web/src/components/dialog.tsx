// Dialogs: what is done in one place, without leaving the page.
import { type ReactNode, useEffect, useId, useRef, useState } from "react";

/** Dialog is a button that opens a dialog; its children get the function that closes it. */
export function Dialog({
  open,
  label,
  title,
  className,
  disabled,
  children,
}: {
  /** What the button says. */
  open: ReactNode;
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
    if (shown) dialog.current?.showModal();
  }, [shown]);
  return (
    <>
      <button
        type="button"
        className={className}
        aria-label={label}
        // Not `disabled`: the focus comes back here when the dialog closes, and would be lost.
        aria-disabled={disabled || undefined}
        onClick={() => {
          if (disabled) return;
          setShown(true);
          dialog.current?.showModal(); // closed, but not gone yet
        }}
      >
        {open}
      </button>
      {shown && (
        <dialog
          ref={dialog}
          aria-labelledby={id}
          onClose={() => setShown(dialog.current?.open ?? false)}
        >
          <header className="heading">
            <h2 id={id}>{title}</h2>
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

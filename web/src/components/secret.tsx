// What the server shows once.
import { type ReactNode, useState } from "react";

/** Secret shows something that cannot be shown again, to be copied; its children tell more about it. */
export function Secret({
  what,
  value,
  close,
  children,
}: {
  what: string;
  value: string;
  close: () => void;
  children?: ReactNode;
}) {
  const [copied, setCopied] = useState(false);
  const [refused, setRefused] = useState(false);
  const copy = () =>
    navigator.clipboard.writeText(value).then(
      () => setCopied(true),
      () => setRefused(true),
    );
  return (
    <>
      <p role="status">
        This is the {what}. It is shown only now; keep it where nobody else can read it.
      </p>
      <p>
        <code className="token">{value}</code>
      </p>
      {children}
      {refused && (
        <p className="fault" role="alert">
          Your browser does not let Studio copy. Please select the {what}, and copy it.
        </p>
      )}
      <div className="actions">
        {navigator.clipboard && ( // browsers have it over https only
          <button type="button" className="primary" onClick={() => void copy()}>
            {copied ? "Copied" : "Copy"}
          </button>
        )}
        <button type="button" onClick={close}>
          Done
        </button>
      </div>
    </>
  );
}

// Forms: what is wrong with a value is told next to it.
import {
  createContext,
  type InputHTMLAttributes,
  type ReactNode,
  type SelectHTMLAttributes,
  useContext,
  useEffect,
  useId,
  useRef,
  useState,
} from "react";
import type { CombinedError } from "urql";
import { type Fault, faultOf } from "../fault";
import { useToast } from "./toasts";

/** The answer to what a form sends. */
interface Answer<Data> {
  data?: Data;
  error?: CombinedError;
}

type Values = Record<string, string>;

const valuesOf = (form: HTMLFormElement) => Object.fromEntries(new FormData(form)) as Values;

const FaultContext = createContext<Fault | null>(null);

interface FormProps<Data> {
  /** Sends the values of the form's fields, by their names. */
  send: (values: Values) => Promise<Answer<Data>>;
  /**
   * What to do when it succeeded, unless the person has gone elsewhere meanwhile. The form is emptied, unless
   * something else is typed by then.
   */
  done?: (data: Data, sent: Values) => void;
  /** What to tell when it succeeded. */
  told?: string;
  /** What the button says. */
  submit: string;
  /** What a screen reader says instead, where several buttons look alike. */
  label?: string;
  dangerous?: boolean;
  /** Not what most people choose. */
  quiet?: boolean;
  disabled?: boolean;
  /** One line: the button beside the field. */
  inline?: boolean;
  children?: ReactNode;
}

/** Form sends its fields, once at a time, and shows what is wrong at the field that it is about. */
export function Form<Data>(props: FormProps<Data>) {
  const [fault, setFault] = useState<Fault | null>(null);
  const [busy, setBusy] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  const toast = useToast();

  // The field in error, or else the message for the whole, is where to go on.
  useEffect(() => {
    if (fault)
      form.current?.querySelector<HTMLElement>("[aria-invalid=true], [role=alert]")?.focus();
  }, [fault]);

  const send = async () => {
    if (!form.current || busy) return;
    setBusy(true);
    setFault(null);
    const sent = valuesOf(form.current);
    const { data, error } = await props.send(sent).finally(() => setBusy(false));
    if (error) {
      const fault = faultOf(error);
      const shown = fault.field && form.current?.elements.namedItem(fault.field);
      if (form.current) setFault(shown ? fault : { ...fault, field: undefined });
      else toast(fault.message); // its dialog was closed meanwhile
    } else if (data) {
      if (props.told) toast(props.told);
      if (!form.current) return;
      const now = valuesOf(form.current);
      if (Object.keys(sent).every((name) => now[name] === sent[name])) form.current.reset();
      props.done?.(data, sent);
    }
  };

  return (
    <form
      ref={form}
      className={props.inline ? "form inline" : "form"}
      noValidate
      aria-busy={busy}
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      <FaultContext value={fault}>{props.children}</FaultContext>
      {fault && !fault.field && (
        <p className="fault" role="alert" tabIndex={-1}>
          {fault.message}
        </p>
      )}
      <div className="actions">
        <button
          type="submit"
          className={props.dangerous ? "danger" : props.quiet ? undefined : "primary"}
          aria-label={props.label}
          disabled={props.disabled}
          aria-disabled={busy || undefined} // `disabled` would lose the focus
        >
          {props.submit}
          {busy && "…"}
        </button>
      </div>
    </form>
  );
}

/** useDescribed tells what is wrong with the field of a name, and ties it to its hint and its error. */
function useDescribed(name: string, hint: ReactNode) {
  const id = useId();
  const fault = useContext(FaultContext);
  const wrong = fault?.field === name ? fault.message : undefined;
  const described = [hint && `${id}-hint`, wrong && `${id}-wrong`].filter(Boolean).join(" ");
  return {
    id,
    wrong,
    attributes: {
      id,
      name,
      "aria-invalid": wrong ? true : undefined,
      "aria-describedby": described || undefined,
    },
  };
}

interface Labelled {
  /** As in the API's input, so that its errors find the field. */
  name: string;
  label: string;
  hint?: ReactNode;
}

function Labels({
  id,
  label,
  hint,
  wrong,
  children,
}: Omit<Labelled, "name"> & { id: string; wrong?: string; children: ReactNode }) {
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {children}
      {hint && (
        <p className="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
      {wrong && (
        <p className="wrong" id={`${id}-wrong`}>
          {wrong}
        </p>
      )}
    </div>
  );
}

/** Field is a text input with its label, hint and error. */
export function Field({
  name,
  label,
  hint,
  ...input
}: Labelled & InputHTMLAttributes<HTMLInputElement>) {
  const { id, wrong, attributes } = useDescribed(name, hint);
  return (
    <Labels {...{ id, label, hint, wrong }}>
      <input {...input} {...attributes} />
    </Labels>
  );
}

/** Select is a choice from a list with its label, hint and error. */
export function Select({
  name,
  label,
  hint,
  ...select
}: Labelled & SelectHTMLAttributes<HTMLSelectElement>) {
  const { id, wrong, attributes } = useDescribed(name, hint);
  return (
    <Labels {...{ id, label, hint, wrong }}>
      <select {...select} {...attributes} />
    </Labels>
  );
}

interface Choice {
  value: string;
  label: string;
  /** At the end of the line, such as what it costs. */
  aside?: string;
}

/** Choices is one out of few, all to be seen. */
export function Choices({
  name,
  label,
  choices,
  chosen,
  choose,
}: Omit<Labelled, "hint"> & {
  choices: Choice[];
  chosen: string;
  choose: (value: string) => void;
}) {
  const { id, wrong, attributes } = useDescribed(name, undefined);
  return (
    <fieldset aria-describedby={attributes["aria-describedby"]}>
      <legend>{label}</legend>
      {choices.map(({ value, label, aside }) => (
        <label className="choice" key={value}>
          <input
            type="radio"
            name={name}
            value={value}
            checked={value === chosen}
            onChange={() => choose(value)}
          />
          <span>{label}</span>
          {aside && <span className="quiet">{aside}</span>}
        </label>
      ))}
      {wrong && (
        <p className="wrong" id={`${id}-wrong`} role="alert" tabIndex={-1}>
          {wrong}
        </p>
      )}
    </fieldset>
  );
}

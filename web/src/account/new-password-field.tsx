// The field in which a password is chosen.
import { Field } from "../components/form";

/** NewPasswordField asks for a password that is to be set. */
export function NewPasswordField({ name = "newPassword", label = "New password" }) {
  return (
    <Field
      name={name}
      label={label}
      type="password"
      autoComplete="new-password"
      hint="8 to 128 characters."
    />
  );
}

import { Heading } from "../components/page";

export function SettingsPage() {
  return <Heading>Settings</Heading>;
}

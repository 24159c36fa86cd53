export function Overdue() {
  return null;
}

/** A field that was refused, as zod names it. */
interface Issue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

const longestValue = 100;

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input;
  for (const key of path) value = (value as Partial<Record<PropertyKey, unknown>> | null | undefined)?.[key];
  return value;
}

function described(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value);
  return text.length > longestValue ? `${text.slice(0, longestValue)}...` : text;
}

/**
 * A refused field by its path, and what was expected there; with the value that `input` has there, where the message says what
 * was expected and not what was found. What to do follows behind a semicolon.
 */
export function refusalOf(
  { path, message }: Issue,
  input: unknown,
): { readonly path: string; readonly message: string } {
  const name = path.map(String).join('.');
  const value = valueAt(input, path);
  const expected = /expected|^Invalid/.exec(message);
  if (expected === null || /found|received undefined/.test(message)) return { path: name, message };
  const remedy = message.indexOf(';', expected.index);
  const end = remedy < 0 ? message.length : remedy;
  return { path: name, message: `${message.slice(0, end)}, found ${described(value)}${message.slice(end)}` };
}

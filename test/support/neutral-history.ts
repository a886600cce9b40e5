/** What stands for every person, host and process in a recorded history. */
export const neutralIdentity = 'echoforge';

/**
 * A history without who and where: identities of clients and workers, names of sticky queues (they hold the host), stack
 * traces (they hold paths). None of it is looked at by a replay.
 */
export function neutralHistory(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(neutralHistory);
  if (typeof value !== 'object' || value === null) return value;
  const sticky = 'kind' in value && value.kind === 'TASK_QUEUE_KIND_STICKY';
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]: [string, unknown]) => {
      if (key === 'identity') return [key, neutralIdentity];
      if (key === 'stackTrace') return [key, ''];
      if (sticky && key === 'name') return [key, neutralIdentity];
      return [key, neutralHistory(inner)];
    }),
  );
}

/** All strings of a history, payloads decoded. */
export function textsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (Array.isArray(value)) return value.flatMap(textsOf);
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]: [string, unknown]) =>
    key === 'data' && typeof inner === 'string' ? [Buffer.from(inner, 'base64').toString()] : textsOf(inner),
  );
}

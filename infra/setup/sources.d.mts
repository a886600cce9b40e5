export interface Source<T> {
  readonly source: string;
  readonly get: () => Promise<T>;
}
export class PartError extends Error {
  readonly part: string;
  readonly tried: readonly { readonly source: string; readonly reason: string }[];
}
export function firstOf<T>(
  part: string,
  sources: readonly Source<T>[],
  mend: string,
): Promise<{ source: string; value: T }>;

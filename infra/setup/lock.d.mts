export interface LockOptions {
  readonly log?: (line: string) => void;
  readonly pollMs?: number;
}
export function withLock<T>(dir: string, name: string, work: () => Promise<T>, options?: LockOptions): Promise<T>;
export function isStale(owner: { pid: number; host: string; beatAt: number }, now: number): boolean;

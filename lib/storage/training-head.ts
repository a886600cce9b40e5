import { z } from 'zod';
import { canonicalJson } from '../../contract/canonical-json.ts';
import { ConfigurationError, ConflictError } from '../errors.ts';
import type { ObjectStore } from './object-store.ts';
import { readPointer } from './pointer.ts';

/**
 * The head pointer of a training: the only thing that says where to go on. An attempt claims it (epoch + 1) and then moves
 * it with the etag of its own last write, so a stalled attempt that comes back loses its first write and cannot harm. See
 * docs/architecture.md, "Durable training".
 */

const headSchema = z.strictObject({
  format: z.literal(1),
  /** Counts writes, so that no two bodies of one training are equal and no etag comes back. */
  seq: z.int().min(1),
  /** Counts claims. */
  epoch: z.int().min(1),
  /** Of the attempt that wrote it. */
  nonce: z.string().min(1),
  /** Who that was, for people. */
  owner: z.string(),
  configSha256: z.string().length(64),
  /** When the server scheduled the attempt that claimed it last, if that attempt said so. */
  scheduledMs: z.number().nullable(),
  state: z.json(),
});
export type TrainingHead = Readonly<z.output<typeof headSchema>>;

/** A claimed head: `state` as it stands, and what the next write needs. */
export interface HeadClaim<S = unknown> {
  readonly store: ObjectStore;
  readonly key: string;
  readonly head: TrainingHead;
  readonly etag: string;
  readonly epoch: number;
  readonly state: S;
}

export interface ClaimOptions<S> {
  readonly store: ObjectStore;
  readonly key: string;
  readonly owner: string;
  readonly configSha256: string;
  /** Unique to this attempt. */
  readonly nonce: string;
  /**
   * When the server scheduled this attempt, by the server's clock. With it an attempt that stalled before its claim cannot
   * claim over its successor.
   */
  readonly scheduledMs?: number;
  /** State of a training that has not begun. */
  readonly initial: S;
}

/** Null when the training was never claimed. @throws ConfigurationError when the object is no head of format 1. */
export async function readHead(store: ObjectStore, key: string): Promise<TrainingHead | null> {
  const pointer = await readPointer<unknown>(store, key);
  return pointer && parseHead(key, pointer.value);
}

/**
 * Takes the head over: whoever held it can move it no more.
 * @throws ConfigurationError when the training was begun with another configuration; ConflictError when another attempt
 *   claimed it at the same moment, or an attempt that was scheduled later holds it.
 */
export async function claimHead<S>(options: ClaimOptions<S>): Promise<HeadClaim> {
  const { store, key, owner, configSha256, nonce, initial, scheduledMs = null } = options;
  const present = await readPointer<unknown>(store, key);
  const before = present && parseHead(key, present.value);
  if (before && before.configSha256 !== configSha256)
    throw new ConfigurationError(
      `${key} belongs to a training with another configuration (expected ${configSha256}, found ` +
        `${before.configSha256}); give the changed study another studyId`,
    );
  if (scheduledMs !== null && (before?.scheduledMs ?? scheduledMs) > scheduledMs) throw new ConflictError(key);
  const head: TrainingHead = {
    format: 1,
    seq: (before?.seq ?? 0) + 1,
    epoch: (before?.epoch ?? 0) + 1,
    nonce,
    owner,
    configSha256,
    scheduledMs,
    state: before ? before.state : plain(initial),
  };
  return await writeHead({ store, key, head, etag: present?.etag ?? null });
}

/**
 * Moves the head to a new state.
 * @throws ConflictError when another attempt has claimed it: stop at once and commit nothing.
 */
export async function advanceHead(claim: HeadClaim, state: unknown): Promise<HeadClaim> {
  const head: TrainingHead = { ...claim.head, seq: claim.head.seq + 1, state: plain(state) };
  return await writeHead({ ...claim, head });
}

async function writeHead({
  store,
  key,
  head,
  etag,
}: {
  readonly store: ObjectStore;
  readonly key: string;
  readonly head: TrainingHead;
  readonly etag: string | null;
}): Promise<HeadClaim> {
  const body = Buffer.from(canonicalJson(head));
  const written = await store.put(key, body, etag === null ? { ifNoneMatch: '*' } : { ifMatch: etag });
  return { store, key, head, etag: written.etag, epoch: head.epoch, state: head.state };
}

function parseHead(key: string, value: unknown): TrainingHead {
  const parsed = headSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const where = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ');
  throw new ConfigurationError(`${key} is no training head of format 1 (${where}); it was written by another release`);
}

/** As it will be read back, whatever readonly or class it was. */
const plain = (state: unknown): TrainingHead['state'] => z.json().parse(JSON.parse(canonicalJson(state)));

import { createHash } from 'node:crypto';

/**
 * Named, seeded random streams. A stream is a function of (root seed, name, counter) alone: no process-lifetime state, so
 * nothing about randomness has to be saved, and a resumed training draws what the uninterrupted one would have drawn.
 */

/** Draws from [0, 1) with 53 random bits. */
export type Rng = () => number;

/** Two int32 words that seed TensorFlow's stateless operations. */
export type SeedPair = readonly [number, number];

function digest(seed: number, name: string, counter: number): Buffer {
  return createHash('sha256').update(`${seed}/${name}/${counter}`).digest();
}

/** Seed pair of the stream `name` at `counter`. */
export function seedPair(seed: number, name: string, counter = 0): SeedPair {
  const bytes = digest(seed, name, counter);
  return [bytes.readInt32LE(0), bytes.readInt32LE(4)];
}

/** xoshiro128** (Blackman and Vigna 2018) seeded by SHA-256 of (seed, name, counter). */
export function createRng(seed: number, name: string, counter = 0): Rng {
  const bytes = digest(seed, name, counter);
  let a = bytes.readUInt32LE(0);
  let b = bytes.readUInt32LE(4);
  let c = bytes.readUInt32LE(8);
  let d = bytes.readUInt32LE(12) | 1;
  const next = (): number => {
    const scaled = Math.imul(b, 5);
    const result = Math.imul((scaled << 7) | (scaled >>> 25), 9) >>> 0;
    const t = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= t;
    d = (d << 11) | (d >>> 21);
    return result;
  };
  return () => ((next() >>> 5) * 67_108_864 + (next() >>> 6)) / 9_007_199_254_740_992;
}

/** Integer from 0 (inclusive) to `bound` (exclusive). */
export function randomInt(rng: Rng, bound: number): number {
  if (!Number.isInteger(bound) || bound < 1)
    throw new RangeError(`randomInt expects a bound of at least 1, got ${bound}`);
  return Math.floor(rng() * bound);
}

/** A shuffled copy (Fisher-Yates). */
export function shuffled<T>(items: readonly T[], rng: Rng): T[] {
  const copy = [...items];
  for (let i = copy.length - 1; i > 0; i--) {
    const j = randomInt(rng, i + 1);
    const held = copy[i] as T; // i and j are below copy.length
    copy[i] = copy[j] as T;
    copy[j] = held;
  }
  return copy;
}

import { createHash } from 'node:crypto';
import type { IngestedShard } from '../../contract/manifests.ts';
import { correlation, mirrored, perceptualHash, standardized } from '../image/perceptual-hash.ts';

export interface DuplicateGroup {
  readonly groupId: string;
  /** Sorted. */
  readonly sources: readonly string[];
}

export interface GroupOptions {
  /** Normalised cross-correlation at which two images are one group. */
  readonly ncc: number;
  /** Hash distance (bits) above which a pair is not even correlated. */
  readonly hashDistance: number;
  readonly onImage?: (done: number) => void;
}

interface Signature {
  readonly source: string;
  readonly high: number;
  readonly low: number;
  readonly mirroredHigh: number;
  readonly mirroredLow: number;
  readonly pixels: Float64Array;
  readonly mirroredPixels: Float64Array;
}

/**
 * Groups images that show the same picture, mirrored or not: pairs of near perceptual hashes whose 32x32 thumbnails
 * correlate, joined transitively. Every image is in exactly one group, most alone. Quadratic in the number of images, with
 * two integer operations for a pair that is not alike; gives way to the event loop after each row.
 */
export async function groupNearDuplicates(
  signatures: IngestedShard['signatures'],
  { ncc, hashDistance, onImage }: GroupOptions,
): Promise<DuplicateGroup[]> {
  const all = signatures.map(prepare).sort((a, b) => (a.source < b.source ? -1 : 1));
  const parent = all.map((_, i) => i);
  const rootOf = (i: number): number => {
    let root = i;
    while (parent[root] !== root) root = parent[root] as number; // parents are indices of `all`
    parent[i] = root;
    return root;
  };
  for (const [i, a] of all.entries()) {
    for (let j = i + 1; j < all.length; j++) {
      const b = all[j] as Signature; // j < length
      if (areAlike(a, b, { ncc, hashDistance })) {
        const [first, second] = [rootOf(i), rootOf(j)];
        parent[Math.max(first, second)] = Math.min(first, second);
      }
    }
    if (i % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    onImage?.(i + 1);
  }
  const groups = new Map<number, string[]>();
  for (const [i, { source }] of all.entries()) groups.set(rootOf(i), [...(groups.get(rootOf(i)) ?? []), source]);
  return [...groups.values()].map((sources) => ({ groupId: groupIdOf(sources), sources }));
}

/** Named after the first source, so that the id does not depend on how many groups there are. */
const groupIdOf = ([first = '']: readonly string[]): string =>
  `g${createHash('sha256').update(first).digest('hex').slice(0, 12)}`;

function prepare({ source, hash, thumbnail }: IngestedShard['signatures'][number]): Signature {
  const pixels = new Uint8Array(Buffer.from(thumbnail, 'base64'));
  const mirror = mirrored(pixels);
  const mirrorHash = perceptualHash(mirror);
  return {
    source,
    high: parseInt(hash.slice(0, 8), 16),
    low: parseInt(hash.slice(8), 16),
    mirroredHigh: parseInt(mirrorHash.slice(0, 8), 16),
    mirroredLow: parseInt(mirrorHash.slice(8), 16),
    pixels: standardized(pixels),
    mirroredPixels: standardized(mirror),
  };
}

function areAlike(a: Signature, b: Signature, { ncc, hashDistance }: { ncc: number; hashDistance: number }): boolean {
  if (bits(a.high ^ b.high) + bits(a.low ^ b.low) <= hashDistance && correlation(a.pixels, b.pixels) >= ncc)
    return true;
  return (
    bits(a.high ^ b.mirroredHigh) + bits(a.low ^ b.mirroredLow) <= hashDistance &&
    correlation(a.pixels, b.mirroredPixels) >= ncc
  );
}

/** Number of set bits of a 32-bit integer. */
function bits(value: number): number {
  let x = value - ((value >>> 1) & 0x55555555);
  x = (x & 0x33333333) + ((x >>> 2) & 0x33333333);
  return Math.imul((x + (x >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

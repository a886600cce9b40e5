import type { RawImage } from '../image/raw-image.ts';
import { msSsim } from '../metrics/ms-ssim.ts';

/** How alike the images of a set are: what tells a generator that has collapsed to a few images. */

/** Pairs are neighbours in the list, and at most this many. */
const mostPairs = 32;

/** Mean MS-SSIM over pairs of different images; null of a single image. */
export function meanSimilarity(images: readonly RawImage[]): number | null {
  if (images.length < 2) return null;
  const pairs = Math.min(images.length, mostPairs);
  let sum = 0;
  for (let i = 0; i < pairs; i++) sum += msSsim(images[i] as RawImage, images[(i + 1) % images.length] as RawImage); // both inside
  return sum / pairs;
}

/**
 * `meanSimilarity` of the class whose images are most alike: a network of several classes may lose one of them. `byImage`: the
 * class of each image. Null where no class has two images.
 */
export function similarityWithin(images: readonly RawImage[], byImage: readonly number[]): number | null {
  const similarities = [...new Set(byImage)]
    .map((label) => meanSimilarity(images.filter((_image, i) => byImage[i] === label)))
    .filter((similarity) => similarity !== null);
  return similarities.length === 0 ? null : Math.max(...similarities);
}

/** 1 - mean MS-SSIM: 0 of equal images. */
export interface Diversity {
  readonly fakes: number;
  readonly reals: number;
  /** Largest of earlier fakes of this training, the untrained ones left out. */
  readonly best: number;
}

/** Share of the reals' diversity that fakes must once have had before they can lose it: early fakes are all alike. */
const grown = 0.5;
/** Share of their best diversity below which fakes grow alike, and below which they have collapsed. */
const alike = 0.5;
const lost = 0.25;

/** The fakes were about as diverse as the reals, and now nearly are one image. */
export const hasCollapsed = ({ fakes, reals, best }: Diversity): boolean =>
  best >= grown * reals && fakes < lost * best;

/** Fakes of earlier snapshots were twice as diverse. */
export const growsAlike = ({ fakes, best }: Pick<Diversity, 'fakes' | 'best'>): boolean => fakes < alike * best;

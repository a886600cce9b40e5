import type { RawImage } from './raw-image.ts';
import { resizeBilinear } from './resize.ts';

/** Side of the grey thumbnails that near duplicates are searched on, px. */
export const thumbnailSide = 32;
const hashSide = 8;

/** The image as 32x32 grey bytes (mean of the channels). */
export function thumbnail(image: RawImage): Uint8Array {
  const small = resizeBilinear(image, { width: thumbnailSide, height: thumbnailSide });
  if (small.channels === 1) return small.data;
  return Uint8Array.from({ length: thumbnailSide ** 2 }, (_, i) =>
    Math.round((at(small.data, 3 * i) + at(small.data, 3 * i + 1) + at(small.data, 3 * i + 2)) / 3),
  );
}

/** Left-right mirror of a thumbnail. */
export const mirrored = (pixels: Uint8Array): Uint8Array =>
  pixels.map((_, i) => at(pixels, i - (i % thumbnailSide) + (thumbnailSide - 1 - (i % thumbnailSide))));

/**
 * DCT hash (pHash): signs of the 64 lowest-frequency DCT-II coefficients of a thumbnail against their median, row by row,
 * as 16 hex digits. The mean (first coefficient) counts as 0, so that brightness does not matter.
 */
export function perceptualHash(pixels: Uint8Array): string {
  const coefficients = lowFrequencies(pixels);
  coefficients[0] = 0;
  const sorted = [...coefficients].sort((a, b) => a - b);
  const median = ((sorted[31] ?? 0) + (sorted[32] ?? 0)) / 2;
  let hex = '';
  for (let digit = 0; digit < 16; digit++) {
    let value = 0;
    for (let bit = 0; bit < 4; bit++) value = 2 * value + (at(coefficients, 4 * digit + bit) > median ? 1 : 0);
    hex += value.toString(16);
  }
  return hex;
}

const cosines = Float64Array.from({ length: hashSide * thumbnailSide }, (_, i) => {
  const frequency = Math.floor(i / thumbnailSide);
  return Math.cos((Math.PI * frequency * (2 * (i % thumbnailSide) + 1)) / (2 * thumbnailSide));
});

function lowFrequencies(pixels: Uint8Array): Float64Array {
  const across = new Float64Array(thumbnailSide * hashSide);
  for (let y = 0; y < thumbnailSide; y++)
    for (let u = 0; u < hashSide; u++) {
      let sum = 0;
      for (let x = 0; x < thumbnailSide; x++)
        sum += at(pixels, y * thumbnailSide + x) * at(cosines, u * thumbnailSide + x);
      across[y * hashSide + u] = sum;
    }
  const result = new Float64Array(hashSide * hashSide);
  for (let v = 0; v < hashSide; v++)
    for (let u = 0; u < hashSide; u++) {
      let sum = 0;
      for (let y = 0; y < thumbnailSide; y++) sum += at(across, y * hashSide + u) * at(cosines, v * thumbnailSide + y);
      result[v * hashSide + u] = sum;
    }
  return result;
}

/** Zero mean and unit norm; all zero for a constant thumbnail, which then correlates with nothing. */
export function standardized(pixels: Uint8Array): Float64Array {
  const mean = pixels.reduce((sum, value) => sum + value, 0) / pixels.length;
  const centred = Float64Array.from(pixels, (value) => value - mean);
  const norm = Math.sqrt(centred.reduce((sum, value) => sum + value * value, 0));
  return norm === 0 ? centred : centred.map((value) => value / norm);
}

/** Normalised cross-correlation of two standardised thumbnails, -1 to 1. */
export function correlation(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += at(a, i) * at(b, i);
  return sum;
}

/** Every index here is inside. */
const at = (xs: Float64Array | Uint8Array, i: number): number => xs[i] as number;

import type { RawImage } from '../image/raw-image.ts';

/**
 * Multi-scale structural similarity of two images of one size (Wang, Simoncelli and Bovik 2003): 1 for equal ones, about 0 for
 * unrelated ones. It says how alike two images look, not how good they are: no measure of quality without a pair that should
 * be equal. RGB is averaged to grey. 0.09 s at 256 px.
 *
 * Gaussian window of 11 px with sigma 1.5, no padding, K1 0.01, K2 0.03, 2 x 2 means between scales, negative terms 0. Images
 * below 176 px have fewer than five scales: as many as keep a side of 11 px, at least one, with the paper's first weights
 * divided by their sum; below 11 px the window is the largest odd one that fits.
 * @throws RangeError when the images differ in size
 * @example msSsim(image, image) // 1
 */
export function msSsim(a: RawImage, b: RawImage): number {
  if (a.width !== b.width || a.height !== b.height || a.channels !== b.channels)
    throw new RangeError(
      `msSsim expects images of one size, got ${a.width}x${a.height}x${a.channels} and ${b.width}x${b.height}x${b.channels}`,
    );
  let x = greyOf(a);
  let y = greyOf(b);
  const scales = scalesOf(Math.min(a.width, a.height));
  const weights = paperWeights.slice(0, scales);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let product = 1;
  weights.forEach((weight, scale) => {
    if (scale > 0) [x, y] = [halved(x), halved(y)];
    const { structure, similarity } = compare(x, y);
    product *= Math.max(scale < scales - 1 ? structure : similarity, 0) ** (weight / total);
  });
  return product;
}

const paperWeights = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333] as const;
const windowPx = 11;
const sigma = 1.5;
const c1 = (0.01 * 255) ** 2;
const c2 = (0.03 * 255) ** 2;

function scalesOf(side: number): number {
  const fitting = paperWeights.filter((_, scale) => Math.floor(side / 2 ** scale) >= windowPx).length;
  return Math.max(fitting, 1);
}

/** One channel, rows from the top. */
interface Plane {
  readonly width: number;
  readonly height: number;
  readonly data: Float64Array;
}

function greyOf({ width, height, channels, data }: RawImage): Plane {
  const grey = new Float64Array(width * height);
  for (let i = 0; i < data.length; i++) {
    const pixel = Math.floor(i / channels);
    grey[pixel] = (grey[pixel] ?? 0) + (data[i] ?? 0) / channels;
  }
  return { width, height, data: grey };
}

/** Means of 2 x 2 pixels. */
function halved(plane: Plane): Plane {
  const width = Math.floor(plane.width / 2);
  const height = Math.floor(plane.height / 2);
  const at = (x: number, y: number): number => plane.data[y * plane.width + x] ?? 0;
  const data = Float64Array.from({ length: width * height }, (_, i) => {
    const [x, y] = [2 * (i % width), 2 * Math.floor(i / width)];
    return (at(x, y) + at(x + 1, y) + at(x, y + 1) + at(x + 1, y + 1)) / 4;
  });
  return { width, height, data };
}

/** Means over all windows of the contrast-structure term and of SSIM. */
function compare(x: Plane, y: Plane): { readonly structure: number; readonly similarity: number } {
  const taps = gaussian(Math.min(windowPx, largestOdd(x.width), largestOdd(x.height)));
  const product = (p: Plane, q: Plane): Float64Array =>
    blurred({ ...p, data: p.data.map((value, i) => value * (q.data[i] ?? 0)) }, taps);
  const [meanX, meanY] = [blurred(x, taps), blurred(y, taps)];
  const [xx, yy, xy] = [product(x, x), product(y, y), product(x, y)];
  let structure = 0;
  let similarity = 0;
  meanX.forEach((mx, i) => {
    const my = meanY[i] ?? 0;
    const variances = (xx[i] ?? 0) - mx * mx + (yy[i] ?? 0) - my * my;
    const term = (2 * ((xy[i] ?? 0) - mx * my) + c2) / (variances + c2);
    structure += term;
    similarity += (term * (2 * mx * my + c1)) / (mx * mx + my * my + c1);
  });
  return { structure: structure / meanX.length, similarity: similarity / meanX.length };
}

const largestOdd = (side: number): number => side - 1 + (side % 2);

function gaussian(size: number): Float64Array {
  const taps = Float64Array.from({ length: size }, (_, i) => Math.exp(-((i - (size - 1) / 2) ** 2) / (2 * sigma ** 2)));
  const sum = taps.reduce((total, tap) => total + tap, 0);
  return taps.map((tap) => tap / sum);
}

/** Weighted means of all windows that lie inside, first along rows, then along columns. */
function blurred({ width, height, data }: Plane, taps: Float64Array): Float64Array {
  const across = width - taps.length + 1;
  const down = height - taps.length + 1;
  const rows = new Float64Array(across * height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < across; x++) {
      let sum = 0;
      for (let k = 0; k < taps.length; k++) sum += (taps[k] ?? 0) * (data[y * width + x + k] ?? 0);
      rows[y * across + x] = sum;
    }
  const result = new Float64Array(across * down);
  for (let y = 0; y < down; y++)
    for (let k = 0; k < taps.length; k++) {
      const tap = taps[k] ?? 0;
      for (let x = 0; x < across; x++) {
        const i = y * across + x;
        result[i] = (result[i] ?? 0) + tap * (rows[(y + k) * across + x] ?? 0);
      }
    }
  return result;
}

import type { RawImage } from './raw-image.ts';

interface Tap {
  readonly first: number;
  readonly weights: Float64Array;
}

/**
 * Bilinear resize with half-pixel centres; when shrinking, the triangle widens with the scale, so that no pixel is skipped.
 * Rounds half up. The one resize rule for real, synthetic and test images.
 */
export function resizeBilinear(image: RawImage, { width, height }: { width: number; height: number }): RawImage {
  if (width < 1 || height < 1)
    throw new RangeError(`resizeBilinear expects a size of at least 1, got ${width}x${height}`);
  const { channels } = image;
  if (width === image.width && height === image.height) return image;
  const columns = tapsOf(image.width, width);
  const rows = tapsOf(image.height, height);
  const across = new Float64Array(image.height * width * channels);
  for (let y = 0; y < image.height; y++)
    columns.forEach(({ first, weights }, x) => {
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (let k = 0; k < weights.length; k++)
          sum += at(weights, k) * at(image.data, (y * image.width + first + k) * channels + c);
        across[(y * width + x) * channels + c] = sum;
      }
    });
  const data = new Uint8Array(width * height * channels);
  const stride = width * channels;
  rows.forEach(({ first, weights }, y) => {
    for (let i = 0; i < stride; i++) {
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum += at(weights, k) * at(across, (first + k) * stride + i);
      data[y * stride + i] = Math.min(255, Math.max(0, Math.floor(sum + 0.5)));
    }
  });
  return { width, height, channels, data };
}

/** Normalised triangle weights of the source pixels behind each target pixel. */
function tapsOf(from: number, to: number): Tap[] {
  const scale = from / to;
  const radius = Math.max(1, scale);
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * scale - 0.5;
    const first = Math.max(0, Math.ceil(centre - radius));
    const last = Math.min(from - 1, Math.floor(centre + radius));
    const weights = Float64Array.from({ length: last - first + 1 }, (_w, k) =>
      Math.max(0, 1 - Math.abs(first + k - centre) / radius),
    );
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return { first, weights: weights.map((weight) => weight / total) };
  });
}

/** Typed arrays are dense and every index here is inside. */
const at = (xs: Float64Array | Uint8Array, i: number): number => xs[i] as number;

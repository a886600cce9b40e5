import { encodePng } from './png.ts';
import type { RawImage } from './raw-image.ts';

/** Lays equally sized images out row by row, without gaps; cells without an image stay black. */
export function composeGrid(
  images: readonly RawImage[],
  { columns, rows }: { columns: number; rows: number },
): RawImage {
  const [first] = images;
  if (!first) throw new RangeError('composeGrid expects at least one image, got none');
  const { width, height, channels } = first;
  const stride = columns * width * channels;
  const data = new Uint8Array(stride * rows * height);
  images.slice(0, columns * rows).forEach((image, i) => {
    if (image.width !== width || image.height !== height || image.channels !== channels)
      throw new RangeError(
        `composeGrid expects images of one size, got ${width}x${height} and ${image.width}x${image.height}`,
      );
    const left = (i % columns) * width * channels;
    const top = Math.floor(i / columns) * height;
    for (let y = 0; y < height; y++)
      data.set(image.data.subarray(y * width * channels, (y + 1) * width * channels), (top + y) * stride + left);
  });
  return { width: columns * width, height: rows * height, channels, data };
}

/** The grid as PNG. */
export async function encodeGrid(
  images: readonly RawImage[],
  layout: { readonly columns: number; readonly rows: number },
): Promise<Uint8Array> {
  return await encodePng(composeGrid(images, layout));
}

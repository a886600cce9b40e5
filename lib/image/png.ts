import sharp from 'sharp';
import { DatasetError } from '../errors.ts';
import type { RawImage } from './raw-image.ts';

// One thread per image: parallelism comes from workers, and bytes must not depend on it.
sharp.concurrency(1);
sharp.cache(false);

/** Decodes a PNG that this product wrote: 8 bits, grey or RGB. @throws DatasetError when it is anything else. */
export async function decodePng(bytes: Uint8Array): Promise<RawImage> {
  const image = sharp(bytes);
  const { format, depth, space, channels: stored } = await image.metadata();
  if (format !== 'png' || depth !== 'uchar' || (stored !== 1 && stored !== 3))
    throw new DatasetError(`expected an 8-bit grey or RGB PNG, found ${format} ${depth} with ${stored} channels`);
  const grey = space === 'b-w';
  const { data, info } = await (grey ? image.toColourspace('b-w') : image).raw().toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, channels: grey ? 1 : 3, data: new Uint8Array(data) };
}

/** Encodes with fixed settings: the same pixels give the same bytes on one sharp version. */
export async function encodePng({ width, height, channels, data }: RawImage): Promise<Uint8Array> {
  const expected = width * height * channels;
  if (data.length !== expected) throw new RangeError(`encodePng expects ${expected} bytes, got ${data.length}`);
  const image = sharp(data, { raw: { width, height, channels } });
  const encoded = await (channels === 1 ? image.toColourspace('b-w') : image)
    .png({ compressionLevel: 9, adaptiveFiltering: true, palette: false, progressive: false })
    .toBuffer();
  return new Uint8Array(encoded);
}

import sharp from 'sharp';
import type { RawImage } from './raw-image.ts';

/** Encodes equally sized frames as an endless, lossless animated WebP; grey frames become RGB, which WebP needs. */
export async function encodeAnimation(
  frames: readonly RawImage[],
  { frameMs }: { frameMs: number },
): Promise<Uint8Array> {
  const [first] = frames;
  if (!first) throw new RangeError('encodeAnimation expects at least one frame, got none');
  const { width, height, channels } = first;
  if (frames.some((frame) => frame.width !== width || frame.height !== height || frame.channels !== channels))
    throw new RangeError(`encodeAnimation expects frames of one size, ${width}x${height} with ${channels} channels`);
  const data = Buffer.concat(frames.map((frame) => frame.data));
  const raw = { width, height: height * frames.length, channels, pageHeight: height };
  const delay = frames.map(() => frameMs);
  return new Uint8Array(
    await sharp(data, { raw }).toColourspace('srgb').webp({ lossless: true, loop: 0, delay }).toBuffer(),
  );
}

import sharp, { type Metadata, type Sharp } from 'sharp';
import type { Study } from '../../contract/study.ts';
import { RejectedImageError } from '../errors.ts';
import type { RawImage } from './raw-image.ts';
import { resizeBilinear } from './resize.ts';

/** Formats that carry one photograph-like image. Anything else (SVG, PDF, text) is no diagnostic image. */
const formats = ['png', 'jpeg', 'webp', 'tiff', 'gif'];
/** Side above which a file is more likely hostile than diagnostic, px. */
const largestSide = 16_384;

/**
 * A source file as one square 8-bit image: turned upright (EXIF), colour profile and palette resolved, 16 bits scaled to 8,
 * transparency laid on black, grey by Rec. 709 luma or RGB, cropped or padded to a square, resized.
 * @throws RejectedImageError with the reason in plain words.
 */
export async function prepareImage(
  bytes: Uint8Array,
  { resolution, channels, fit, minSourcePx }: Study['image'] & { readonly minSourcePx: number },
): Promise<RawImage> {
  if (bytes.length === 0) throw new RejectedImageError('the file is empty');
  const metadata = await readMetadata(bytes);
  refuseUnusable(metadata, minSourcePx);
  return resizeBilinear(makeSquare(await decode(bytes, channels), fit), { width: resolution, height: resolution });
}

const open = (bytes: Uint8Array): Sharp =>
  sharp(bytes, { failOn: 'error', limitInputPixels: largestSide ** 2, pages: 1 });

async function readMetadata(bytes: Uint8Array): Promise<Metadata> {
  try {
    // Without `pages: 1`, to see how many there are.
    return await sharp(bytes, { failOn: 'error', limitInputPixels: largestSide ** 2, pages: -1 }).metadata();
  } catch (error) {
    throw new RejectedImageError(`not readable as an image (${firstLine(error)})`, { cause: error });
  }
}

function refuseUnusable({ format, pages, width, height, pageHeight, depth }: Metadata, minSourcePx: number): void {
  if (!formats.includes(format))
    throw new RejectedImageError(`format ${format}, expected one of ${formats.join(', ')}`);
  if ((pages ?? 1) > 1) throw new RejectedImageError(`animated or multi-page: ${pages} images in one file, expected 1`);
  // Floats have no fixed range, and may be no numbers at all.
  if (depth !== 'uchar' && depth !== 'ushort')
    throw new RejectedImageError(`samples of type ${depth}, expected 8 or 16 bits without sign`);
  const shorter = Math.min(width, pageHeight ?? height);
  if (shorter < minSourcePx)
    throw new RejectedImageError(
      `${width}x${pageHeight ?? height} px, expected at least ${minSourcePx} px on both sides`,
    );
}

async function decode(bytes: Uint8Array, channels: 1 | 3): Promise<RawImage> {
  try {
    const { data, info } = await open(bytes)
      .autoOrient()
      .flatten({ background: '#000' })
      .toColourspace(channels === 1 ? 'b-w' : 'srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    if (info.channels !== channels)
      throw new RejectedImageError(`${info.channels} channels after conversion, expected ${channels}`);
    return { width: info.width, height: info.height, channels, data: new Uint8Array(data) };
  } catch (error) {
    if (error instanceof RejectedImageError) throw error;
    throw new RejectedImageError(`damaged: its pixels cannot be decoded (${firstLine(error)})`, { cause: error });
  }
}

/** The centre of the longer side, or black bars beside the shorter one; an odd difference leaves the extra pixel last. */
function makeSquare(image: RawImage, fit: Study['image']['fit']): RawImage {
  const { width, height, channels } = image;
  const side = fit === 'crop' ? Math.min(width, height) : Math.max(width, height);
  const left = Math.trunc((width - side) / 2);
  const top = Math.trunc((height - side) / 2);
  const data = new Uint8Array(side * side * channels);
  const columns = Math.min(side, width);
  for (let y = Math.max(0, top); y < Math.min(height, top + side); y++) {
    const from = (y * width + Math.max(0, left)) * channels;
    data.set(image.data.subarray(from, from + columns * channels), ((y - top) * side + Math.max(0, -left)) * channels);
  }
  return { width: side, height: side, channels, data };
}

const firstLine = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split('\n')[0]?.trim() ?? '';

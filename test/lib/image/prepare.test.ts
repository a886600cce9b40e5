import sharp, { type Sharp } from 'sharp';
import { describe, expect, it } from 'vitest';
import { RejectedImageError } from '../../../lib/errors.ts';
import { correlation, mirrored, perceptualHash, standardized, thumbnail } from '../../../lib/image/perceptual-hash.ts';
import { decodePng, encodePng } from '../../../lib/image/png.ts';
import { prepareImage } from '../../../lib/image/prepare.ts';
import type { RawImage } from '../../../lib/image/raw-image.ts';

const options = { resolution: 16, channels: 1, fit: 'crop', minSourcePx: 8 } as const;
const raw = (width: number, height: number, value: (x: number, y: number) => number): RawImage => ({
  width,
  height,
  channels: 1,
  data: Uint8Array.from({ length: width * height }, (_, i) => value(i % width, Math.floor(i / width))),
});
const grey = ({ data, width, height }: RawImage): Sharp =>
  sharp(data, { raw: { width, height, channels: 1 } }).toColourspace('b-w');
const ramp = raw(32, 32, (x, y) => 4 * x + 3 * y);

/** The least TIFF that holds grey 32-bit floats: header, one directory of entries [tag, type, count, value], pixels. */
function floatTiff(width: number, height: number, pixels: Float32Array): Buffer {
  const [short, long] = [3, 4];
  const entries = [
    [256, long, 1, width],
    [257, long, 1, height],
    [258, short, 1, 32],
    [259, short, 1, 1],
    [262, short, 1, 1],
    [273, long, 1, 8 + 2 + 10 * 12 + 4],
    [277, short, 1, 1],
    [278, long, 1, height],
    [279, long, 1, pixels.byteLength],
    [339, short, 1, 3], // IEEE floats
  ] as const;
  const directory = Buffer.alloc(8 + 2 + entries.length * 12 + 4);
  directory.write('II*\0', 0, 'latin1');
  directory.writeUInt32LE(8, 4);
  directory.writeUInt16LE(entries.length, 8);
  entries.forEach(([tag, type, count, value], i) => {
    directory.writeUInt16LE(tag, 10 + 12 * i);
    directory.writeUInt16LE(type, 12 + 12 * i);
    directory.writeUInt32LE(count, 14 + 12 * i);
    directory.writeUInt32LE(value, 18 + 12 * i);
  });
  return Buffer.concat([directory, Buffer.from(pixels.buffer)]);
}

describe('prepareImage accepts', () => {
  it('a grey PNG of the wanted size unchanged', async () => {
    const image = raw(16, 16, (x, y) => 8 * x + y);
    expect(await prepareImage(await encodePng(image), options)).toEqual(image);
  });
  it('a wide image by its centre, or whole between black bars', async () => {
    const wide = await encodePng(raw(32, 16, (x) => (x < 8 || x >= 24 ? 255 : 100)));
    expect(new Set((await prepareImage(wide, options)).data)).toEqual(new Set([100]));
    const padded = await prepareImage(wide, { ...options, resolution: 32, fit: 'pad' });
    expect([padded.data[0], padded.data[8 * 32], padded.data[8 * 32 + 16], padded.data[24 * 32]]).toEqual([
      0, 255, 100, 0,
    ]);
  });
  it('a tall image by its centre', async () => {
    const tall = await encodePng(raw(16, 33, (_, y) => (y < 8 || y >= 25 ? 0 : 50)));
    expect((await prepareImage(tall, options)).data[0]).toBe(50);
  });
  it('16 bits scaled to 8', async () => {
    const deep = await sharp(
      Uint16Array.from({ length: 256 }, (_, i) => i * 257),
      {
        raw: { width: 16, height: 16, channels: 1 },
      },
    )
      .toColourspace('grey16')
      .png()
      .toBuffer();
    expect((await sharp(deep).metadata()).depth).toBe('ushort');
    const { data } = await prepareImage(deep, options);
    expect([data[0], data[128], data[255]]).toEqual([0, 128, 255]);
  });
  it('CMYK, palette and transparent files', async () => {
    const rgb = sharp(new Uint8Array(32 * 32 * 3).fill(120), { raw: { width: 32, height: 32, channels: 3 } });
    const cmyk = await rgb.clone().toColourspace('cmyk').jpeg({ quality: 100 }).toBuffer();
    expect((await sharp(cmyk).metadata()).space).toBe('cmyk');
    expect(Math.abs(((await prepareImage(cmyk, options)).data[40] ?? 0) - 120)).toBeLessThan(20);
    const palette = await rgb.clone().png({ palette: true }).toBuffer();
    expect((await prepareImage(palette, options)).data[40]).toBe(120);
    const clear = await sharp({ create: { width: 16, height: 16, channels: 4, background: '#ffffff00' } })
      .png()
      .toBuffer();
    expect((await prepareImage(clear, options)).data[0]).toBe(0);
  });
  it('EXIF orientation: turned upright first', async () => {
    const turned = await grey(ramp).withMetadata({ orientation: 6 }).jpeg({ quality: 100 }).toBuffer();
    const upright = await prepareImage(turned, { ...options, resolution: 32 });
    // Orientation 6 means: rotate by 90 degrees clockwise to see it upright; the left bottom corner comes to the left top.
    expect(Math.abs((upright.data[0] ?? 0) - (ramp.data[31 * 32] ?? 0))).toBeLessThan(6);
  });
  it('colour as RGB when asked', async () => {
    const rgb = sharp({ create: { width: 16, height: 16, channels: 3, background: '#102030' } });
    const { channels, data } = await prepareImage(await rgb.png().toBuffer(), { ...options, channels: 3 });
    expect([channels, ...data.subarray(0, 3)]).toEqual([3, 16, 32, 48]);
  });
  it('grey files as three equal channels', async () => {
    const { data } = await prepareImage(await encodePng(raw(16, 16, () => 77)), { ...options, channels: 3 });
    expect([...data.subarray(0, 3)]).toEqual([77, 77, 77]);
  });
});

describe('prepareImage rejects, with the reason,', () => {
  const reason = async (bytes: Uint8Array): Promise<string> => {
    const error: unknown = await prepareImage(bytes, options).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(RejectedImageError);
    return (error as RejectedImageError).message;
  };
  it('an empty file', async () => expect(await reason(new Uint8Array())).toBe('the file is empty'));
  it('text', async () => expect(await reason(Buffer.from('not an image'))).toMatch(/not readable as an image/));
  it('an SVG', async () => {
    const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"><rect width="9" height="9"/></svg>';
    expect(await reason(Buffer.from(svg))).toMatch(/format svg, expected one of png/);
  });
  it('samples that may be no numbers', async () => {
    const data = Float32Array.from({ length: 256 }, (_, i) => (i === 7 ? Number.NaN : i / 255));
    const tiff = floatTiff(16, 16, data);
    expect((await sharp(tiff).metadata()).depth).toBe('float');
    expect(await reason(tiff)).toBe('samples of type float, expected 8 or 16 bits without sign');
  });
  it('a tiny image', async () =>
    expect(await reason(await encodePng(raw(7, 20, () => 1)))).toBe('7x20 px, expected at least 8 px on both sides'));
  it('a truncated PNG', async () => {
    const whole = await encodePng(raw(64, 64, (x, y) => (x * 37 + y * 91) % 256));
    expect(await reason(whole.subarray(0, whole.length / 2))).toMatch(/damaged|not readable/);
  });
  it('a truncated JPEG', async () => {
    const whole = await grey(raw(64, 64, (x, y) => (x * 37 + y * 91) % 256))
      .jpeg()
      .toBuffer();
    expect(await reason(whole.subarray(0, whole.length / 2))).toMatch(/damaged|not readable/);
  });
  it('a file whose pixels were overwritten', async () => {
    const whole = Buffer.from(await encodePng(raw(64, 64, (x, y) => (x * 37 + y * 91) % 256)));
    whole.fill(0x55, 60, 200);
    expect(await reason(whole)).toMatch(/damaged|not readable/);
  });
  it('a file that only begins like an image, or is another kind of file', async () => {
    const cases: Record<string, [Buffer, RegExp]> = {
      'the signature of PNG': [Buffer.from('89504e470d0a1a0a', 'hex'), /damaged|not readable/],
      'the start of JPEG': [Buffer.from('ffd8ffe000104a464946', 'hex'), /damaged|not readable/],
      'the header of GIF': [Buffer.from('GIF89a'), /damaged|not readable/],
      'a bitmap of Windows': [Buffer.concat([Buffer.from('BM'), Buffer.alloc(80, 1)]), /not readable/],
      'a PDF': [Buffer.from('%PDF-1.7\n1 0 obj\n<< >>\nendobj\n'), /not readable|format pdf/],
      'a DICOM file': [Buffer.concat([Buffer.alloc(128), Buffer.from('DICM'), Buffer.alloc(64)]), /not readable/],
      'an archive': [Buffer.from('504b0304140000000800', 'hex'), /not readable/],
      'a web page that a server sent instead': [Buffer.from('<!doctype html><html><body>404'), /not readable/],
      zeros: [Buffer.alloc(4096), /not readable/],
    };
    for (const [name, [bytes, expected]] of Object.entries(cases)) expect(await reason(bytes), name).toMatch(expected);
  });
  it('a PNG that claims to be far larger than any picture', async () => {
    const png = Buffer.from(await encodePng(raw(16, 16, () => 1)));
    png.writeUInt32BE(100_000, 16); // the width in IHDR
    png.writeUInt32BE(100_000, 20);
    expect(await reason(png)).toMatch(/not readable|damaged/);
  });
  it('a PNG whose checksum is wrong', async () => {
    const png = Buffer.from(await encodePng(raw(64, 64, (x, y) => (x * 37 + y * 91) % 256)));
    const at = png.indexOf('IDAT') + 40;
    png[at] = (png[at] ?? 0) ^ 0xff;
    expect(await reason(png)).toMatch(/damaged|not readable/);
  });
  it('a TIFF of several pages', async () => {
    const pages = sharp(Buffer.concat([Buffer.alloc(16 * 16, 10), Buffer.alloc(16 * 16, 200)]), {
      raw: { width: 16, height: 32, channels: 1, pageHeight: 16 },
    });
    expect(await reason(await pages.tiff().toBuffer())).toMatch(/animated or multi-page: 2 images/);
  });
  it('an animated GIF and an animated WebP', async () => {
    const frames = sharp(Buffer.concat([Buffer.alloc(16 * 16, 10), Buffer.alloc(16 * 16, 200)]), {
      raw: { width: 16, height: 32, channels: 1, pageHeight: 16 },
    });
    expect(await reason(await frames.clone().gif().toBuffer())).toMatch(/animated or multi-page: 2 images/);
    expect(await reason(await frames.clone().webp({ lossless: true }).toBuffer())).toMatch(/animated or multi-page/);
  });
});

describe('thumbnails and hashes', () => {
  const texture = raw(64, 64, (x, y) => Math.round(127 + 60 * Math.sin(x / 5) + 60 * Math.cos((x + 2 * y) / 9)));
  const other = raw(64, 64, (x, y) => Math.round(127 + 60 * Math.sin(y / 4) + 60 * Math.cos((2 * x - y) / 7)));
  const distance = (a: string, b: string): number =>
    Array.from(a, (digit, i) => parseInt(digit, 16) ^ parseInt(b.charAt(i), 16)).reduce(
      (sum, differing) => sum + differing.toString(2).replaceAll('0', '').length,
      0,
    );
  it('survive a change of brightness and contrast', () => {
    const dim = { ...texture, data: texture.data.map((value) => Math.round(0.6 * value + 20)) };
    const [a, b] = [thumbnail(texture), thumbnail(dim)];
    expect(distance(perceptualHash(a), perceptualHash(b))).toBeLessThanOrEqual(6);
    expect(correlation(standardized(a), standardized(b))).toBeGreaterThan(0.999);
  });
  it('tell pictures apart', () => {
    const [a, b] = [thumbnail(texture), thumbnail(other)];
    expect(correlation(standardized(a), standardized(b))).toBeLessThan(0.6);
    expect(perceptualHash(a)).toMatch(/^[0-9a-f]{16}$/);
    expect(distance(perceptualHash(a), perceptualHash(b))).toBeGreaterThan(12);
  });
  it('mirror left and right', () => {
    const small = thumbnail(texture);
    expect(mirrored(mirrored(small))).toEqual(small);
    expect(mirrored(small)[0]).toBe(small[31]);
  });
  it('give nothing for a constant image', () => {
    const flat = standardized(new Uint8Array(1024).fill(9));
    expect(correlation(flat, flat)).toBe(0);
  });
});

describe('decodePng', () => {
  it('reads back what encodePng wrote', async () => {
    expect(await decodePng(await encodePng(ramp))).toEqual(ramp);
    const rgb: RawImage = { width: 4, height: 2, channels: 3, data: Uint8Array.from({ length: 24 }, (_, i) => i * 9) };
    expect(await decodePng(await encodePng(rgb))).toEqual(rgb);
  });
  it('refuses other files', async () => {
    await expect(decodePng(await grey(ramp).jpeg().toBuffer())).rejects.toThrow(/expected an 8-bit grey or RGB PNG/);
  });
});

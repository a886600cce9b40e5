import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { crc32c, maskedCrc32c } from '../../../lib/tensorboard/crc32c.ts';
import { encodeEventFile } from '../../../lib/tensorboard/event-file.ts';
import { eventFiles } from './fixtures/events.ts';

describe('crc32c', () => {
  it('gives the check value of RFC 3720 and of the CRC catalogue', () => {
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
    expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
  });
  it('masks as TFRecord does', () => {
    const crc = 0xe3069283;
    const rotated = ((crc >>> 15) | (crc << 17)) >>> 0;
    expect(maskedCrc32c(Buffer.from('123456789'))).toBe((rotated + 0xa282ead8) % 2 ** 32);
  });
});

describe('encodeEventFile', () => {
  // Expected bytes are laid out by hand from event.proto and the TFRecord format.
  it('starts with the version record', () => {
    const file = Buffer.from(encodeEventFile([]));
    expect(file.readBigUInt64LE(0)).toBe(24n);
    expect(file.subarray(12, 21)).toEqual(Buffer.from([0x09, 0, 0, 0, 0, 0, 0, 0, 0]));
    expect(file.subarray(21, 36)).toEqual(Buffer.concat([Buffer.from([0x1a, 13]), Buffer.from('brain.Event:2')]));
    expect(file.length).toBe(12 + 24 + 4);
  });
  it('stores a scalar as simple_value of one summary value', () => {
    const file = Buffer.from(encodeEventFile([{ step: 300, scalars: { 'Loss/G': 0.5 } }])).subarray(40);
    const value = [0x0a, 6, ...Buffer.from('Loss/G'), 0x15, 0, 0, 0, 0x3f];
    const event = [
      0x09,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      0x10,
      0xac,
      0x02,
      0x2a,
      value.length + 2,
      0x0a,
      value.length,
      ...value,
    ];
    expect([...file.subarray(12, file.length - 4)]).toEqual(event);
  });
  it('keeps step counts above 2^31 and image bytes', () => {
    const png = new Uint8Array(300).fill(7);
    const events = [{ step: 25_000_000_000, images: { fakes: { png, width: 16, height: 8, channels: 1 as const } } }];
    const file = Buffer.from(encodeEventFile(events));
    expect(file.includes(Buffer.from(png))).toBe(true);
    expect(createHash('sha256').update(encodeEventFile(events)).digest('hex')).toBe(
      createHash('sha256').update(file).digest('hex'),
    );
  });
  it('refuses a step that is no count', () => {
    expect(() => encodeEventFile([{ step: -1, scalars: { a: 1 } }])).toThrow(/integers from 0/);
  });
});

describe('stock TensorBoard 2.21', () => {
  /** What fixtures/read-with-tensorboard.py printed for the files of fixtures/events.ts. */
  interface ReadByTensorboard {
    readonly files: Readonly<Record<string, string>>;
    readonly runs: Readonly<
      Record<
        string,
        {
          readonly scalars: Readonly<Record<string, readonly [step: number, value: number][]>>;
          readonly images: Readonly<
            Record<string, readonly [step: number, width: number, height: number, sha: string][]>
          >;
        }
      >
    >;
  }
  const file = new URL('fixtures/read-by-tensorboard.json', import.meta.url);
  const read = JSON.parse(readFileSync(file, 'utf8')) as ReadByTensorboard;
  const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
  const events = Object.values(eventFiles).flat();

  it('was given the bytes that are written today', () => {
    const today = Object.entries(eventFiles).map(([name, ofFile]) => [name, sha256(encodeEventFile(ofFile))]);
    expect(Object.fromEntries(today)).toEqual(read.files);
  });
  it('reads every scalar and image at its step, over the files of a training that was restarted', () => {
    const scalars: Record<string, [number, number][]> = {};
    const images: Record<string, [number, number, number, string][]> = {};
    for (const { step, scalars: values = {}, images: grids = {} } of events) {
      for (const [tag, value] of Object.entries(values)) (scalars[tag] ??= []).push([step, Math.fround(value)]);
      for (const [tag, { png, width, height }] of Object.entries(grids))
        (images[tag] ??= []).push([step, width, height, sha256(png)]);
    }
    expect(Object.keys(read.runs)).toEqual(['.']);
    expect(read.runs['.']).toEqual({ scalars, images });
  });
});

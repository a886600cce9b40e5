import { truncateSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readTensorFile, withTensorFile } from '../../../lib/engine/tensor-file.ts';
import { WeightsError } from '../../../lib/errors.ts';

let dir = '';
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'echoforge-tensors-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** A file of this format by hand: header length, header, data. */
function tensorFile(header: unknown, data: Buffer = Buffer.alloc(0), claimedLength?: bigint): Buffer {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(claimedLength ?? BigInt(json.length));
  return Buffer.concat([length, json, data]);
}
const floats = (...values: number[]): Buffer => Buffer.from(new Float32Array(values).buffer);
const entry = { dtype: 'F32', shape: [2], data_offsets: [0, 8] };
const read = async (name: string, bytes: Buffer): ReturnType<typeof readTensorFile> => {
  const file = join(dir, `${name.replaceAll(/\W/g, '-')}.safetensors`);
  await writeFile(file, bytes);
  return await readTensorFile(file);
};

describe('readTensorFile', () => {
  it('reads tensors and metadata', async () => {
    const counts = { dtype: 'I32', shape: [], data_offsets: [8, 12] };
    const data = Buffer.concat([floats(1.5, -2), Buffer.from(new Int32Array([7]).buffer)]);
    const { tensors, metadata } = await read(
      'good',
      tensorFile({ __metadata__: { kind: 'x' }, a: entry, n: counts }, data),
    );
    expect(metadata).toEqual({ kind: 'x' });
    expect(tensors.get('a')).toEqual({ shape: [2], dtype: 'float32', values: new Float32Array([1.5, -2]) });
    expect(tensors.get('n')).toEqual({ shape: [], dtype: 'int32', values: new Int32Array([7]) });
  });

  const a = (over: object): Buffer => tensorFile({ a: { ...entry, ...over } }, floats(1, 2));
  const refused: Record<string, [bytes: Buffer, reason: RegExp]> = {
    'an empty file': [Buffer.alloc(0), /it has 0 bytes/],
    'a file of eight bytes': [Buffer.alloc(8), /it has 8 bytes/],
    'a PNG': [Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'), /its header claims/],
    'an HDF5 file': [Buffer.from('894844460d0a1a0a0000000000080800', 'hex'), /its header claims/],
    text: [Buffer.from('these are no weights at all'), /its header claims/],
    'a header longer than the file': [tensorFile({ a: entry }, floats(1, 2), 10_000n), /claims 10000 of/],
    'a header of an exabyte': [tensorFile({ a: entry }, floats(1, 2), 2n ** 60n), /its header claims/],
    'a header that is cut short': [tensorFile({ a: entry }, floats(1, 2), 20n), /its header is not JSON/],
    'a header that is no JSON': [tensorFile('{"a": '.padEnd(16)), /its header is not JSON/],
    'a header that is an array': [tensorFile([entry]), /its header is not an object/],
    'a header that is null': [tensorFile('null    '), /its header is not an object/],
    'metadata that are null': [tensorFile({ __metadata__: null, a: entry }, floats(1, 2)), /metadata of .* no strings/],
    'metadata that are numbers': [tensorFile({ __metadata__: { epoch: 3 } }), /metadata of .* no strings/],
    'a tensor that is null': [tensorFile({ a: null }), /a in .* has dtype undefined/],
    'a tensor of doubles': [a({ dtype: 'F64' }), /dtype F64, expected F32 or I32/],
    'a tensor of bf16': [a({ dtype: 'BF16' }), /dtype BF16/],
    'a tensor without dtype': [a({ dtype: undefined }), /dtype undefined/],
    'a shape that is a number': [a({ shape: 2 }), /no valid shape/],
    'a negative side': [a({ shape: [-2] }), /no valid shape/],
    'a fractional side': [a({ shape: [0.5, 4] }), /no valid shape/],
    'sides too large to count': [a({ shape: [2 ** 60] }), /no valid shape/],
    'no byte range': [a({ data_offsets: undefined }), /no valid shape and byte range/],
    'a byte range of strings': [a({ data_offsets: ['0', '8'] }), /no valid shape and byte range/],
    'a byte range backwards': [a({ data_offsets: [8, 0] }), /has -8 bytes, expected 8/],
    'bytes that do not fit the shape': [a({ shape: [3] }), /has 8 bytes, expected 12 for \[3\]/],
    'data that are cut short': [tensorFile({ a: entry }, floats(1)), /is truncated: a ends at byte/],
    'tensors on the same bytes': [
      tensorFile({ a: entry, b: entry }, floats(1, 2)),
      /b in .* begins at byte \d+, expected/,
    ],
    'tensors that overlap': [
      tensorFile({ a: entry, b: { ...entry, data_offsets: [4, 12] } }, floats(1, 2, 3)),
      /b in .* begins at byte \d+, expected \d+, where a ends/,
    ],
    'a gap between tensors': [
      tensorFile({ a: entry, b: { ...entry, data_offsets: [12, 20] } }, floats(1, 2, 3, 4, 5)),
      /b in .* begins at byte \d+, expected \d+, where a ends/,
    ],
    'a gap before the first tensor': [a({ shape: [1], data_offsets: [4, 8] }), /where the header ends/],
    'bytes after the last tensor': [tensorFile({ a: entry }, floats(1, 2, 3)), /has 4 bytes after a, expected none/],
    'a byte range far outside': [a({ data_offsets: [2 ** 40, 2 ** 40 + 8] }), /is truncated/],
  };
  it.each(Object.entries(refused))('refuses %s, with the reason', async (name, [bytes, reason]) => {
    const error: unknown = await read(name, bytes).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(WeightsError);
    expect((error as WeightsError).message).toMatch(reason);
  });

  it('reads values when they are asked for, in any order of tensors, and an empty one', async () => {
    const file = join(dir, 'lazy.safetensors');
    const parts = {
      z: entry,
      none: { dtype: 'I32', shape: [0], data_offsets: [8, 8] },
      b: { ...entry, data_offsets: [8, 16] },
    };
    await writeFile(file, tensorFile(parts, floats(1, 2, 3, 4)));
    await withTensorFile(file, ({ tensors }) => {
      expect([...tensors.get('b')!.values]).toEqual([3, 4]);
      expect([...tensors.get('none')!.values]).toEqual([]);
      truncateSync(file, 20);
      expect(() => tensors.get('z')!.values).toThrow(/the file ends at byte \d+, expected 8 more/);
    });
  });

  it('refuses what is not there and what is a folder', async () => {
    await expect(readTensorFile(join(dir, 'missing'))).rejects.toThrow(WeightsError);
    await expect(readTensorFile(dir)).rejects.toThrow(/is no plain file/);
  });
});

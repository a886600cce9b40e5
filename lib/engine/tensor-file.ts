import { readSync } from 'node:fs';
import { open, rename, type FileHandle } from 'node:fs/promises';
import { WeightsError } from '../errors.ts';
import { bytesPerValue, partsOf, readHeader, type ByteRange, type TensorPart } from './tensor-header.ts';
import { tf } from './tf.ts';

/**
 * Tensors by name in one file of the safetensors format: length of the header (uint64, little-endian), header as JSON (dtype,
 * shape, byte range per tensor; `__metadata__` of strings), data. Names are sorted, so equal tensors give equal bytes, and
 * Python reads the files with the `safetensors` package.
 */

export interface StoredTensor {
  readonly shape: number[];
  readonly dtype: 'float32' | 'int32';
  readonly values: Float32Array | Int32Array;
}

/** All tensors of a file by name, and its strings. */
export interface TensorFile {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** What can be written: a tensor of the engine, or {@link plainTensor}. */
export type WritableTensor = Pick<tf.Tensor, 'dtype' | 'shape' | 'size'> & {
  readonly dataSync: () => ArrayBufferView;
};

/** Values outside the engine, to be written. */
export function plainTensor({ dtype, shape, values }: StoredTensor): WritableTensor {
  return { dtype, shape, size: values.length, dataSync: () => values };
}

const dtypes = { float32: 'F32', int32: 'I32' } as const;

/** Writes `tensors`; the file appears whole. @throws WeightsError for tensors that are neither float32 nor int32 */
export async function writeTensorFile(
  file: string,
  tensors: Readonly<Record<string, WritableTensor>>,
  metadata: Readonly<Record<string, string>>,
): Promise<void> {
  const sorted = Object.entries(tensors).sort(([a], [b]) => (a < b ? -1 : 1));
  const header: Record<string, unknown> = { __metadata__: sortedRecord(metadata) };
  let offset = 0;
  for (const [name, { dtype, shape, size }] of sorted) {
    if (dtype !== 'float32' && dtype !== 'int32')
      throw new WeightsError(`${name} is ${dtype}, expected float32 or int32 to be stored in ${file}`);
    const end = offset + size * bytesPerValue;
    header[name] = { dtype: dtypes[dtype], shape, data_offsets: [offset, end] };
    offset = end;
  }
  const text = JSON.stringify(header);
  const json = Buffer.from(
    text.padEnd(Math.ceil(Buffer.byteLength(text) / 8) * 8 - Buffer.byteLength(text) + text.length),
  );
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const handle = await open(`${file}.part`, 'w');
  try {
    await writeAll(handle, Buffer.concat([length, json]));
    for (const [, tensor] of sorted) {
      const values = tensor.dataSync();
      await writeAll(handle, Buffer.from(values.buffer, values.byteOffset, values.byteLength));
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(`${file}.part`, file);
}

async function writeAll(handle: FileHandle, bytes: Buffer): Promise<void> {
  let written = 0;
  while (written < bytes.length) written += (await handle.write(bytes, written)).bytesWritten;
}

const sortedRecord = (record: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));

/** Reads all tensors. @throws WeightsError when the file is truncated or not of this format, naming what is wrong */
export async function readTensorFile(file: string): Promise<TensorFile> {
  return await withTensorFile(file, ({ tensors, metadata }) => ({
    tensors: new Map([...tensors].map(([name, { shape, dtype, values }]) => [name, { shape, dtype, values }])),
    metadata,
  }));
}

/**
 * Hands the tensors of `file` to `use`. Their values are read whenever they are asked for, until it returns: what has the wrong
 * name or shape need never be.
 * @throws WeightsError as {@link readTensorFile}
 */
export async function withTensorFile<T>(file: string, use: (stored: TensorFile) => T): Promise<T> {
  const handle = await open(file, 'r').catch((error: unknown) => {
    throw new WeightsError(`${file} cannot be opened`, { cause: error });
  });
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) throw new WeightsError(`${file} is no plain file`);
    const { size } = stat;
    const read = (range: ByteRange): Buffer<ArrayBuffer> => readExactly(handle.fd, range);
    const { header, dataStart } = await readHeader((range) => Promise.resolve(read(range)), { file, size });
    const { __metadata__: metadata = {}, ...entries } = header;
    if (!isStringRecord(metadata)) throw new WeightsError(`the metadata of ${file} are no strings by name`);
    const parts = partsOf(entries, { file, size, dataStart });
    return use({ tensors: new Map(parts.map((part) => [part.name, storedTensor(part, read)])), metadata });
  } finally {
    await handle.close();
  }
}

const isStringRecord = (value: unknown): value is Record<string, string> =>
  typeof value === 'object' && value !== null && Object.values(value).every((text) => typeof text === 'string');

function storedTensor(
  { shape, dtype, position, length }: TensorPart,
  read: (range: ByteRange) => Buffer<ArrayBuffer>,
): StoredTensor {
  return {
    shape,
    dtype,
    get values() {
      const { buffer } = read({ position, length });
      return dtype === 'float32' ? new Float32Array(buffer) : new Int32Array(buffer);
    },
  };
}

/** In a buffer of its own, so that typed arrays are aligned. */
function readExactly(descriptor: number, { position, length }: ByteRange): Buffer<ArrayBuffer> {
  const bytes = Buffer.from(new ArrayBuffer(length));
  let filled = 0;
  while (filled < length) {
    const bytesRead = readSync(descriptor, bytes, filled, length - filled, position + filled);
    if (bytesRead === 0)
      throw new WeightsError(`the file ends at byte ${position + filled}, expected ${length - filled} more`);
    filled += bytesRead;
  }
  return bytes;
}

/**
 * @throws WeightsError naming missing, unexpected and misshapen tensors of `what`, the first five
 */
export function checkTensors(
  expected: readonly { readonly name: string; readonly shape: readonly number[] }[],
  tensors: ReadonlyMap<string, StoredTensor>,
  what: string,
): void {
  const differences: string[] = [];
  for (const { name, shape } of expected) {
    const stored = tensors.get(name);
    if (stored === undefined) differences.push(`${name} is missing`);
    else if (stored.dtype !== 'float32') differences.push(`${name} is ${stored.dtype}, expected float32`);
    else if (stored.shape.join() !== shape.join())
      differences.push(`${name} has shape [${stored.shape.join(', ')}], expected [${shape.join(', ')}]`);
  }
  const known = new Set(expected.map(({ name }) => name));
  for (const name of tensors.keys()) if (!known.has(name)) differences.push(`${name} is not expected`);
  if (differences.length === 0) return;
  const more = differences.length > 5 ? `; and ${differences.length - 5} more` : '';
  throw new WeightsError(`${what} does not fit: ${differences.slice(0, 5).join('; ')}${more}`);
}

/**
 * Sets variables by name. Nothing is assigned before everything is checked.
 * @throws WeightsError naming missing, unexpected and misshapen tensors of `what`
 */
export function assignTensors(
  variables: readonly tf.Variable[],
  tensors: ReadonlyMap<string, StoredTensor>,
  what: string,
): void {
  checkTensors(variables, tensors, what);
  tf.tidy(() => {
    for (const variable of variables) {
      const stored = tensors.get(variable.name);
      if (stored) variable.assign(tf.tensor(stored.values, variable.shape, 'float32'));
    }
  });
}

import { WeightsError } from '../errors.ts';

/**
 * Header of the safetensors format, without TensorFlow: length (uint64, little-endian), then JSON with dtype, shape and byte
 * range per tensor and `__metadata__` of strings. So a worker that computes nothing can say what a file holds.
 */

interface HeaderEntry {
  readonly dtype: string;
  readonly shape: number[];
  readonly data_offsets: [begin: number, end: number];
}

/** Larger headers are no files of ours: the full-width classifier needs 200 kB. */
const maxHeaderBytes = 16 * 2 ** 20;
const lengthBytes = 8;
export const bytesPerValue = 4;

export interface ByteRange {
  /** From the start of the file. */
  readonly position: number;
  readonly length: number;
}

/** A tensor of a file and where its values lie. */
export interface TensorPart extends ByteRange {
  readonly name: string;
  readonly shape: number[];
  readonly dtype: 'float32' | 'int32';
}

interface Described {
  readonly file: string;
  /** Bytes of the whole file. */
  readonly size: number;
}

function refuse({ file }: Described, reason: string, cause?: unknown): never {
  throw new WeightsError(`${file} is no tensor file (safetensors): ${reason}`, { cause });
}

/** Bytes of the JSON header. @throws WeightsError when no such file begins so */
function headerLength(start: Buffer, described: Described): number {
  const length = start.readBigUInt64LE();
  if (length > BigInt(maxHeaderBytes) || Number(length) + lengthBytes > described.size)
    refuse(described, `its header claims ${length.toString()} of ${described.size} bytes`);
  return Number(length);
}

/**
 * Reads the header by `read`, which returns exactly the bytes asked for. Entries are as the file has them, unchecked.
 * @throws WeightsError when it is none
 */
export async function readHeader(
  read: (range: ByteRange) => Promise<Buffer>,
  described: Described,
): Promise<{ readonly header: Record<string, unknown>; readonly dataStart: number }> {
  if (described.size < lengthBytes + 2) refuse(described, `it has ${described.size} bytes`);
  const length = headerLength(await read({ position: 0, length: lengthBytes }), described);
  const bytes = await read({ position: lengthBytes, length });
  try {
    const header = JSON.parse(bytes.toString('utf8')) as unknown;
    if (typeof header === 'object' && header !== null && !Array.isArray(header))
      return { header: header as Record<string, unknown>, dataStart: lengthBytes + length }; // an object, by the line above
  } catch (error) {
    refuse(described, 'its header is not JSON', error);
  }
  return refuse(described, 'its header is not an object');
}

/**
 * The tensors that a header's entries describe. As the format demands, their values fill the file without overlap or gap, so
 * that all of them together are never more than the file.
 * @throws WeightsError naming the first tensor that is described badly or lies where it must not
 */
export function partsOf(
  entries: Readonly<Record<string, unknown>>,
  described: Described & { readonly dataStart: number },
): TensorPart[] {
  const parts = Object.entries(entries).map(([name, entry]) => partOf(name, entry, described));
  const { file, size, dataStart } = described;
  let [end, before] = [dataStart, 'the header'];
  const ordered = [...parts].sort((a, b) => a.position - b.position || a.length - b.length);
  for (const { name, position, length } of ordered) {
    if (position !== end)
      throw new WeightsError(`${name} in ${file} begins at byte ${position}, expected ${end}, where ${before} ends`);
    [end, before] = [end + length, name];
  }
  if (end !== size) throw new WeightsError(`${file} has ${size - end} bytes after ${before}, expected none`);
  return parts;
}

function partOf(
  name: string,
  entry: unknown,
  { file, size, dataStart }: Described & { readonly dataStart: number },
): TensorPart {
  // A foreign file may hold anything here, null included.
  const { dtype, shape, data_offsets: range } = (entry as Partial<HeaderEntry> | null) ?? {};
  const kind = dtype === 'F32' ? 'float32' : dtype === 'I32' ? 'int32' : null;
  if (kind === null) throw new WeightsError(`${name} in ${file} has dtype ${String(dtype)}, expected F32 or I32`);
  if (
    !Array.isArray(shape) ||
    !Array.isArray(range) ||
    ![...shape, ...range].every((n) => Number.isSafeInteger(n) && n >= 0)
  )
    throw new WeightsError(`${name} in ${file} has no valid shape and byte range`);
  const [begin, end] = range;
  const length = shape.reduce((product, side) => product * side, 1) * bytesPerValue;
  if (end - begin !== length)
    throw new WeightsError(`${name} in ${file} has ${end - begin} bytes, expected ${length} for [${shape.join(', ')}]`);
  if (dataStart + end > size)
    throw new WeightsError(`${file} is truncated: ${name} ends at byte ${dataStart + end}, the file at ${size}`);
  return { name, shape, dtype: kind, position: dataStart + begin, length };
}

/** Collects the first bytes of a stream; more may have come than were asked for. */
async function startOf(chunks: AsyncIterator<Buffer>, wanted: number, sofar: Buffer): Promise<Buffer> {
  let bytes = sofar;
  while (bytes.length < wanted) {
    const next = await chunks.next();
    if (next.done === true) break;
    bytes = Buffer.concat([bytes, next.value]);
  }
  return bytes;
}

/**
 * Shapes by name from the beginning of a stream, which is closed after the header.
 * @throws WeightsError when the stream is no tensor file, or an entry has no shape
 */
export async function readTensorShapes(
  stream: AsyncIterable<Buffer>,
  described: Described,
): Promise<Map<string, readonly number[]>> {
  const chunks = stream[Symbol.asyncIterator]();
  let bytes: Buffer = Buffer.alloc(0);
  try {
    const { header } = await readHeader(async ({ position, length }) => {
      bytes = await startOf(chunks, position + length, bytes);
      if (bytes.length < position + length) refuse(described, `it ends at byte ${bytes.length}`);
      return bytes.subarray(position, position + length);
    }, described);
    const { __metadata__, ...entries } = header;
    return new Map(Object.entries(entries).map(([name, entry]) => [name, shapeOf(name, entry, described)] as const));
  } finally {
    await chunks.return?.();
  }
}

function shapeOf(name: string, entry: unknown, { file }: Described): readonly number[] {
  const { shape } = (entry as Partial<HeaderEntry> | null) ?? {}; // a foreign file may hold anything here
  if (!Array.isArray(shape) || !shape.every((side) => Number.isSafeInteger(side) && side >= 0))
    throw new WeightsError(`${name} in ${file} has no valid shape`);
  return shape;
}

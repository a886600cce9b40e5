import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { plainTensor, writeTensorFile } from '../engine/tensor-file.ts';
import { bytesPerValue, partsOf, readHeader } from '../engine/tensor-header.ts';
import { WeightsError } from '../errors.ts';
import type { FeatureTable } from './batch-inputs.ts';

/** Features of some images in a tensor file, `features` [rows, size] float32, of which single rows are read: all may not fit memory. */

const format = 'echoforge-features';

export interface FeatureFile {
  readonly file: string;
  /** Values per row. */
  readonly size: number;
  /** Where the first row begins, bytes. */
  readonly start: number;
}

interface Described {
  /** Hash of all that the values depend on. */
  readonly key: string;
  readonly rows: number;
  readonly size: number;
}

export async function writeFeatureFile(
  file: string,
  { key, rows, size }: Described,
  values: Float32Array,
): Promise<void> {
  const features = plainTensor({ shape: [rows, size], dtype: 'float32', values });
  await writeTensorFile(file, { features }, { format, formatVersion: '1', key });
}

/** Looks whether a file is whole and holds the features described; no values are read. @throws WeightsError when not */
export async function openFeatureFile(file: string, { key, rows, size }: Described): Promise<FeatureFile> {
  const descriptor = openSync(file, 'r');
  try {
    const { size: bytes } = fstatSync(descriptor);
    const read = ({ position, length }: { position: number; length: number }): Promise<Buffer> => {
      const buffer = Buffer.alloc(length);
      readExactly(descriptor, buffer, { file, position });
      return Promise.resolve(buffer);
    };
    const { header, dataStart } = await readHeader(read, { file, size: bytes });
    const { __metadata__, ...entries } = header;
    const metadata = (__metadata__ ?? {}) as Readonly<Record<string, string>>; // of ours, or compared and refused
    const [part, ...others] = partsOf(entries, { file, size: bytes, dataStart });
    const isExpected =
      part?.name === 'features' && part.dtype === 'float32' && part.shape.join() === [rows, size].join();
    if (metadata.format === format && metadata.key === key && isExpected && others.length === 0)
      return { file, size, start: part.position };
    throw new WeightsError(
      `${file} does not hold the features [${rows}, ${size}] with key ${key}: its format is ${metadata.format ?? 'missing'}, its key ${metadata.key ?? 'missing'}, their shape [${part?.shape.join(', ') ?? ''}]; delete features/${key}.json from the store`,
    );
  } finally {
    closeSync(descriptor);
  }
}

/** The rows of `files`, `rowsPerFile` in each but the last, as one table. */
export function tableOfFiles(
  files: readonly FeatureFile[],
  { rowsPerFile, size, views }: { readonly rowsPerFile: number; readonly size: number; readonly views: number },
): FeatureTable {
  const read: FeatureTable['read'] = (row, target, offset) => {
    const file = files[Math.floor(row / rowsPerFile)];
    if (file === undefined) throw new RangeError(`expected a row below ${files.length * rowsPerFile}, got ${row}`);
    readRow(file, row % rowsPerFile, target, offset);
  };
  return { size, views, read };
}

/** Copies a row into `target` from `offset` on. @throws WeightsError when the file was cut off after it was opened */
function readRow({ file, size, start }: FeatureFile, row: number, target: Float32Array, offset: number): void {
  const bytes = new Uint8Array(target.buffer, target.byteOffset + offset * bytesPerValue, size * bytesPerValue);
  // Opened for every row: a large set has more parts than a process may have files open.
  const descriptor = openSync(file, 'r');
  try {
    readExactly(descriptor, bytes, { file, position: start + row * bytes.length });
  } finally {
    closeSync(descriptor);
  }
}

function readExactly(
  descriptor: number,
  bytes: Uint8Array,
  { file, position }: { readonly file: string; readonly position: number },
): void {
  let filled = 0;
  while (filled < bytes.length) {
    const read = readSync(descriptor, bytes, filled, bytes.length - filled, position + filled);
    if (read === 0)
      throw new WeightsError(`${file} ends at byte ${position + filled}, expected ${bytes.length - filled} more`);
    filled += read;
  }
}

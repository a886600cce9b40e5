import h5wasm from 'h5wasm';
import { WeightsError } from '../errors.ts';

/**
 * HDF5 files through h5wasm, which is the C library compiled to WebAssembly. It sees one file in memory and nothing of
 * this machine: links and external storage in a hostile file lead nowhere. What a file claims about itself (sizes of
 * attributes, shapes of data) is looked at before anything is allocated for it.
 */

type Group = InstanceType<typeof h5wasm.Group>;
type Dataset = InstanceType<typeof h5wasm.Dataset>;

/** Keras splits attributes above 64 kB; nothing larger is a list of names. */
const maxAttributeBytes = 2 ** 20;
const maxNames = 50_000;

export interface Hdf5Data {
  readonly shape: readonly number[];
  /** `float32`, or what it is instead. */
  readonly dtype: string;
  /** Only for float32. */
  readonly read: () => Float32Array;
}

export interface Hdf5Group {
  readonly hasAttribute: (name: string) => boolean;
  /** List of strings under `name`, or split under `name0`, `name1`, ... */
  readonly strings: (name: string) => string[];
  readonly group: (path: string) => Hdf5Group | null;
  readonly data: (path: string) => Hdf5Data | null;
}

let opened = 0;

/** Keeps files in the library's memory apart. */
const nextName = (): string => `/weights-${opened++}.h5`;

/** Reads `bytes`, which it takes over. @throws WeightsError with the library's reason; the library then holds nothing. */
export async function readHdf5<T>(bytes: Uint8Array, file: string, use: (root: Hdf5Group) => T): Promise<T> {
  const library = await h5wasm.ready;
  library.activate_throwing_error_handler();
  const name = nextName();
  library.FS.writeFile(name, bytes, { canOwn: true } as never); // an option of Emscripten that h5wasm's types lack
  try {
    const root = guard(file, () => new h5wasm.File(name, 'r'));
    try {
      return use(wrap(root, file));
    } finally {
      root.close();
    }
  } finally {
    library.FS.unlink(name);
  }
}

/** The library throws errors of its own, and whatever WebAssembly throws when a hostile file leads it astray. */
function guard<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof WeightsError) throw error;
    const text = error instanceof Error ? error.message : String(error);
    // HDF5 prints its stack, the cause last: "#006: file.c line 577 in f(): truncated file: ...".
    const cause = [...text.matchAll(/in \w+\(\): (.+)/g)].at(-1)?.[1] ?? text.slice(0, 200);
    throw new WeightsError(`${file} is no readable HDF5 file: ${cause}`, { cause: error });
  }
}

function wrap(group: Group, file: string): Hdf5Group {
  const names = guard(file, () => new Set(Object.keys(group.attrs)));
  const child = (path: string): unknown => guard(file, () => group.get(path));
  return {
    hasAttribute: (name) => names.has(name) || names.has(`${name}0`),
    strings(name) {
      if (names.has(name)) return stringsOf(group, name, file);
      const all: string[] = [];
      for (let i = 0; names.has(`${name}${i}`); i++) {
        all.push(...stringsOf(group, `${name}${i}`, file));
        if (all.length > maxNames) throw new WeightsError(`${file} lists more than ${maxNames} names as ${name}`);
      }
      return all;
    },
    group(path) {
      const found = child(path);
      return found instanceof h5wasm.Group ? wrap(found, file) : null;
    },
    data(path) {
      const found = child(path);
      return found instanceof h5wasm.Dataset ? wrapData(found, file) : null;
    },
  };
}

function stringsOf(group: Group, name: string, file: string): string[] {
  return guard(file, () => {
    const attribute = group.attrs[name];
    const { type, size, total_size: count } = attribute?.metadata ?? { type: -1, size: 0, total_size: 0 };
    if (count === 0) return []; // Keras 3 writes an empty list of numbers for a layer without weights
    if (type !== stringType || count > maxNames || size * count > maxAttributeBytes)
      throw new WeightsError(`the attribute ${name} of ${group.path} in ${file} is no list of names`);
    const value: unknown = attribute?.value;
    const list: unknown[] = Array.isArray(value) ? value : [value];
    return list.map((text) => {
      if (typeof text !== 'string') throw new WeightsError(`${name} of ${group.path} in ${file} holds no names`);
      return text;
    });
  });
}

/** H5T_class_t of the HDF5 library. */
const floatType = 1;
const stringType = 3;

function wrapData(dataset: Dataset, file: string): Hdf5Data {
  const { type, size, littleEndian, shape, chunks } = guard(file, () => dataset.metadata);
  const plain = type === floatType && size === 4 && littleEndian;
  const sides = shape ?? [];
  const count = product(sides);
  return {
    shape: sides,
    dtype: plain
      ? 'float32'
      : type === floatType
        ? `float${8 * size}${littleEndian ? '' : ' (big-endian)'}`
        : 'no float',
    read: () =>
      guard(file, () => {
        // The library allocates whole chunks, whatever the shape.
        if (chunks !== null && product(chunks) > Math.max(count, 2 ** 20))
          throw new WeightsError(`${dataset.path} in ${file} is stored in chunks larger than itself`);
        const values: unknown = dataset.value;
        if (!(values instanceof Float32Array) || values.length !== count)
          throw new WeightsError(`${dataset.path} in ${file} does not hold the ${count} values of its shape`);
        return values;
      }),
  };
}

const product = (sides: readonly number[]): number => sides.reduce((size, side) => size * side, 1);

export interface Hdf5Writer {
  readonly attribute: (group: string, name: string, value: string | readonly string[]) => void;
  readonly group: (path: string) => void;
  readonly data: (path: string, values: Float32Array, shape: readonly number[]) => void;
}

/** Bytes of a new file; `write` names groups by their full path, parents first. */
export async function writeHdf5(write: (writer: Hdf5Writer) => void): Promise<Uint8Array> {
  const library = await h5wasm.ready;
  library.activate_throwing_error_handler();
  const name = nextName();
  const root = new h5wasm.File(name, 'w');
  try {
    const groupAt = (path: string): Group => {
      const found = root.get(path);
      if (!(found instanceof h5wasm.Group)) throw new RangeError(`there is no group ${path} to write to`);
      return found;
    };
    const split = (path: string): [string, string] => {
      const at = path.lastIndexOf('/');
      return [path.slice(0, at) || '/', path.slice(at + 1)];
    };
    write({
      attribute(path, attribute, value) {
        const texts = typeof value === 'string' ? [value] : [...value];
        const longest = Math.max(1, ...texts.map((text) => Buffer.byteLength(text)));
        groupAt(path).create_attribute(
          attribute,
          texts,
          typeof value === 'string' ? [] : [texts.length],
          `S${longest}`,
        );
      },
      group(path) {
        const [parent, child] = split(path);
        groupAt(parent).create_group(child);
      },
      data(path, values, shape) {
        const [parent, child] = split(path);
        groupAt(parent).create_dataset({ name: child, data: values, shape: [...shape], dtype: '<f' });
      },
    });
  } finally {
    root.close();
  }
  const bytes = library.FS.readFile(name);
  library.FS.unlink(name);
  return bytes;
}

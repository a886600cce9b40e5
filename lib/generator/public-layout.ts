import { checkTensors, type StoredTensor, type TensorFile } from '../engine/tensor-file.ts';
import { WeightsError } from '../errors.ts';
import type { NetworkShape } from './architecture.ts';
import { snapshotKind } from './checkpoint.ts';
import {
  constantTensors,
  learnedTensors,
  shapeOfPublic,
  snapshotVariables,
  upsamplingFilter,
  type PublicTensor,
} from './public-names.ts';
import { reordered, shiftedByOne } from './public-values.ts';

/**
 * An averaged generator between our snapshots and the public PyTorch layout (public-names.ts): the way there and back gives the
 * same bytes, whichever side it starts from.
 */

/** Both layouts of one generator, and the noise maps that only the public one holds, each [side, side] in layer order. */
export interface PublicGenerator {
  readonly shape: NetworkShape;
  readonly snapshot: TensorFile;
  readonly noise: readonly Float32Array[];
}

const remainderKey = 'echoforge.styleBiasRemainder';
const trainingKey = 'echoforge.training';
const nimgKey = 'echoforge.nimg';

const float32 = (shape: readonly number[], values: Float32Array): StoredTensor => ({
  shape: [...shape],
  dtype: 'float32',
  values,
});

/** Rounding remainders by our name, of all style biases in layer order; null where the metadata hold none. */
function readRemainders(
  metadata: Readonly<Record<string, string>>,
  biases: readonly PublicTensor[],
): Map<string, Float32Array> | null {
  const text = metadata[remainderKey];
  if (text === undefined) return null;
  const bytes = Buffer.from(text, 'base64');
  const values = new Float32Array(new Uint8Array(bytes).buffer);
  const remainders = new Map<string, Float32Array>();
  let offset = 0;
  for (const { own, shape } of biases) {
    const size = shape[0] ?? 0;
    remainders.set(own, values.subarray(offset, offset + size));
    offset += size;
  }
  if (offset !== values.length)
    throw new WeightsError(`expected ${offset} values in ${remainderKey}, got ${values.length}`);
  return remainders;
}

function writtenRemainders(
  found: ReadonlyMap<string, Float32Array>,
  biases: readonly PublicTensor[],
): Record<string, string> {
  const all = biases.flatMap(({ own }) => [...(found.get(own) ?? [])]);
  if (all.every((value) => value === 0)) return {};
  return { [remainderKey]: Buffer.from(Float32Array.from(all).buffer).toString('base64') };
}

/**
 * The learned tensors in the other layout. Adding 1 to a style's bias, or taking it off, rounds; what it rounds off goes into
 * the metadata, so that the way back gives the same bytes.
 */
function converted(
  source: TensorFile,
  options: {
    readonly learned: readonly PublicTensor[];
    readonly toPublic: boolean;
    readonly shapes: ReadonlyMap<string, readonly number[]>;
  },
): { readonly tensors: Map<string, StoredTensor>; readonly remainders: Record<string, string> } {
  const { learned, toPublic, shapes } = options;
  const biases = learned.filter(({ plusOne }) => plusOne);
  const known = readRemainders(source.metadata, biases);
  const found = new Map<string, Float32Array>();
  const tensors = new Map<string, StoredTensor>();
  for (const { name, shape, own, axes, flipped, plusOne } of learned) {
    const values = source.tensors.get(toPublic ? own : name)?.values as Float32Array; // checked by the caller
    const target = toPublic ? name : own;
    const targetShape = toPublic ? shape : (shapes.get(own) ?? []);
    if (plusOne) {
      const shifted = shiftedByOne(values, { up: toPublic, remainder: known?.get(own) ?? null });
      found.set(own, shifted.remainder);
      tensors.set(target, float32(targetShape, shifted.values));
    } else if (axes !== null) tensors.set(target, float32(targetShape, reordered(values, { axes, flipped, toPublic })));
    else tensors.set(target, float32(targetShape, values.slice()));
  }
  return { tensors, remainders: known === null ? writtenRemainders(found, biases) : {} };
}

/**
 * A snapshot in the public layout, ready for `load_state_dict`.
 * @throws WeightsError naming the first differences when the snapshot is not of this shape, or the layout cannot hold it
 */
export function toPublicLayout({ shape, snapshot, noise }: PublicGenerator): TensorFile {
  const learned = learnedTensors(shape);
  checkTensors(snapshotVariables(shape), snapshot.tensors, 'the snapshot');
  const { filters, noise: maps } = constantTensors(shape);
  const { tensors, remainders } = converted(snapshot, { learned, toPublic: true, shapes: new Map() });
  for (const { name } of filters) tensors.set(name, float32([4, 4], upsamplingFilter));
  maps.forEach((map, i) => {
    const values = noise[i];
    if (values?.length !== (map.shape[3] ?? 0) ** 2)
      throw new RangeError(
        `expected ${maps.length} noise maps, ${map.name} [${map.shape.join(', ')}], got ${values?.length ?? 0} values`,
      );
    tensors.set(map.name, float32(map.shape, values));
  });
  const { training = '', nimg = '0' } = snapshot.metadata;
  return { tensors, metadata: { format: 'pt', [trainingKey]: training, [nimgKey]: nimg, ...remainders } };
}

/**
 * The snapshot that a file in the public layout holds, and its noise maps, which our snapshots do without.
 * @throws WeightsError naming the first missing, unexpected or misshapen tensors, or another upsampling filter
 */
export function fromPublicLayout(file: TensorFile, what: string): PublicGenerator {
  const shape = shapeOfPublic(file.tensors, what);
  const learned = learnedTensors(shape);
  const { filters, noise } = constantTensors(shape);
  checkTensors([...learned, ...filters, ...noise], file.tensors, what);
  for (const { name } of filters) {
    const found = file.tensors.get(name)?.values ?? [];
    if (upsamplingFilter.some((value, i) => value !== found[i]))
      throw new WeightsError(
        `${name} of ${what} is not the filter [1, 3, 3, 1] with gain 4, the only one there is here`,
      );
  }
  const shapes = new Map(snapshotVariables(shape).map((spec) => [spec.name, spec.shape] as const));
  const { tensors, remainders } = converted(file, { learned, toPublic: false, shapes });
  const { [trainingKey]: training = 'imported', [nimgKey]: nimg = '0' } = file.metadata;
  return {
    shape,
    snapshot: { tensors, metadata: { kind: snapshotKind, training, nimg, ...remainders } },
    noise: noise.map(({ name }) => file.tensors.get(name)?.values as Float32Array), // checked above
  };
}

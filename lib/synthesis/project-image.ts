import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { EngineContext, NamedFile, ProjectImageOutput, ProjectImageTask } from '../../contract/engine.ts';
import { loadEngine } from '../engine/backend.ts';
import {
  assignTensors,
  plainTensor,
  readTensorFile,
  writeTensorFile,
  type StoredTensor,
} from '../engine/tensor-file.ts';
import { ConfigurationError } from '../errors.ts';
import { createProjection, type Projection, type ProjectionLoss } from '../generator/projection.ts';
import { toBytes } from '../generator/sampler.ts';
import { composeGrid } from '../image/grid.ts';
import { decodePng } from '../image/png.ts';
import type { RawImage } from '../image/raw-image.ts';
import { numpyNormals } from './numpy-random.ts';
import { writePng } from './tool-files.ts';

/** Latents whose styles give the start of a projection, and the seed that draws them (stylegan2.md 4.4). */
const startLatents = { count: 10_000, seed: 123 } as const;
/** Pictures of the way: after every fifth of the steps, the start first. */
const pictures = 5;

/** What the steps so far made, besides the variables. */
interface Progress {
  readonly done: number;
  readonly losses: ProjectionLoss[];
  readonly strip: RawImage[];
}

/**
 * Steps of a projection: those from the state's to `untilStep`. The state holds everything, so that a projection in pieces gives
 * the bytes of one in a single run. After the last step: `target.png`, `projection.png`, `comparison.png` (side by side),
 * `strip.png` (the way there), `w.safetensors` (w and the noise maps), `loss.csv`.
 *
 * Throws WeightsError, ConfigurationError when the target is of another size, or the signal's reason when aborted.
 */
export async function projectImage(task: ProjectImageTask, context: EngineContext): Promise<ProjectImageOutput> {
  const { generator, steps, untilStep, seed } = task;
  await context.emit({ type: 'progress', phase: 'load', done: 0, total: steps });
  await loadEngine();
  const target = await readTarget(task);
  const { count, seed: latentSeed } = startLatents;
  const latents = new Float32Array(count * generator.config.latentSize);
  numpyNormals(latentSeed)(latents);
  const pixels = Float32Array.from(target.data, (value) => value / 127.5 - 1);
  const projection = await createProjection({
    ...{ model: generator, settings: context.settings, steps, seed, latents },
    target: pixels,
  });
  try {
    const { done, losses, strip } = await restored(task, projection);
    const picture = (): RawImage => ({ ...target, data: toBytes(projection.image()) });
    if (done === 0) strip.push(picture());
    for (let step = done; step < untilStep; step++) {
      context.signal.throwIfAborted();
      losses.push(projection.step(step));
      if (Math.floor(((step + 1) * pictures) / steps) === strip.length) strip.push(picture());
      await context.emit({ type: 'progress', phase: 'synthesize', done: step + 1, total: steps });
    }
    const stateFile = await saveState(context, { projection, losses, strip });
    const files = untilStep < steps ? [] : await draw(task, context, { target, losses, strip, projection });
    return { stateFile, distance: losses.at(-1)?.distance ?? Number.NaN, files };
  } finally {
    projection.dispose();
  }
}

async function readTarget({ targetFile, generator }: ProjectImageTask): Promise<RawImage> {
  const image = await decodePng(await readFile(targetFile));
  const { resolution, channels } = generator.image;
  if (image.width === resolution && image.height === resolution && image.channels === channels) return image;
  throw new ConfigurationError(
    `expected a target of ${resolution}x${resolution} px with ${channels} channels, found ${image.width}x${image.height} with ${image.channels}`,
  );
}

const lossNames = ['distance', 'regulariser'] as const;

/** Fills the projection from the state file; nothing done without one. */
async function restored({ stateFile }: ProjectImageTask, projection: Projection): Promise<Progress> {
  if (stateFile === null) return { done: 0, losses: [], strip: [] };
  const { tensors } = await readTensorFile(stateFile);
  const { variables } = projection;
  const own = new Map<string, StoredTensor>();
  const strip: RawImage[] = [];
  for (const [name, tensor] of tensors) {
    const variable = variables.get(name);
    if (variable !== undefined) own.set(variable.name, tensor);
    else if (name.startsWith('strip/')) strip[Number(name.slice('strip/'.length))] = pictureOf(tensor);
  }
  assignTensors([...variables.values()], own, `the state of a projection, ${stateFile}`);
  const [distance, regulariser] = lossNames.map((name) => tensors.get(name)?.values ?? []);
  const losses = [...(distance ?? [])].map((value, i) => ({ distance: value, regulariser: regulariser?.[i] ?? NaN }));
  return { done: losses.length, losses, strip };
}

const pictureOf = ({ shape, values }: StoredTensor): RawImage => {
  const [height = 0, width = 0, channels] = shape;
  return { width, height, channels: channels === 3 ? 3 : 1, data: Uint8Array.from(values) };
};

async function saveState(
  { workDir }: EngineContext,
  state: {
    readonly projection: Projection;
    readonly losses: readonly ProjectionLoss[];
    readonly strip: readonly RawImage[];
  },
): Promise<string> {
  const { projection, losses, strip } = state;
  const row = (name: (typeof lossNames)[number]): StoredTensor => {
    const values = Float32Array.from(losses, (loss) => loss[name]);
    return { shape: [values.length], dtype: 'float32', values };
  };
  const file = join(workDir, 'state.safetensors');
  const pictured = strip.map(({ width, height, channels, data }, i) => {
    const picture: StoredTensor = { shape: [height, width, channels], dtype: 'int32', values: Int32Array.from(data) };
    return [`strip/${i}`, plainTensor(picture)] as const;
  });
  const rows = lossNames.map((name) => [name, plainTensor(row(name))] as const);
  const tensors = { ...Object.fromEntries(projection.variables), ...Object.fromEntries([...rows, ...pictured]) };
  await writeTensorFile(file, tensors, { kind: 'echoforge.projection.1' });
  return file;
}

async function draw(
  task: ProjectImageTask,
  { workDir: dir }: EngineContext,
  made: {
    readonly target: RawImage;
    readonly projection: Projection;
    readonly losses: readonly ProjectionLoss[];
    readonly strip: readonly RawImage[];
  },
): Promise<NamedFile[]> {
  const { target, projection, losses, strip } = made;
  const found: RawImage = { ...target, data: toBytes(projection.image()) };
  const row = (images: readonly RawImage[]): RawImage => composeGrid(images, { columns: images.length, rows: 1 });
  const text = { steps: String(task.steps), loss: 'multi-scale pixel distance, not LPIPS' };
  const images: readonly (readonly [string, RawImage])[] = [
    ['target.png', target],
    ['projection.png', found],
    ['comparison.png', row([target, found])],
    ['strip.png', row(strip)],
  ];
  const files: NamedFile[] = [];
  for (const [name, image] of images) files.push(await writePng(task, { dir, name, image, text }));
  const w = join(dir, 'w.safetensors');
  const optimised = [...projection.variables].filter(([name]) => !name.startsWith('adam/'));
  await writeTensorFile(w, Object.fromEntries(optimised), {
    kind: 'echoforge.projected-w.1',
    ...task.provenance,
    ...text,
  });
  const csv = join(dir, 'loss.csv');
  const lines = losses.map(({ distance, regulariser }, step) => `${step},${distance},${regulariser}\n`);
  await writeFile(csv, `step,distance,regulariser\n${lines.join('')}`);
  return [...files, { name: 'w.safetensors', file: w }, { name: 'loss.csv', file: csv }];
}

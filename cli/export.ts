import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { reportKey, stepKey } from '../contract/keys.ts';
import type {
  ClassifierManifest,
  DatasetManifest,
  EvaluationManifest,
  FilteredSetManifest,
  GeneratorManifest,
  Manifest,
  RefTo,
  ShardRef,
  SyntheticSetManifest,
} from '../contract/manifests.ts';
import type { BlobRef } from '../contract/refs.ts';
import { NotFoundError } from '../lib/errors.ts';
import { downloadBlob, getBlob, getManifest } from '../lib/storage/blobs.ts';
import type { ObjectStore } from '../lib/storage/object-store.ts';
import { readPointer } from '../lib/storage/pointer.ts';
import { unpackTar } from './unpack-tar.ts';

interface Options {
  readonly store: ObjectStore;
  readonly studyId: string;
  readonly out: string;
  readonly say: (line: string) => void;
}

const reportFiles = ['report.html', 'results.json', 'run.html', 'run.json'];

/** @throws NotFoundError when the study has not published a report. */
export async function exportReport({ store, studyId, out, say }: Options): Promise<void> {
  await mkdir(out, { recursive: true });
  for (const name of reportFiles) {
    const bytes = await store.get(reportKey(studyId, name)).catch((error: unknown) => {
      if (error instanceof NotFoundError)
        throw new NotFoundError(`the report of study ${studyId} (${reportKey(studyId, name)})`, { cause: error });
      throw error;
    });
    await writeFile(join(out, name), bytes);
    say(join(out, name));
  }
}

/** The whole study as plain files: images, weights, predictions, manifests, report. */
export async function exportStudy(options: Options): Promise<void> {
  const { store, studyId, out, say } = options;
  const steps = await finishedSteps(store, studyId);
  for (const [step, ref] of steps) {
    const manifest = await getManifest<Manifest>(store, ref as RefTo<Manifest>); // a step registers manifests only
    const dir = join(out, step);
    await mkdir(dir, { recursive: true });
    await writeFile(join(dir, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
    const files = await exportProducts(store, manifest, dir);
    say(`${step}: ${files} files`);
  }
  if (steps.some(([step]) => step === 'report')) await exportReport({ ...options, out: join(out, 'report') });
}

async function finishedSteps(store: ObjectStore, studyId: string): Promise<[string, BlobRef & { kind: string }][]> {
  const prefix = stepKey(studyId, '').replace(/\.json$/, '');
  const steps: [string, BlobRef & { kind: string }][] = [];
  for await (const { key } of store.list(prefix)) {
    const record = await readPointer<{ manifest: BlobRef & { kind: string } }>(store, key);
    if (record) steps.push([key.slice(prefix.length).replace(/\.json$/, ''), record.value.manifest]);
  }
  if (steps.length === 0) throw new NotFoundError(`a finished step of study ${studyId}`);
  return steps;
}

type Product = { readonly name: string; readonly blob: BlobRef };

async function exportProducts(store: ObjectStore, manifest: Manifest, dir: string): Promise<number> {
  const { files, shards } = productsOf(manifest);
  for (const { name, blob } of files) await download(store, blob, join(dir, name));
  let images = 0;
  for (const { folder, shard } of shards) images += await unpackTar(await getBlob(store, shard.tar), join(dir, folder));
  return files.length + images;
}

function productsOf(manifest: Manifest): { files: Product[]; shards: { folder: string; shard: ShardRef }[] } {
  switch (manifest.kind) {
    case 'dataset':
      return { files: [], shards: datasetShards(manifest) };
    case 'classifier':
      return { files: classifierFiles(manifest), shards: [] };
    case 'generator':
      return { files: generatorFiles(manifest), shards: [] };
    case 'syntheticSet':
      return { files: [], shards: syntheticShards(manifest) };
    case 'filteredSet':
      return { files: filteredFiles(manifest), shards: [] };
    case 'evaluation':
      return { files: evaluationFiles(manifest), shards: [] };
    case 'report':
      return { files: manifest.figures.map(({ name, blob }) => ({ name: `figures/${name}.svg`, blob })), shards: [] };
    case 'import':
    case 'ingestedShard':
      return { files: [], shards: [] };
  }
}

const sides = ['negative', 'positive'] as const;

function datasetShards({ training, test, classes }: DatasetManifest): { folder: string; shard: ShardRef }[] {
  const splits = { ...training, test };
  return (['train', 'validation', 'test'] as const).flatMap((split) =>
    sides.flatMap((side) => splits[split][side].map((shard) => ({ folder: `${split}/${classes[side]}`, shard }))),
  );
}

const syntheticShards = ({ shards }: SyntheticSetManifest): { folder: string; shard: ShardRef }[] =>
  shards.map(({ shard }) => ({ folder: 'images', shard }));

const classifierFiles = ({ weights, validation }: ClassifierManifest): Product[] => [
  { name: 'weights.safetensors', blob: weights },
  { name: 'validation-scores.jsonl', blob: validation },
];

const generatorFiles = ({ snapshots, reals }: GeneratorManifest): Product[] => [
  { name: 'reals.png', blob: reals },
  ...snapshots.flatMap(({ nimg, weights, grid }) => {
    const kimg = String(Math.floor(nimg / 1000)).padStart(6, '0');
    const name = nimg % 1000 === 0 ? kimg : `${kimg}.${String(nimg % 1000).padStart(3, '0')}`;
    return [
      { name: `fakes${name}.png`, blob: grid },
      { name: `snapshot${name}.safetensors`, blob: weights },
    ];
  }),
];

const filteredFiles = ({ classes }: FilteredSetManifest): Product[] =>
  sides.map((side) => ({ name: `verdicts-${side}.jsonl`, blob: classes[side].verdicts }));

const evaluationFiles = ({ models, repeats }: EvaluationManifest): Product[] =>
  (['real', 'synthetic'] as const).flatMap((variant) => [
    { name: `predictions-${variant}.jsonl`, blob: models[variant].predictions },
    ...(repeats?.models[variant].repeats ?? [])
      .map(({ predictions }, repeat) => ({ name: `predictions-${variant}-${repeat}.jsonl`, blob: predictions }))
      .slice(1),
  ]);

async function download(store: ObjectStore, ref: BlobRef, file: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await downloadBlob(store, ref, file);
}

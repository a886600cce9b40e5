import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { reportKey, stepKey, trainingHeadKey } from '../contract/keys.ts';
import type { GeneratorManifest } from '../contract/manifests.ts';
import { generatorStep, generatorTraining } from '../contract/names.ts';
import type { BlobRef } from '../contract/refs.ts';
import { StoreUnavailableError } from '../lib/errors.ts';
import { downloadBlob, getManifest, hashFile } from '../lib/storage/blobs.ts';
import type { ObjectStore } from '../lib/storage/object-store.ts';
import { readPointer } from '../lib/storage/pointer.ts';
import { readHead } from '../lib/storage/training-head.ts';
import { encodeEventFile } from '../lib/tensorboard/event-file.ts';

interface Options {
  readonly store: ObjectStore;
  readonly studyId: string;
  readonly out: string;
  readonly say: (line: string) => void;
}

/** What heads of both kinds of training have. */
const withEvents = z.object({ events: z.array(z.object({ sha256: z.string(), bytes: z.number() })) });

/**
 * Fetches the events of every training of the study, one folder each, and looks again every `intervalMs` until the study has
 * its report or the signal is aborted. A store that is away meanwhile is waited for. `intervalMs` null looks once.
 * @throws Error when one look was asked for and there was nothing to fetch
 */
export async function followTensorboard(
  options: Options & { readonly intervalMs: number | null; readonly signal: AbortSignal },
): Promise<void> {
  const { store, studyId, out, say, intervalMs, signal } = options;
  say(`tensorboard --logdir ${out}`);
  const numbers = new Map<string, number>();
  let waits = false;
  do {
    // Asked first: what was written before the report is fetched by this look.
    const look = async (): Promise<boolean> => {
      const finished = (await store.head(reportKey(studyId, 'report.html'))) !== null;
      const found = await fetchTrainings(options, numbers);
      if (found === 0 && (intervalMs === null || finished))
        throw new Error(`study ${studyId} has no training with events yet`);
      if (found === 0 && !waits) say(`study ${studyId} has no training with events yet; waiting`);
      waits = found === 0;
      return finished;
    };
    const finished = await look().catch((error: unknown) => {
      if (intervalMs === null || !(error instanceof StoreUnavailableError)) throw error;
      say(`${error.message}; waiting`);
      return false;
    });
    if (finished || intervalMs === null) return;
    await sleep(intervalMs, undefined, { signal }).catch(() => undefined); // ends early when aborted
  } while (!signal.aborted);
}

/** One look at every training; returns the event files that there are. `numbers` holds the next one of each folder. */
async function fetchTrainings({ store, studyId, out, say }: Options, numbers: Map<string, number>): Promise<number> {
  let found = 0;
  for await (const { key } of store.list(`studies/${studyId}/training/`)) {
    const name = /training\/(.+)\/head\.json$/.exec(key)?.[1];
    if (name === undefined) continue;
    const head = await readHead(store, trainingHeadKey(studyId, name));
    const { events } = withEvents.parse(head?.state);
    const dir = join(out, name);
    const fetched = await fetchEvents(store, dir, { events, incoming: join(out, '.incoming'), numbers });
    const metric = await writeMetric({ store, studyId, dir, training: name });
    found += events.length;
    if (fetched > 0) say(`${name}: ${events.length + metric} event files, ${fetched} of them new`);
  }
  await rm(join(out, '.incoming'), { recursive: true, force: true });
  return found;
}

const fileName = (number: number): string => `events.out.tfevents.${String(number).padStart(6, '0')}.echoforge`;

/**
 * Makes the folder hold these event files and, of a training that went back, no others. A reader that follows the folder goes
 * from name to name and never back, so what is new gets a higher number than all that ever were. Returns how many were new.
 */
async function fetchEvents(
  store: ObjectStore,
  dir: string,
  options: {
    readonly events: readonly BlobRef[];
    readonly incoming: string;
    readonly numbers: Map<string, number>;
  },
): Promise<number> {
  const { events, incoming, numbers } = options;
  await mkdir(dir, { recursive: true });
  const present = new Map<string, string>();
  let next = numbers.get(dir) ?? 0;
  for (const name of (await readdir(dir)).sort()) {
    const number = /^events\.out\.tfevents\.(\d{6})\.echoforge$/.exec(name)?.[1];
    if (number === undefined) continue;
    next = Math.max(next, Number(number) + 1);
    present.set((await hashFile(join(dir, name))).sha256, name);
  }
  const wanted = new Set(events.map(({ sha256 }) => sha256));
  for (const [sha256, name] of present) if (!wanted.has(sha256)) await rm(join(dir, name));
  const missing = events.filter(({ sha256 }) => !present.has(sha256));
  for (const ref of missing) {
    // Readers take any file with "tfevents" in its name, half a download too.
    const part = join(incoming, ref.sha256);
    await downloadBlob(store, ref, part);
    await rename(part, join(dir, fileName(next++)));
  }
  numbers.set(dir, next);
  return missing.length;
}

/**
 * The metric of a finished generator's snapshots beside its floor. It is measured between segments, so no checkpoint holds it.
 * Snapshots of one network for both classes are measured by a step per class. Returns the number of files.
 */
async function writeMetric(options: {
  readonly store: ObjectStore;
  readonly studyId: string;
  readonly dir: string;
  readonly training: string;
}): Promise<0 | 1> {
  const { store, studyId, dir, training } = options;
  const events: Parameters<typeof encodeEventFile>[0][number][] = [];
  for (const key of await stepsWith(store, { studyId, training })) {
    const finished = await readPointer<{ manifest: BlobRef & { kind: string } }>(store, key);
    if (finished?.value.manifest.kind !== 'generator') continue;
    const { sha256, bytes } = finished.value.manifest;
    const manifest = await getManifest<GeneratorManifest>(store, { kind: 'generator', sha256, bytes });
    const { snapshots, floor, className, config } = manifest;
    if (generatorTraining(className, config) !== training && key !== stepKey(studyId, training)) continue;
    for (const { nimg, metric } of snapshots) {
      if (metric === null) continue;
      const tag = [`Metrics/${metric.name}`, ...(config.conditional === true ? [className] : [])].join('/');
      events.push({ step: nimg, scalars: { [tag]: metric.value, [`${tag}/floor`]: floor.value } });
    }
  }
  if (events.length === 0) return 0;
  await writeFile(join(dir, 'events.out.tfevents.metric.echoforge'), encodeEventFile(events));
  return 1;
}

/** Keys of the steps that may have measured the snapshots of this training. */
async function stepsWith(
  store: ObjectStore,
  { studyId, training }: { readonly studyId: string; readonly training: string },
): Promise<string[]> {
  if (training !== generatorStep('both')) return [stepKey(studyId, training)];
  const keys: string[] = [];
  for await (const { key } of store.list(stepKey(studyId, 'generator/').replace(/\.json$/, ''))) keys.push(key);
  return keys;
}

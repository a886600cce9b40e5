import type { CpuActivities, ReportSources } from '../contract/activities.ts';
import { reportKey, runEntriesPrefix, runKey } from '../contract/keys.ts';
import type {
  ClassifierManifest,
  ClassSide,
  DatasetManifest,
  FilteredSetManifest,
  GeneratorManifest,
  PerClass,
  RefTo,
  ReportManifest,
  ShardRef,
  SyntheticSetManifest,
  ValidationScore,
  Verdict,
} from '../contract/manifests.ts';
import { trainingName, type PerVariant } from '../contract/names.ts';
import type { BlobRef } from '../contract/refs.ts';
import { calibrationGaps, type CalibrationGaps } from '../lib/classifier/calibration.ts';
import { loadShardImages, readShard } from '../lib/dataset/shard.ts';
import { describeRuntime } from '../lib/fingerprint.ts';
import { encodeGrid } from '../lib/image/grid.ts';
import { decodePng } from '../lib/image/png.ts';
import type { RawImage } from '../lib/image/raw-image.ts';
import { renderReport } from '../lib/report/page.ts';
import type { ReportGrids, ReportInputs } from '../lib/report/report-inputs.ts';
import { renderRunPage, type RunEntry, type RunRecord } from '../lib/report/run-page.ts';
import { getBlob, getManifest, putBlob, putManifest } from '../lib/storage/blobs.ts';
import type { ObjectStore } from '../lib/storage/object-store.ts';
import { fetchShards, parseJsonLines, type LocalDeps } from './local-inputs.ts';

/** Images in the grids of kept and rejected fakes. */
const gridColumns = 8;
const gridRows = 3;

export function createReportActivities(deps: LocalDeps): Pick<CpuActivities, 'renderReport' | 'placeReport'> {
  const { store } = deps;
  return {
    renderReport: async (sources) => {
      const { html, results, figures } = await renderReport(await collectInputs(deps, sources));
      const figureBlobs: ReportManifest['figures'][number][] = [];
      for (const { name, svg } of figures) figureBlobs.push({ name, blob: await putBlob(store, Buffer.from(svg)) });
      return await putManifest<ReportManifest>(store, {
        kind: 'report',
        html: await putBlob(store, Buffer.from(html)),
        results: await putBlob(store, Buffer.from(results)),
        figures: figureBlobs,
        fingerprint: describeRuntime(),
      });
    },

    placeReport: async ({ studyId, report }) => {
      const { html, results } = await getManifest<ReportManifest>(store, report);
      await store.put(reportKey(studyId, 'report.html'), await getBlob(store, html));
      await store.put(reportKey(studyId, 'results.json'), await getBlob(store, results));
      const run = await assembleRun(deps, studyId);
      await store.put(runKey(studyId), Buffer.from(`${JSON.stringify(run, null, 1)}\n`));
      await store.put(reportKey(studyId, 'run.json'), Buffer.from(`${JSON.stringify(run, null, 1)}\n`));
      await store.put(reportKey(studyId, 'run.html'), Buffer.from(renderRunPage(run)));
      return { prefix: reportKey(studyId, '') };
    },
  };
}

async function assembleRun({ store }: LocalDeps, studyId: string): Promise<RunRecord> {
  const entries: RunEntry[] = [];
  // The same worker wrote every object below this prefix, see run-record.ts.
  for await (const { key } of store.list(runEntriesPrefix(studyId)))
    entries.push(JSON.parse((await store.get(key)).toString()) as RunEntry);
  entries.sort((a, b) => (a.startedAt < b.startedAt ? -1 : a.startedAt > b.startedAt ? 1 : 0));
  return { studyId, entries };
}

async function collectInputs(deps: LocalDeps, sources: ReportSources): Promise<ReportInputs> {
  const { store } = deps;
  const { classifiers, generators, synthetic, evaluation, study } = sources;
  const manifests = {
    study,
    dataset: await getManifest<DatasetManifest>(store, sources.dataset),
    classifiers: {
      real: await getManifest(store, classifiers.real),
      synthetic: classifiers.synthetic && (await getManifest(store, classifiers.synthetic)),
      ...(classifiers.repeats && { repeats: await getRepeats(store, classifiers.repeats) }),
    },
    generators: await perClass((side) => getManifest<GeneratorManifest>(store, generators[side])),
    synthetic: await perClass((side) => getManifest<SyntheticSetManifest>(store, synthetic[side])),
    filtered: await getManifest<FilteredSetManifest>(store, sources.filtered),
    evaluation: evaluation && (await getManifest(store, evaluation)),
  };
  const sha256s: Record<string, string> = {
    dataset: sources.dataset.sha256,
    'classifier/real': classifiers.real.sha256,
    [`generator/${study.classes.negative}`]: generators.negative.sha256,
    [`generator/${study.classes.positive}`]: generators.positive.sha256,
    [`synthesis/${study.classes.negative}`]: synthetic.negative.sha256,
    [`synthesis/${study.classes.positive}`]: synthetic.positive.sha256,
    filter: sources.filtered.sha256,
    ...(classifiers.synthetic ? { 'classifier/synthetic': classifiers.synthetic.sha256 } : {}),
    ...(evaluation ? { evaluation: evaluation.sha256 } : {}),
    ...Object.fromEntries(
      (['real', 'synthetic'] as const).flatMap((variant) =>
        (classifiers.repeats?.[variant] ?? []).map(({ sha256 }, i) => [
          `classifier/${trainingName({ variant, repeat: i + 1 })}`,
          sha256,
        ]),
      ),
    ),
  };
  const gapsOf = async ({ validation, calibration }: ClassifierManifest): Promise<CalibrationGaps> =>
    calibrationGaps(parseJsonLines<ValidationScore>(await getBlob(store, validation)), calibration.temperature);
  const { real, synthetic: second } = manifests.classifiers;
  const gaps = { real: await gapsOf(real), synthetic: second && (await gapsOf(second)) };
  return { ...manifests, calibrationGaps: gaps, sha256s, grids: await collectGrids(deps, manifests) };
}

async function getRepeats(
  store: ObjectStore,
  { real, synthetic }: PerVariant<readonly RefTo<ClassifierManifest>[]>,
): Promise<PerVariant<readonly ClassifierManifest[]>> {
  const load = (refs: readonly RefTo<ClassifierManifest>[]): Promise<ClassifierManifest[]> =>
    Promise.all(refs.map((ref) => getManifest<ClassifierManifest>(store, ref)));
  return { real: await load(real), synthetic: await load(synthetic) };
}

async function collectGrids(
  deps: LocalDeps,
  manifests: Pick<ReportInputs, 'generators' | 'synthetic' | 'filtered'>,
): Promise<ReportGrids> {
  const { generators, synthetic, filtered } = manifests;
  const { store } = deps;
  const fakesOf = async (side: ClassSide): Promise<ReportGrids['fakes'][ClassSide]> => {
    const grids: ReportGrids['fakes'][ClassSide][number][] = [];
    for (const { nimg, grid, weights } of generators[side].snapshots) {
      const chosen = weights.sha256 === synthetic[side].snapshot.weights.sha256;
      grids.push({ nimg, png: await getBlob(store, grid), chosen });
    }
    return grids;
  };
  const kept = await perClass((side) => keptGrid(deps, filtered.training.train[side]));
  return {
    reals: await perClass((side) => getBlob(store, generators[side].reals)),
    fakes: await perClass(fakesOf),
    kept: kept.negative && kept.positive ? { negative: kept.negative, positive: kept.positive } : null,
    rejected: await perClass((side) =>
      rejectedGrid(deps, { verdicts: filtered.classes[side].verdicts, set: synthetic[side] }),
    ),
  };
}

const gridOf = async (images: readonly RawImage[]): Promise<Uint8Array | null> =>
  images.length === 0
    ? null
    : await encodeGrid(images.slice(0, gridColumns * gridRows), { columns: gridColumns, rows: gridRows });

async function keptGrid(deps: LocalDeps, shards: readonly ShardRef[]): Promise<Uint8Array | null> {
  const { images } = await loadShardImages(await fetchShards(deps, shards.slice(0, 1)));
  return await gridOf(images);
}

async function rejectedGrid(
  deps: LocalDeps,
  { verdicts, set }: { verdicts: BlobRef; set: SyntheticSetManifest },
): Promise<Uint8Array | null> {
  const rows = parseJsonLines<Verdict>(await getBlob(deps.store, verdicts));
  const rejected = rows.filter(({ why }) => why !== null && why !== 'not drawn' && why !== 'nothing kept');
  const wanted = new Set(rejected.map(({ seed }) => seed));
  const images: RawImage[] = [];
  for (const { shard } of set.shards) {
    if (images.length >= gridColumns * gridRows) break;
    for (const local of await fetchShards(deps, [shard]))
      for (const { entry, png } of await readShard(local))
        if (entry.seed !== null && wanted.has(entry.seed)) images.push(await decodePng(png));
  }
  return await gridOf(images);
}

async function perClass<T>(work: (side: ClassSide) => Promise<T>): Promise<PerClass<T>> {
  return { negative: await work('negative'), positive: await work('positive') };
}

import { readFile } from 'node:fs/promises';
import { Context } from '@temporalio/activity';
import type { GpuActivities } from '../contract/activities.ts';
import type { EngineSettings, ScoreShardsOutput } from '../contract/engine.ts';
import { testLedgerKey } from '../contract/keys.ts';
import {
  classSides,
  type DatasetManifest,
  type FilteredSetManifest,
  type Fingerprint,
  type Prediction,
  type ShardEntry,
  type Verdict,
} from '../contract/manifests.ts';
import { getBlob, getManifest, putBlob } from '../lib/storage/blobs.ts';
import type { ObjectStore } from '../lib/storage/object-store.ts';
import { updatePointer } from '../lib/storage/pointer.ts';
import { countAccepted } from '../lib/synthesis/filter-rules.ts';
import { drawForComparison } from '../lib/synthesis/filter.ts';
import { meanScores } from '../lib/synthesis/mean-scores.ts';
import { beating, withWorkDir } from './activity-support.ts';
import { fetchExtractor } from './extractor.ts';
import { infer, networkOf, settingsOf, type GpuDeps } from './inference.ts';
import { fetchClassifier, fetchGenerator, fetchShards, jsonLines, parseJsonLines } from './local-inputs.ts';
import { memoized } from './memo.ts';
import { createMeasuring } from './measure-quality.ts';
import { synthesizeShards } from './synthesis.ts';
import { createToolActivities } from './tools.ts';
import { trainClassifierSegment, trainGeneratorSegment } from './training.ts';

/** TensorFlow work, for `gpu` queues: inputs to files, the engine process computes, outputs to the store. */
export function createGpuActivities(deps: GpuDeps): GpuActivities & { lastFingerprint: () => Fingerprint | null } {
  const { store } = deps;
  const fingerprints = new Map<string, Fingerprint>();
  let lastFingerprint: Fingerprint | null = null;

  /** Asked once per worker and settings: it cannot change while the worker lives. */
  const fingerprintOf = async (settings: EngineSettings): Promise<Fingerprint> => {
    const key = `${settings.execution}/${settings.precision}`;
    const fingerprint = fingerprints.get(key) ?? (await infer(deps, 'describeEngine', settings, () => ({})));
    fingerprints.set(key, fingerprint);
    lastFingerprint = fingerprint;
    return fingerprint;
  };
  const training = { ...deps, fingerprintOf };

  return {
    lastFingerprint: () => lastFingerprint,
    ...createToolActivities(deps, fingerprintOf),
    ...createMeasuring(deps, fingerprintOf),
    describeEngine: (settings) => beating(() => fingerprintOf(settings)),
    trainGeneratorSegment: (input) => beating((details) => trainGeneratorSegment(training, input, details)),
    trainClassifierSegment: (input) => beating((details) => trainClassifierSegment(training, input, details)),

    measureSnapshot: async ({ study, side, dataset, classifier, weights }) =>
      await beating(async () => {
        const settings = settingsOf(study);
        const { studyId, seed, image } = study;
        const { fakes, inceptionWeights } = study.snapshotMetric;
        const identity = {
          activity: 'measureSnapshot',
          parts: [side, dataset, classifier, weights, fakes, inceptionWeights, seed, networkOf(study), image],
          fingerprint: await fingerprintOf(settings),
        };
        return await memoized(store, { studyId, identity }, () =>
          withWorkDir(deps.workDir, (workDir) =>
            infer(
              deps,
              'measureSnapshot',
              settings,
              async () => ({
                ...(await fetchExtractor(deps, { study, classifier, workDir })),
                reals: await fetchShards(
                  deps,
                  (await getManifest<DatasetManifest>(store, dataset)).training.train[side],
                ),
                generator: weights === null ? null : await fetchGenerator(deps, study, { weights, side }),
                ...{ fakes, seed },
              }),
              workDir,
            ),
          ),
        );
      }),

    measureFilter: async ({ study, side, dataset, classifier, shards, filtered }) =>
      await beating(async () => {
        const settings = settingsOf(study);
        const { studyId, seed, image, snapshotMetric } = study;
        const identity = {
          activity: 'measureFilter',
          parts: [side, dataset, classifier, shards, filtered, snapshotMetric.fakes, seed],
          fingerprint: await fingerprintOf(settings),
        };
        return await memoized(store, { studyId, identity }, async () => {
          const { classes } = await getManifest<FilteredSetManifest>(store, filtered);
          const verdicts = parseJsonLines<Verdict>(await getBlob(store, classes[side].verdicts));
          const { before, after } = drawForComparison(verdicts, { most: snapshotMetric.fakes, seed, side });
          return await infer(deps, 'measureFilter', settings, async () => ({
            extractor: await fetchClassifier(deps, classifier, image.channels),
            extractorName: 'irv2-real',
            reals: await fetchShards(deps, (await getManifest<DatasetManifest>(store, dataset)).training.train[side]),
            shards: await fetchShards(deps, shards),
            before,
            after,
          }));
        });
      }),

    synthesizeShards: (input) => beating(() => synthesizeShards(training, input)),

    scoreShard: async ({ study, side, classifier, ensemble = [], shard }) =>
      await beating(async () => {
        const settings = settingsOf(study);
        const fingerprint = await fingerprintOf(settings);
        const { filter } = study;
        const parts = [side, classifier, shard, filter, ...ensemble];
        const identity = { activity: 'scoreShard', parts, fingerprint };
        return await memoized(store, { studyId: study.studyId, identity }, async () => {
          const answers: ScoreShardsOutput['scores'][] = [];
          for (const one of [classifier, ...ensemble]) {
            const { scores } = await infer(deps, 'scoreShards', settings, async () => ({
              model: await fetchClassifier(deps, one, study.image.channels),
              shards: await fetchShards(deps, [shard.shard]),
            }));
            answers.push(scores);
          }
          const scores = meanScores(answers);
          const numbered = scores.map(({ probability }, seed) => ({ seed, probability }));
          return {
            ...shard,
            scores: await putBlob(store, jsonLines(scores)),
            accepted: countAccepted(numbered, side, filter),
          };
        });
      }),

    predictTestSet: async ({ studyId, precision, execution, channels, classifier, test, dataset }) =>
      await beating(async () => {
        const perClass = test ?? (dataset ? (await getManifest<DatasetManifest>(store, dataset)).test : null);
        if (!perClass) throw new TypeError('predictTestSet expects test shards or a dataset, got neither');
        const refs = classSides.flatMap((side) => perClass[side]);
        await enterLedger(store, studyId, {
          classifier: classifier.sha256,
          shards: refs.map((ref) => ref.index.sha256),
        });
        const shards = await fetchShards(deps, refs);
        const { scores } = await infer(deps, 'scoreShards', { precision, execution }, async () => ({
          model: await fetchClassifier(deps, classifier, channels),
          shards,
        }));
        const entries: ShardEntry[] = [];
        for (const { indexFile } of shards) entries.push(...parseJsonLines<ShardEntry>(await readFile(indexFile)));
        const predictions = entries.map(({ member, side, groupId }, i): Prediction => {
          const score = scores[i];
          if (score?.member !== member)
            throw new Error(`scores and index disagree at image ${i}: ${score?.member} and ${member}`);
          return { member, side, groupId, probability: score.probability };
        });
        return await putBlob(store, jsonLines(predictions));
      }),
  };
}

/** Every opening of the test set is on record, before it happens. */
async function enterLedger(
  store: ObjectStore,
  studyId: string,
  what: { readonly classifier: string; readonly shards: readonly string[] },
): Promise<void> {
  const { workflowExecution, attempt } = Context.current().info;
  const row = { at: new Date().toISOString(), workflowId: workflowExecution?.workflowId ?? '', attempt, ...what };
  await updatePointer<{ rows: readonly unknown[] }>(store, testLedgerKey(studyId), (present) => ({
    rows: [...(present?.rows ?? []), row],
  }));
}

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createEvaluationActivities } from '../../activities/evaluation.ts';
import { jsonLines } from '../../activities/local-inputs.ts';
import type {
  ClassifierManifest,
  DatasetManifest,
  EvaluationManifest,
  FilteredSetManifest,
  ModelEvaluation,
  Prediction,
  RefTo,
  ValidationScore,
} from '../../contract/manifests.ts';
import { defaults } from '../../contract/presets.ts';
import { resolveStudyFile } from '../../contract/resolve-study.ts';
import { getManifest, putBlob, putManifest } from '../../lib/storage/blobs.ts';
import { createBlobCache } from '../../lib/storage/local-blobs.ts';
import { createMemoryStore } from '../../lib/storage/memory.ts';
import { fakeFingerprint } from '../support/fake-activities.ts';
import { uncalibrated } from '../support/uncalibrated.ts';

let dir = '';
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'echoforge-operating-point-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const sideOf = (i: number): 'negative' | 'positive' => (i % 2 === 0 ? 'negative' : 'positive');
/** Separated at a logit of `cut`, 1 to either side. */
const validationAt = (cut: number): ValidationScore[] =>
  [0, 1, 2, 3].map((i) => ({ side: sideOf(i), logOdds: cut + (i % 2 === 0 ? -1 : 1) }));
const test = (shift: number): Prediction[] =>
  [-3, 0.5, -1, 2, 1.2, 4].map((logit, i) => ({
    ...{ member: `${i}.png`, side: sideOf(i), groupId: null },
    probability: 1 / (1 + Math.exp(-logit - shift)),
  }));

interface World {
  readonly cut: number;
  readonly temperature?: number;
  readonly shift?: number;
  /** Of the validation scores of repeat 1 of both models; without it there is none. */
  readonly repeatCut?: number;
}

/** An evaluation whose real-trained model has these validation scores, temperature and test scores. */
async function compare(
  evaluation: Record<string, unknown>,
  { cut, temperature = 1, shift = 0, repeatCut }: World,
): Promise<EvaluationManifest> {
  const store = createMemoryStore();
  const cache = createBlobCache({ dir: join(dir, 'cache'), maxBytes: 2 ** 20 });
  const classes = { negative: 'benign', positive: 'malignant' };
  const study = resolveStudyFile({ studyId: 's1', dataset: { name: 'busi' }, classes, evaluation });
  const none = { negative: [], positive: [] };
  const count = { negative: 3, positive: 3 };
  const dataset = await putManifest<DatasetManifest>(store, {
    ...{ kind: 'dataset', name: 'busi', classes, ignored: [], image: study.image, splitUnit: 'group', groups: 0 },
    ...{ training: { train: none, validation: none }, test: none, fingerprint: fakeFingerprint },
    ...{ counts: { train: count, validation: count, test: count } },
    ...{ nearDuplicateGroups: [], setAside: [], rejected: [] },
  });
  const filteredClass = {
    ...{ candidates: 0, accepted: 0, kept: 0, histogram: [], keptHistogram: [], loss: null },
    ...{ verdicts: await putBlob(store, Buffer.from('')), ended: 'no top-up' as const },
  };
  const filtered = await putManifest<FilteredSetManifest>(store, {
    ...{ kind: 'filteredSet', filter: defaults.filter, degenerate: null, fingerprint: fakeFingerprint },
    ...{ classes: { negative: filteredClass, positive: filteredClass } },
    training: { train: none, validation: none },
  });
  const model = async (variant: 'real' | 'synthetic', at: number) =>
    await putManifest<ClassifierManifest>(store, {
      ...{ kind: 'classifier', variant, config: study.classifier, inputSize: 96, parameters: 1, pretrained: null },
      ...{ images: { train: count, validation: count }, weights: await putBlob(store, Buffer.from('w')), history: [] },
      ...{ epoch: 1, fingerprint: fakeFingerprint, fingerprintChanges: [] },
      calibration: { ...uncalibrated.calibration, temperature },
      validation: await putBlob(store, jsonLines(validationAt(at))),
    });
  const predictions = await putBlob(store, jsonLines(test(shift)));
  const { compareClassifiers } = createEvaluationActivities({ store, cache, workDir: dir });
  const input = {
    ...{ study, dataset, filtered, predictions: { real: predictions, synthetic: predictions } },
    models: { real: await model('real', cut), synthetic: await model('synthetic', -cut) },
  };
  const repeat = async (variant: 'real' | 'synthetic', at: number) => [
    { classifier: await model(variant, at), predictions },
  ];
  const repeats =
    repeatCut === undefined
      ? {}
      : { repeats: { real: await repeat('real', repeatCut), synthetic: await repeat('synthetic', -repeatCut) } };
  const environment = new MockActivityEnvironment();
  // `run` forgets what its function returns.
  const ref = (await environment.run(() => compareClassifiers({ ...input, ...repeats }))) as RefTo<EvaluationManifest>;
  return await getManifest<EvaluationManifest>(store, ref);
}

/** The real-trained model of such an evaluation. */
async function evaluate(evaluation: Record<string, unknown>, world: World): Promise<ModelEvaluation> {
  const { models } = await compare(evaluation, world);
  // Each model is cut where its own validation images say.
  if (evaluation['operatingPoint'] === 'youden')
    expect(models.synthetic.operatingPoint.threshold).toBeCloseTo(1 - models.real.operatingPoint.threshold, 12);
  return models.real;
}

const logistic = (x: number): number => 1 / (1 + Math.exp(-x));
const middle = (cut: number, temperature = 1): number =>
  (logistic((cut - 1) / temperature) + logistic((cut + 1) / temperature)) / 2;

describe('the operating point of an evaluation', () => {
  it('is 0.5 unless the study file says otherwise, whatever validation says', async () => {
    const { operatingPoint, confusion } = await evaluate({}, { cut: 2 });
    expect(operatingPoint).toMatchObject({ rule: 'half', threshold: 0.5, validation: { images: 4 } });
    expect(confusion).toEqual({ tp: 3, fp: 1, tn: 2, fn: 0 });
  });
  it('is chosen on the validation scores of the model, calibrated as its test scores are, and decides the test', async () => {
    const { operatingPoint, confusion } = await evaluate({ operatingPoint: 'youden' }, { cut: 1.5 });
    expect(operatingPoint.threshold).toBeCloseTo(middle(1.5), 12);
    expect(operatingPoint.validation).toEqual({ images: 4, sensitivity: 1, specificity: 1 });
    expect(confusion).toEqual({ tp: 2, fp: 0, tn: 3, fn: 1 });
    const cooler = await evaluate({ operatingPoint: 'youden' }, { cut: 1.5, temperature: 4 });
    expect(cooler.operatingPoint.threshold).toBeCloseTo(middle(1.5, 4), 12);
  });
  it('is that of each repeat by itself, and the models of repeat 0 stay what they are without repeats', async () => {
    const youden = { operatingPoint: 'youden' };
    const { repeats, ...alone } = await compare(youden, { cut: 1.5, repeatCut: 0 });
    const [first, second] = repeats?.models.real.repeats ?? [];
    expect(first).toMatchObject({ threshold: alone.models.real.operatingPoint.threshold, accuracy: 5 / 6, auc: 8 / 9 });
    expect(second?.threshold).toBeCloseTo(middle(0), 12);
    expect(second).toMatchObject({ accuracy: 5 / 6, sensitivity: 1, specificity: 2 / 3, auc: 8 / 9 });
    expect(second?.predictions).toEqual(alone.models.real.predictions);
    const once = await compare(youden, { cut: 1.5 });
    expect(once).not.toHaveProperty('repeats');
    expect(once).toEqual(alone);
  });
  it('stays where it is when the test scores change: the test set chooses nothing', async () => {
    for (const rule of [{ operatingPoint: 'youden' }, { operatingPoint: 'sensitivity', targetSensitivity: 0.9 }]) {
      const [one, other] = [await evaluate(rule, { cut: 1 }), await evaluate(rule, { cut: 1, shift: -2 })];
      expect(other.operatingPoint).toEqual(one.operatingPoint);
      expect(other.confusion).not.toEqual(one.confusion);
    }
  });
});

import type { CpuActivities, ReevaluationRow, ScoredRepeat } from '../contract/activities.ts';
import { reevaluationsKey, releasedModelsKey } from '../contract/keys.ts';
import type {
  ClassifierManifest,
  DatasetManifest,
  EvaluationManifest,
  FilteredSetManifest,
  OperatingPoint,
  Prediction,
  RefTo,
  RepeatedEvaluation,
  RepeatedModel,
  ValidationScore,
} from '../contract/manifests.ts';
import type { ClassifierVariant } from '../contract/names.ts';
import type { Study } from '../contract/study.ts';
import { probabilityOf } from '../lib/classifier/calibration.ts';
import { NotFoundError } from '../lib/errors.ts';
import { describeRuntime } from '../lib/fingerprint.ts';
import { at } from '../lib/stats/at.ts';
import { aucEstimate } from '../lib/stats/auc-interval.ts';
import { compareModels } from '../lib/stats/compare-models.ts';
import { compareRepeats, type RepeatPredictions } from '../lib/stats/compare-repeats.ts';
import { chooseOperatingPoint, type OperatingPointRule } from '../lib/stats/operating-point.ts';
import { getBlob, getManifest, putManifest } from '../lib/storage/blobs.ts';
import type { ObjectStore } from '../lib/storage/object-store.ts';
import { readPointer, updatePointer } from '../lib/storage/pointer.ts';
import { beating } from './activity-support.ts';
import { auditEvaluation } from './audit.ts';
import { parseJsonLines, type LocalDeps } from './local-inputs.ts';

type CompareInput = Parameters<CpuActivities['compareClassifiers']>[0];

/** What `releaseModels` stores for re-evaluation. */
export interface ReleasedModels {
  readonly models: Readonly<Record<ClassifierVariant, RefTo<ClassifierManifest>>>;
  readonly evaluation: RefTo<EvaluationManifest>;
}

/** @throws NotFoundError when no finished study of that id released models. */
export async function readReleased(store: ObjectStore, models: string): Promise<ReleasedModels> {
  const released = await readPointer<ReleasedModels>(store, releasedModelsKey(models));
  if (!released) throw new NotFoundError(`${releasedModelsKey(models)} (models of a finished study "${models}")`);
  return released.value;
}

export function createEvaluationActivities(
  deps: LocalDeps,
): Pick<CpuActivities, 'compareClassifiers' | 'appendReevaluation'> {
  const { store } = deps;
  return {
    compareClassifiers: async ({ study, dataset, models, filtered, predictions, repeats }) =>
      await beating(async () => {
        const { margin, alpha, ciLevel, bootstrapResamples } = study.evaluation;
        const options = { margin, alpha, ciLevel, bootstrapResamples, seed: study.seed };
        const rows = { real: await read(store, predictions.real), synthetic: await read(store, predictions.synthetic) };
        const operatingPoints = {
          real: await operatingPointOf(store, models.real, study.evaluation),
          synthetic: await operatingPointOf(store, models.synthetic, study.evaluation),
        };
        const compared = compareModels({ predictions: rows, ...options, operatingPoints });
        const manifest = await getManifest<DatasetManifest>(store, dataset);
        const audit = await auditEvaluation(deps, {
          dataset: manifest,
          filtered: await getManifest<FilteredSetManifest>(store, filtered),
          ncc: study.prepare.nearDuplicateNcc,
        });
        return await putManifest<EvaluationManifest>(store, {
          kind: 'evaluation',
          test: manifest.counts.test,
          groups: new Set(rows.real.map(({ groupId, member }) => groupId ?? member)).size,
          models: {
            real: { ...compared.models.real, predictions: predictions.real },
            synthetic: { ...compared.models.synthetic, predictions: predictions.synthetic },
          },
          comparison: compared.comparison,
          ...(repeats && { repeats: await evaluateRepeats(store, { models, predictions, repeats }, study) }),
          audit,
          fingerprint: describeRuntime(),
        });
      }),

    appendReevaluation: async ({ request, set, predictions, workflowId }) => {
      const { evaluation } = await readReleased(store, request.models);
      const released = await getManifest<EvaluationManifest>(store, evaluation);
      const notes: string[] = set.rejected === 0 ? [] : [`${set.rejected} files were rejected`];
      const auc = {
        real: aucOf(await read(store, predictions.real)),
        synthetic: aucOf(await read(store, predictions.synthetic)),
      };
      const interval = { real: intervalOf(released, 'real'), synthetic: intervalOf(released, 'synthetic') };
      const outside = (['real', 'synthetic'] as const).filter((variant) => {
        const [value, range] = [auc[variant], interval[variant]];
        return value !== null && range !== null && (value < range[0] || value > range[1]);
      });
      for (const variant of outside)
        notes.push(`AUC of the ${variant}-trained model left the interval of its evaluation`);
      if (auc.real === null) notes.push('AUC needs images of both classes');
      const { models, prefix } = request;
      const row: ReevaluationRow = {
        ...{ workflowId, prefix, auc, interval, notes },
        images: set.images,
        regression: outside.length > 0,
      };
      await updatePointer<{ rows: readonly ReevaluationRow[] }>(store, reevaluationsKey(models), (present) => {
        const rows = present?.rows ?? [];
        return { rows: [...rows.filter((other) => other.workflowId !== workflowId), row] };
      });
      return row;
    },
  };
}

/** Repeat 0 and the further ones, each at the operating point of its own validation images. */
async function evaluateRepeats(
  store: ObjectStore,
  { models, predictions, repeats }: Required<Pick<CompareInput, 'models' | 'predictions' | 'repeats'>>,
  { evaluation, seed }: Study,
): Promise<RepeatedEvaluation> {
  const all = (variant: ClassifierVariant): ScoredRepeat[] => [
    { classifier: models[variant], predictions: predictions[variant] },
    ...repeats[variant],
  ];
  const load = async (variant: ClassifierVariant): Promise<RepeatPredictions[]> => {
    const loaded: RepeatPredictions[] = [];
    for (const repeat of all(variant)) {
      const { threshold } = await operatingPointOf(store, repeat.classifier, evaluation);
      loaded.push({ predictions: await read(store, repeat.predictions), threshold });
    }
    return loaded;
  };
  const loaded = { real: await load('real'), synthetic: await load('synthetic') };
  const compared = compareRepeats(loaded, { ...evaluation, seed });
  const located = (variant: ClassifierVariant): RepeatedModel => {
    const refs = all(variant);
    const { repeats: evaluated, ...spread } = compared.models[variant];
    return { ...spread, repeats: evaluated.map((one, r) => ({ ...one, predictions: at(refs, r).predictions })) };
  };
  return { models: { real: located('real'), synthetic: located('synthetic') }, comparison: compared.comparison };
}

/** By the validation scores that are stored with the model, calibrated as its test scores are. */
async function operatingPointOf(
  store: ObjectStore,
  classifier: RefTo<ClassifierManifest>,
  rule: OperatingPointRule,
): Promise<OperatingPoint> {
  const { validation, calibration } = await getManifest<ClassifierManifest>(store, classifier);
  const rows = parseJsonLines<ValidationScore>(await getBlob(store, validation));
  const scores = rows.map(({ logOdds }) => probabilityOf(logOdds, calibration.temperature));
  return chooseOperatingPoint({ scores, labels: rows.map(({ side }) => (side === 'positive' ? 1 : 0)) }, rule);
}

const read = async (store: ObjectStore, ref: { sha256: string; bytes: number }): Promise<Prediction[]> =>
  parseJsonLines<Prediction>(await getBlob(store, ref));

/** Null when a class is missing. */
function aucOf(predictions: readonly Prediction[]): number | null {
  const labels = predictions.map(({ side }) => (side === 'positive' ? 1 : 0));
  const scores = predictions.map(({ probability }) => probability);
  return aucEstimate({ scores, labels, level: 0.95 })?.value ?? null;
}

function intervalOf({ models }: EvaluationManifest, variant: ClassifierVariant): readonly [number, number] | null {
  const ci = models[variant].aucGrouped.ci ?? models[variant].auc.ci;
  return ci && [ci.lower, ci.upper];
}

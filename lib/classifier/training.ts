import type { EngineSettings, TrainClassifierTask } from '../../contract/engine.ts';
import { createAdam, type Adam } from '../engine/adam.ts';
import type { CompiledStep } from '../engine/compile.ts';
import { tf } from '../engine/tf.ts';
import { DivergedError } from '../errors.ts';
import { seedPair } from '../random.ts';
import { rocAuc } from '../stats/roc-auc.ts';
import {
  alteredImages,
  logitsOfFeatures,
  logitsOfImages,
  viewsOfFeatures,
  type BatchPlace,
  type Features,
  type TrainInput,
  type ValidationLogits,
} from './batch-inputs.ts';
import { epochOrder, stepsPerEpoch } from './batches.ts';
import type { CheckpointParts } from './checkpoint.ts';
import { logOddsOf, logProbabilities } from './forward.ts';
import { createModel, initialValues, type Model } from './model.ts';
import { planPhases, type TrainingPhase } from './phases.ts';
import { explodedLoss } from './recovery.ts';
import { trainableNames } from './shape-layers.ts';
import { compileHalves, compilePredictStep, compileTrainStep } from './steps.ts';
import type { LabelledSet, TrainingSets } from './training-images.ts';

/** What one training computes, without files and events: an optimiser step and a validation. */

export interface Training {
  readonly task: TrainClassifierTask;
  readonly sets: TrainingSets;
  readonly model: Model;
  readonly parts: CheckpointParts;
  readonly phases: readonly TrainingPhase[];
  /** Of the epoch that goes on after `epoch` complete ones. */
  readonly phaseAfter: (epoch: number) => TrainingPhase;
  readonly stepsPerEpoch: number;
  /** Images to features at the cut of the phase that caches them, in inference mode. */
  readonly featureStep: CompiledStep;
  /** What a phase with a cache trains on and validates by, from now on; null for images again. */
  useFeatures(features: Features | null): void;
  hasFeatures(): boolean;
  /** One optimiser step of `epoch` (from 0); returns its loss. Throws DivergedError when that is not finite, or exploded. */
  trainBatch(place: BatchPlace & { readonly learningRate: number }): number;
  /**
   * Validates in batches; `beat` is awaited before each and ends the validation by returning false. Throws DivergedError when the
   * loss is not finite. A large one is no sign of anything: moving statistics may have yet to arrive.
   */
  validate(
    place: { readonly epoch: number; readonly learningRate: number },
    beat: (done: number) => Promise<boolean>,
  ): Promise<Validation | null>;
  /** Whether all weights and moments are numbers. */
  isFinite(): boolean;
  dispose(): void;
}

export interface Validation {
  /** Mean cross-entropy against the smoothed labels, images unweighted. */
  readonly loss: number;
  readonly accuracy: number;
  readonly auc: number;
  /** Of the positive class, image after image. */
  readonly logOdds: readonly number[];
}

/** Keras' defaults for Adam (evaluation.md 1.6). */
const adamDefaults = { beta1: 0.9, beta2: 0.999, epsilon: 1e-7 };

/** Creates network, optimiser and compiled steps. The caller disposes. */
export function createTraining(task: TrainClassifierTask, settings: EngineSettings, sets: TrainingSets): Training {
  const { config, inputSize, channels, seed, stream } = task;
  const model = createModel({ name: 'classifier', config, inputSize, channels }, (spec) =>
    initialValues(spec, { seed, stream }),
  );
  const phases = planPhases(config);
  const running = phases.map((phase) => startPhase(phase, { model, config, settings }));
  const runningAfter = (epoch: number): RunningPhase => {
    const current = running.findLast(({ phase }) => phase.fromEpoch <= epoch);
    if (current === undefined) throw new RangeError(`no phase of the training has an epoch ${epoch}`);
    return current;
  };
  const passes = { model, settings, batchSize: config.batchSize };
  const predictStep = compilePredictStep(passes);
  const { cut } = phases.find(({ cache }) => cache !== null)?.cache ?? { cut: 'pooled' }; // recorded only when run
  const halves = compileHalves({ ...passes, cut });
  const fromImages = {
    input: alteredImages(task, sets.train),
    logits: logitsOfImages(task, sets.validation, predictStep),
  };
  let source: { readonly input: TrainInput; readonly logits: ValidationLogits } = fromImages;
  return {
    task,
    sets,
    model,
    parts: { model, adamAfter: (epoch) => stateByName(runningAfter(epoch).adam), identity: identityOf(task, sets) },
    phases,
    phaseAfter: (epoch) => runningAfter(epoch).phase,
    stepsPerEpoch: stepsPerEpoch(sets.train.images.length, config.batchSize),
    featureStep: halves.below,
    useFeatures(features) {
      source =
        features === null
          ? fromImages
          : {
              input: viewsOfFeatures(task, features.train),
              logits: logitsOfFeatures(task, features.validation, halves.above),
            };
    },
    hasFeatures: () => source !== fromImages,
    trainBatch(place) {
      const { step, phase } = runningAfter(place.epoch);
      const { rateField } = phase;
      return trainBatch({ task, set: sets.train, step, input: source.input }, { ...place, rateField });
    },
    validate: (place, beat) => validate({ task, set: sets.validation, logits: source.logits }, place, beat),
    isFinite: () =>
      [...model.variables.values(), ...running.flatMap(({ adam }) => adam.state)].every((variable) =>
        variable.dataSync().every(Number.isFinite),
      ),
    dispose() {
      predictStep.dispose();
      halves.below.dispose();
      halves.above.dispose();
      for (const { step, adam } of running) {
        step.dispose();
        for (const variable of adam.state) variable.dispose();
      }
      model.dispose();
    },
  };
}

interface RunningPhase {
  readonly phase: TrainingPhase;
  readonly adam: Adam;
  readonly step: CompiledStep;
}

/** The optimiser and the step of one phase; the step is recorded when it first runs. */
function startPhase(
  phase: TrainingPhase,
  { model, config, settings }: { model: Model; config: TrainClassifierTask['config']; settings: EngineSettings },
): RunningPhase {
  const { freeze, bn, batchNorm, cache } = phase;
  const from = cache?.cut ?? 'images';
  const names = new Set(trainableNames(model.plan, { freeze, bn, blocks: config.blocks }));
  const trained = [...model.variables].filter(([name]) => names.has(name)).map(([, variable]) => variable);
  const name = phase.name === 'head' ? 'classifierHeadAdam' : 'classifierAdam';
  const adam = createAdam({ name, variables: trained, ...adamDefaults });
  return { phase, adam, step: compileTrainStep({ model, from, adam, trained, batchNorm, config, settings }) };
}

const stateByName = (adam: Adam): Map<string, tf.Variable> =>
  new Map(adam.state.map((variable) => [variable.name, variable]));

/** Everything that decides the bytes of this training; its length and the cut into segments do not. */
function identityOf(task: TrainClassifierTask, sets: TrainingSets): Record<string, unknown> {
  const { inputSize, channels, seed, stream } = task;
  const config = Object.entries(task.config)
    .filter(([key]) => key !== 'epochs' && key !== 'segmentEpochs')
    .map(([key, value]) => [`config.${key}`, value] as const);
  const images = { 'images.train': sets.train.sha256, 'images.validation': sets.validation.sha256 };
  return { ...Object.fromEntries(config), inputSize, channels, seed, stream, ...images };
}

/** Share of the target that belongs to the positive class: the label, smoothed. */
const positiveTarget = (label: 0 | 1, smoothing: number): number => label * (1 - smoothing) + smoothing / 2;

/** Weights by inverse class frequency, mean 1 over the images, or 1. */
function classWeight(set: LabelledSet, label: 0 | 1, balanced: boolean): number {
  const { negative, positive } = set.counts;
  return balanced ? (negative + positive) / (2 * (label === 1 ? positive : negative)) : 1;
}

function trainBatch(
  {
    task,
    set,
    step,
    input,
  }: {
    readonly task: TrainClassifierTask;
    readonly set: LabelledSet;
    readonly step: CompiledStep;
    readonly input: TrainInput;
  },
  place: BatchPlace & { readonly learningRate: number; readonly rateField: TrainingPhase['rateField'] },
): number {
  const { config, seed, stream } = task;
  const { epoch, position } = place;
  const { batchSize } = config;
  const order = epochOrder(set.images.length, { seed, stream, epoch, batchSize });
  const chosen = order.slice(position * batchSize, (position + 1) * batchSize);
  const labels = chosen.map((index) => set.labels[index] ?? 0);
  const targets = labels.flatMap((label) => {
    const positive = positiveTarget(label, config.labelSmoothing);
    return [1 - positive, positive];
  });
  const stepNumber = epoch * stepsPerEpoch(set.images.length, batchSize) + position;
  const inputs = {
    ...input(chosen, place),
    targets: tf.tensor2d(targets, [batchSize, 2]),
    weights: tf.tensor1d(labels.map((label) => classWeight(set, label, config.classWeights))),
    learningRate: tf.scalar(place.learningRate),
    seed: tf.tensor1d([...seedPair(seed, `${stream}/dropout`, stepNumber)], 'int32'),
  };
  const outputs = step.run(inputs);
  const loss = outputs.loss?.dataSync()[0] ?? Number.NaN;
  tf.dispose([inputs, outputs]);
  if (!(loss <= explodedLoss)) {
    const { learningRate, rateField } = place;
    throw new DivergedError(
      `the classifier's loss is ${loss} in epoch ${epoch + 1}, step ${position + 1}, at learning rate ${learningRate}; lower classifier.${rateField} (${config[rateField]})`,
      { epoch: epoch + 1, loss, learningRate },
    );
  }
  return loss;
}

async function validate(
  {
    task,
    set,
    logits: logitsOf,
  }: { readonly task: TrainClassifierTask; readonly set: LabelledSet; readonly logits: ValidationLogits },
  { epoch, learningRate }: { readonly epoch: number; readonly learningRate: number },
  beat: (done: number) => Promise<boolean>,
): Promise<Validation | null> {
  const { config } = task;
  const { batchSize, labelSmoothing } = config;
  const scores: number[] = [];
  const logOdds: number[] = [];
  let lossSum = 0;
  for (let start = 0; start < set.images.length; start += batchSize) {
    if (!(await beat(start))) return null;
    const count = Math.min(batchSize, set.images.length - start);
    const logits = logitsOf(start, count);
    for (let i = 0; i < count; i++) {
      const [logNegative, logPositive] = logProbabilities(logits, i);
      const positive = positiveTarget(set.labels[start + i] ?? 0, labelSmoothing);
      lossSum -= (1 - positive) * logNegative + positive * logPositive;
      scores.push(Math.exp(logPositive));
      logOdds.push(logOddsOf(logits, i));
    }
  }
  const loss = lossSum / scores.length;
  if (!Number.isFinite(loss))
    throw new DivergedError(
      `the classifier's validation loss is ${loss} after epoch ${epoch + 1} at learning rate ${learningRate}; lower the learning rate`,
      { epoch: epoch + 1, loss, learningRate },
    );
  const correct = scores.filter((score, i) => (score >= 0.5 ? 1 : 0) === set.labels[i]).length;
  return { loss, accuracy: correct / scores.length, auc: rocAuc({ scores, labels: set.labels }), logOdds };
}

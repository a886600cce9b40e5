/** Names on the wire: workflow types, task queues, messages, search attributes. Nothing else spells these strings. */

export const workflowTypes = {
  study: 'study',
  prepareDataset: 'prepareDataset',
  trainClassifier: 'trainClassifier',
  trainGenerator: 'trainGenerator',
  synthesize: 'synthesize',
  filterSynthetic: 'filterSynthetic',
  evaluateModels: 'evaluateModels',
  publishReport: 'publishReport',
  reevaluate: 'reevaluate',
  generateImages: 'generateImages',
  styleMixing: 'styleMixing',
  truncationSweep: 'truncationSweep',
  interpolateLatents: 'interpolateLatents',
  measureSnapshots: 'measureSnapshots',
  projectImage: 'projectImage',
} as const;

/** Default task queues; a study may map a step to a tagged queue such as `gpu-a100` (see `queues` in the study file). */
export const queues = { control: 'control', cpu: 'cpu', gpu: 'gpu' } as const;

export const updates = {
  pause: 'pause',
  resume: 'resume',
  approveSnapshot: 'approveSnapshot',
  extendTraining: 'extendTraining',
  stopTraining: 'stopTraining',
  resumeTraining: 'resumeTraining',
} as const;

/** Signals between parent and children; operators use the updates above. */
export const signals = { pauseStep: 'pauseStep', resumeStep: 'resumeStep', stepProgress: 'stepProgress' } as const;

export const queries = { progress: 'progress' } as const;

/** Search attributes and their Temporal types, registered by `npm run up` and by `infra/docker`. */
export const searchAttributes = {
  Study: 'Keyword',
  Stage: 'Keyword',
  Dataset: 'Keyword',
  ClassName: 'Keyword',
  Owner: 'Keyword',
  Kimg: 'Int',
  SnapshotMetric: 'Double',
  AwaitingApproval: 'Bool',
  Regression: 'Bool',
} as const;

/** The two classifiers of a study, named after the images that they were trained on. */
export type ClassifierVariant = 'real' | 'synthetic';
export type PerVariant<T> = Readonly<Record<ClassifierVariant, T>>;

/** One training of a classifier. */
export interface ClassifierTraining {
  readonly variant: ClassifierVariant;
  /** From 1, and then only the random streams differ; absent for repeat 0, which filters and measures. */
  readonly repeat?: number;
}

/** `real` for repeat 0, `real/2` for repeat 2: what follows `classifier/` in ids, steps and stream names. */
export const trainingName = ({ variant, repeat }: ClassifierTraining): string =>
  repeat === undefined ? variant : `${variant}/${repeat}`;

/** Name of a trial of a sweep of the R1 weight, in the ids of its workflow and of its step. */
export const gammaVariant = (gamma: number): string => `gamma-${gamma}`;

/** Name of a training of a generator, below `training/` and `steps/`: that of its class, or one of several of it. */
export const generatorStep = (className: string, variant?: string): string =>
  ['generator', className, variant].filter((part) => part !== undefined).join('/');

/** Name of the training that a class's generator comes from: its own, or in a conditional study the one of both classes. */
export const generatorTraining = (
  className: string,
  {
    conditional = false,
    variant,
  }: { readonly conditional?: boolean | undefined; readonly variant?: string | undefined },
): string => (conditional ? generatorStep('both') : generatorStep(className, variant));

/** `study/<studyId>` and `study/<studyId>/<step>[/<variant>]`. */
export function workflowIdOf(studyId: string, step?: string, variant?: string): string {
  return ['study', studyId, step, variant].filter((part) => part !== undefined).join('/');
}

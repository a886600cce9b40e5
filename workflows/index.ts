/** The bundle entry: the only barrel of the project. */
export { study } from './study.ts';
export { prepareDataset } from './prepare-dataset.ts';
export { trainClassifier } from './train-classifier.ts';
export { trainGenerator } from './train-generator.ts';
export { synthesize } from './synthesize.ts';
export { filterSynthetic } from './filter-synthetic.ts';
export { evaluateModels } from './evaluate-models.ts';
export { publishReport } from './publish-report.ts';
export { reevaluate } from './reevaluate.ts';
export { generateImages } from './generate-images.ts';
export { styleMixing } from './style-mixing.ts';
export { truncationSweep } from './truncation-sweep.ts';
export { interpolateLatents } from './interpolate-latents.ts';
export { measureSnapshots } from './measure-snapshots.ts';
export { projectImage } from './project-image.ts';

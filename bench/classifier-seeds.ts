import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadEngine } from '../lib/engine/backend.ts';
import { writePhantomDataset } from '../lib/phantom/dataset.ts';
import type { ImagesOptions } from './classifier-config.ts';
import { countsOf, prepareSets } from './image-sets.ts';
import { describeMachine } from './quiet-machine.ts';
import { smallClassifier, trainSmallClassifier, type TrainedClassifier } from './small-classifier.ts';

export interface ClassifierSeedsOptions extends ImagesOptions {
  readonly epochs: number;
  readonly seeds: number;
  readonly phantoms: number;
}

interface Arm {
  readonly name: string;
  readonly trainings: readonly TrainedClassifier[];
}

/**
 * Validation AUC of the `sound` recipe over seeds: from random weights, from a trunk trained on simulated images, and with that
 * trunk frozen, with and without cached features.
 */
export async function benchClassifierSeeds(options: ClassifierSeedsOptions): Promise<void> {
  await loadEngine();
  const dir = await mkdtemp(join(tmpdir(), 'echoforge-bench-'));
  try {
    const sets = await prepareSets({ ...options, resolution: options.size }, options.images, join(dir, 'real'));
    const pretrainedFile = await pretrain(options, dir);
    const config = smallClassifier(options);
    const tuned = { ...config, weights: 'weights/phantoms', fineTuneLayers: 'all' } as const;
    const head = { ...tuned, headEpochs: options.epochs };
    const arms: Arm[] = [];
    for (const [name, change] of [
      ['from random weights', config],
      ['pretrained on phantoms, all layers', tuned],
      ['pretrained on phantoms, head alone', head],
      ['pretrained on phantoms, head alone, 2 cached views', { ...head, featureCache: 2 }],
    ] as const) {
      const trainings: TrainedClassifier[] = [];
      for (let seed = 1; seed <= options.seeds; seed++) {
        const file = change.weights === null ? null : pretrainedFile;
        trainings.push(await trainSmallClassifier(options, { config: change, sets, seed, pretrainedFile: file, dir }));
      }
      arms.push({ name, trainings });
      process.stderr.write(`${describe(arms.at(-1))}\n`);
    }
    const report = { machine: describeMachine(), options, counts: await countsOf(sets), arms };
    process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : `${arms.map(describe).join('\n')}\n`);
  } finally {
    await rm(dir, { recursive: true });
  }
}

/** Weights of the same network after twelve epochs on simulated images. */
async function pretrain(options: ClassifierSeedsOptions, dir: string): Promise<string> {
  const { negative, positive, phantoms } = options;
  const images = join(dir, 'phantoms');
  const classes = { negative, positive };
  // Reduced to the input's side, as real images are.
  await writePhantomDataset({ dir: images, classes, imagesPerClass: phantoms, seed: 1, resolution: 128 });
  const sets = await prepareSets({ ...options, resolution: options.size }, images, join(dir, 'simulated'));
  const config = { ...smallClassifier(options), epochs: 12 };
  const { weightsFile, auc } = await trainSmallClassifier(options, {
    config,
    sets,
    seed: 1,
    pretrainedFile: null,
    dir,
  });
  process.stderr.write(`pretrained on phantoms: validation AUC ${auc.toFixed(3)} on phantoms\n`);
  const kept = join(dir, 'phantoms.safetensors');
  await cp(weightsFile, kept);
  return kept;
}

function describe(arm: Arm | undefined): string {
  if (arm === undefined) return '';
  const aucs = arm.trainings.map(({ auc }) => auc);
  const mean = aucs.reduce((sum, auc) => sum + auc, 0) / aucs.length;
  const deviation = Math.sqrt(aucs.reduce((sum, auc) => sum + (auc - mean) ** 2, 0) / Math.max(1, aucs.length - 1));
  const epochs = arm.trainings.reduce((sum, training) => sum + training.epochs, 0);
  const seconds = arm.trainings.reduce((sum, training) => sum + training.seconds, 0);
  return `${arm.name}: validation AUC ${mean.toFixed(3)}, deviation ${deviation.toFixed(3)} (${aucs.map((auc) => auc.toFixed(3)).join(' ')}); ${epochs} epochs, ${(seconds / epochs).toFixed(2)} s each`;
}

import type { ClassifierConfig, Study } from '../contract/study.ts';
import { defaults, presets } from '../contract/presets.ts';
import { imageBytes } from './reference/integer-recipe.ts';

/** The classifier of a benchmark: no dropout and, unless asked for, no augmentation, so that another framework computes the same. */
export interface ClassifierOptions {
  readonly size: number;
  readonly batch: number;
  readonly width: number;
  readonly blocks: readonly [number, number, number];
  readonly headUnits: number;
  readonly precision: 'fp32' | 'bf16';
  readonly execution: Study['execution'];
  readonly freeze: ClassifierConfig['freeze'];
  /** Of which preset; without it images stay as they are. */
  readonly augmentation?: 'nakata' | 'sound';
  readonly repeats: number;
  readonly against?: 'keras';
  readonly allowBusy?: true;
  readonly json?: true;
}

/** A small classifier on real images. */
export interface ImagesOptions {
  /** Folder with one folder of images per class. */
  readonly images: string;
  readonly negative: string;
  readonly positive: string;
  readonly size: number;
  readonly batch: number;
  readonly width: number;
  readonly blocks: readonly [number, number, number];
  readonly precision: 'fp32' | 'bf16';
  readonly execution: Study['execution'];
  readonly json?: true;
}

type Changes = Pick<ClassifierConfig, 'mirror' | 'shift' | 'zoom' | 'brightness' | 'contrast'>;

function augmentationOf(preset: ClassifierOptions['augmentation']): Changes {
  if (preset === undefined) return { mirror: false, shift: 0, zoom: 0, brightness: 0, contrast: 0 };
  const { mirror, shift, zoom, brightness, contrast } = { ...defaults.classifier, ...presets[preset].classifier };
  return { mirror, shift, zoom, brightness, contrast };
}

/** @throws Error when augmented images are to be measured against a framework that gets them as they are */
export function classifierConfig(options: ClassifierOptions): ClassifierConfig {
  const { batch, width, blocks, headUnits, freeze, augmentation, against } = options;
  if (augmentation !== undefined && against !== undefined)
    throw new Error(`expected --augmentation or --against, not both: ${against} gets the images as they are`);
  return {
    ...defaults.classifier,
    ...{ width, blocks: [...blocks], headUnits, freeze, batchSize: batch },
    ...augmentationOf(augmentation),
    ...{ dropout: 0, labelSmoothing: 0, classWeights: false },
  };
}

/** `batch` RGB images of the recipe, size * size * 3 bytes each. */
export function benchImages({ batch, size }: ClassifierOptions): Uint8Array[] {
  const bytes = imageBytes(batch, size);
  const one = size * size * 3;
  return Array.from({ length: batch }, (_, i) => bytes.slice(i * one, (i + 1) * one));
}

/** The same for the Keras process. */
export const kerasLoad = (options: ClassifierOptions, threads: number): Record<string, unknown> => ({
  architecture: {
    ...{ width: options.width, blocks: options.blocks, head_units: options.headUnits },
    ...{ classes: 2, input_size: options.size },
  },
  ...{ batch: options.batch, bf16: options.precision === 'bf16', freeze: options.freeze, threads },
});

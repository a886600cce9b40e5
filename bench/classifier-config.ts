import type { ClassifierConfig, Study } from '../contract/study.ts';
import { defaults } from '../contract/presets.ts';
import { imageBytes } from './reference/integer-recipe.ts';

/** The classifier of a benchmark: no augmentation and no dropout, so that another framework computes the same. */
export interface ClassifierOptions {
  readonly size: number;
  readonly batch: number;
  readonly width: number;
  readonly blocks: readonly [number, number, number];
  readonly headUnits: number;
  readonly precision: 'fp32' | 'bf16';
  readonly execution: Study['execution'];
  readonly freeze: ClassifierConfig['freeze'];
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

export function classifierConfig({ batch, width, blocks, headUnits, freeze }: ClassifierOptions): ClassifierConfig {
  return {
    ...defaults.classifier,
    ...{ width, blocks: [...blocks], headUnits, freeze, batchSize: batch },
    ...{ mirror: false, shift: 0, zoom: 0, brightness: 0, contrast: 0, dropout: 0 },
    ...{ labelSmoothing: 0, classWeights: false },
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

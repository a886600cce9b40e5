import { totalmem } from 'node:os';
import type { GeneratorConfig } from '../../contract/study.ts';
import { ConfigurationError } from '../errors.ts';
import {
  blockResolutions,
  discriminatorVariables,
  featureMaps,
  generatorVariables,
  parameterCount,
  type NetworkShape,
} from './architecture.ts';

/**
 * What a training takes of the machine's memory, about: fitted to measured peaks of recorded steps on a CPU
 * (test/lib/generator/memory.test.ts), which it meets within a tenth; op by op a step takes up to half more.
 */

/** Process, TensorFlow, kernels. */
const baseBytes = 600e6;
/** A step holds its weights and optimiser state before and after, and gradients. */
const copiesOfState = 3;
/** Tensors of the size of a layer's output that the largest phase holds at once, per layer. */
const copiesOfLayers = 8;

/** Peak of the process that trains, bytes. */
export function trainingMemoryBytes(
  shape: NetworkShape,
  { batchSize, microBatchSize }: Pick<GeneratorConfig, 'batchSize' | 'microBatchSize'>,
): number {
  const g = parameterCount(generatorVariables(shape));
  const d = parameterCount(discriminatorVariables(shape));
  const images = Math.min(batchSize, microBatchSize);
  const state = 3 * g + 2 * d; // weights of G, Gs and D, second moments of G and D
  const sums = images < batchSize ? g + d : 0;
  const layers = blockResolutions(shape).reduce((sum, side) => sum + 2 * featureMaps(shape, side) * side ** 2, 0);
  return baseBytes + 4 * (copiesOfState * state + sums + copiesOfLayers * images * layers);
}

/** Of this machine, or of the container that the process may fill. */
export function machineMemoryBytes(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(1);

/** @throws ConfigurationError when the training needs more memory than the machine has at all */
export function checkMemory(
  shape: NetworkShape,
  config: Pick<GeneratorConfig, 'batchSize' | 'microBatchSize' | 'fmapMax'>,
  available: number,
): void {
  const needed = trainingMemoryBytes(shape, config);
  if (needed > available)
    throw new ConfigurationError(
      `the generator's training needs about ${gigabytes(needed)} GB of memory, this machine has ${gigabytes(available)} GB; ` +
        `lower generator.microBatchSize (${config.microBatchSize}), generator.fmapMax (${config.fmapMax}) or ` +
        `image.resolution (${shape.resolution}), or train on a larger machine`,
    );
}

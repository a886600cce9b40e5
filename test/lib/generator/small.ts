import type { GeneratorConfig } from '../../../contract/study.ts';
import { defaults } from '../../../contract/presets.ts';
import type { NetworkShape } from '../../../lib/generator/architecture.ts';
import type { LatentDraws } from '../../../lib/generator/loss.ts';
import {
  generatorVariables,
  discriminatorVariables,
  noiseSizes,
  styleCount,
} from '../../../lib/generator/architecture.ts';
import { initialValues, normals } from '../../../lib/generator/state.ts';
import { tf } from '../../../lib/engine/tf.ts';
import { createRng } from '../../../lib/random.ts';

/** Small networks for tests: the product's classes, small by numbers alone. */

export const smallShape: NetworkShape = {
  resolution: 8,
  channels: 1,
  fmapBase: 64,
  fmapMax: 8,
  latentSize: 8,
  mappingLayers: 2,
  gArchitecture: 'skip',
  dArchitecture: 'resnet',
  labels: 0,
};

export const smallConfig: GeneratorConfig = {
  ...defaults.generator,
  fmapBase: 64,
  fmapMax: 8,
  latentSize: 8,
  mappingLayers: 2,
  batchSize: 8,
  microBatchSize: 4,
  totalKimg: 0.192,
  tickNimg: 32,
  snapshotTicks: 2,
  segmentTicks: 4,
  dRegInterval: 4,
  gRegInterval: 2,
  gridSize: [4, 2],
};

const randomTensor = (shape: readonly number[], name: string): tf.Tensor => {
  const size = shape.reduce((product, side) => product * side, 1);
  return tf.tensor(normals(size, createRng(3, name)), [...shape]);
};

/** Initial weights as constants; `spread` adds noise to what starts at zero, so that every variable matters. */
export function smallWeights(network: 'G' | 'D', spread = 0, shape = smallShape): Map<string, tf.Tensor> {
  const specs = network === 'G' ? generatorVariables(shape) : discriminatorVariables(shape);
  return new Map(
    specs.map((spec) => {
      const start = tf.tensor(initialValues(spec, { seed: 1, stream: network }), [...spec.shape]);
      return [spec.name, tf.add(start, tf.mul(randomTensor(spec.shape, spec.name), spread))];
    }),
  );
}

/** Draws of `count` images; every second image mixes styles. */
export function smallDraws(count: number, shape = smallShape): LatentDraws {
  const styles = styleCount(shape);
  const mask = Array.from({ length: count * styles }, (_, i) =>
    Math.floor(i / styles) % 2 === 1 && i % styles >= 2 ? 1 : 0,
  );
  return {
    z: randomTensor([count, shape.latentSize], 'z') as tf.Tensor2D,
    zMix: randomTensor([count, shape.latentSize], 'zMix') as tf.Tensor2D,
    mix: tf.tensor2d(mask, [count, styles]),
    noise: noiseSizes(shape).map((side, i) => randomTensor([count, side, side, 1], `noise${i}`) as tf.Tensor4D),
  };
}

export function smallImages(count: number, shape = smallShape): tf.Tensor4D {
  return randomTensor([count, shape.resolution, shape.resolution, shape.channels], 'images') as tf.Tensor4D;
}

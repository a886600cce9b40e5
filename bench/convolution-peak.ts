import type { EngineSettings } from '../contract/engine.ts';
import { compileStep } from '../lib/engine/compile.ts';
import { conv2d } from '../lib/engine/ops.ts';
import { tf } from '../lib/engine/tf.ts';

/**
 * Multiply-adds per second of large convolutions, the best of three sizes that networks have: what this machine gives at most
 * without tricks, in GFLOP/s (a multiply-add is two). By the library's direct form, hence 5x5 filters: recorded 3x3
 * ones are kernels of ours, which need fewer products. Measured in the run whose step is compared with it.
 */
export function measureConvolutionPeak(settings: EngineSettings): number {
  const sizes = [
    { side: 32, maps: 512 },
    { side: 64, maps: 256 },
    { side: 128, maps: 128 },
  ];
  return Math.max(...sizes.map((size) => peakOf(size, settings)));
}

function peakOf({ side, maps }: { readonly side: number; readonly maps: number }, settings: EngineSettings): number {
  const batch = 4;
  const kernel = 5;
  const shape = { x: [batch, side, side, maps], weight: [kernel, kernel, maps, maps] };
  const step = compileStep({
    name: `peak${side}`,
    settings,
    variables: [],
    inputs: { x: { shape: shape.x, dtype: 'float32' }, weight: { shape: shape.weight, dtype: 'float32' } },
    // One number, so that no large result is read.
    step: ({ x, weight }) => ({ y: tf.max(conv2d(x as tf.Tensor4D, weight as tf.Tensor4D)) }), // as declared
  });
  const inputs = { x: tf.fill(shape.x, 0.5), weight: tf.fill(shape.weight, 0.01) };
  const flops = 2 * batch * side ** 2 * kernel ** 2 * maps ** 2;
  const once = (): number => {
    const start = performance.now();
    const outputs = step.run(inputs);
    outputs['y']?.dataSync();
    const ms = performance.now() - start;
    tf.dispose(outputs);
    return flops / ms / 1e6;
  };
  const rates = Array.from({ length: 8 }, once);
  tf.dispose(inputs);
  step.dispose();
  return Math.max(...rates);
}

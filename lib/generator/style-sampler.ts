import type { EngineSettings, GeneratorModel } from '../../contract/engine.ts';
import { compileStep } from '../engine/compile.ts';
import { tf } from '../engine/tf.ts';
import { noiseSizes, styleCount } from './architecture.ts';
import { synthesis } from './network.ts';
import { loadGenerator, toBytes, truncatedStyles } from './sampler.ts';

/** The two halves of a generator apart: latents to styles, and one style per layer to pixels. */
export interface StyleSampler {
  readonly batchSize: number;
  readonly latentSize: number;
  /** Layers that take a style: 14 at 256 px. */
  readonly styleCount: number;
  /** Sides of the noise maps in layer order. */
  readonly noiseSizes: readonly number[];
  /** z [batch, latentSize] to truncated w' = wAvg + psi (w - wAvg), [batch, latentSize]. */
  map(z: Float32Array, psi: number): Float32Array;
  /** `ws`: per layer [batch, latentSize]; noise per map [batch, side, side, 1]. 8-bit pixels [batch, R, R, channels]. */
  synthesize(ws: readonly Float32Array[], noise: readonly Float32Array[]): Uint8Array;
  dispose(): void;
}

/**
 * Loads a snapshot for style tools in batches of `batchSize`. The caller disposes it.
 * @throws WeightsError when the file does not hold this generator
 */
export async function loadStyleSampler(options: {
  readonly model: GeneratorModel;
  readonly settings: EngineSettings;
  readonly batchSize: number;
}): Promise<StyleSampler> {
  const { model, settings, batchSize } = options;
  const { shape, weights, wAvg, labelsOf, dispose } = await loadGenerator(model);
  const { latentSize } = shape;
  const [styles, sides] = [styleCount(shape), noiseSizes(shape)];
  const latents = { shape: [batchSize, latentSize], dtype: 'float32' } as const;
  const common = { settings, variables: [...weights.values(), wAvg] };
  const labels = labelsOf(batchSize);
  const classes = [batchSize, shape.labels] as const;
  const mapStep = compileStep({
    ...{ ...common, name: 'mapLatents' },
    inputs: {
      ...{ z: latents, psi: { shape: [], dtype: 'float32' } },
      ...(labels !== null && { labels: { shape: classes, dtype: 'float32' } }),
    },
    step: (inputs) => {
      const given = inputs as unknown as Parameters<typeof truncatedStyles>[1]; // as declared
      return { w: truncatedStyles({ weights, wAvg, shape }, given) };
    },
  });
  const synthesisStep = compileStep({
    ...{ ...common, name: 'synthesizeStyles' },
    inputs: {
      ...Object.fromEntries(Array.from({ length: styles }, (_, i) => [`w${i}`, latents])),
      ...Object.fromEntries(
        sides.map((side, i) => [`noise${i}`, { shape: [batchSize, side, side, 1], dtype: 'float32' } as const]),
      ),
    },
    step: (inputs) => {
      const ws = Array.from({ length: styles }, (_, i) => inputs[`w${i}`] as tf.Tensor2D); // as declared
      const noise = sides.map((_, i) => inputs[`noise${i}`] as tf.Tensor4D); // as declared
      return { images: synthesis(weights, shape, { ws, noise }) };
    },
  });
  const run = (step: typeof mapStep, name: string, inputs: Readonly<Record<string, tf.Tensor>>): Float32Array => {
    const outputs = step.run(inputs);
    const values = outputs[name]?.dataSync<'float32'>();
    tf.dispose([inputs, outputs]);
    if (values === undefined) throw new RangeError(`the step returned no ${name}`);
    return values;
  };
  return {
    ...{ batchSize, latentSize, styleCount: styles, noiseSizes: sides },
    map: (z, psi) =>
      run(mapStep, 'w', {
        ...{ z: tf.tensor2d(z, [batchSize, latentSize]), psi: tf.scalar(psi) },
        ...(labels !== null && { labels: tf.tensor2d(labels, [...classes]) }),
      }),
    synthesize: (ws, noise) => {
      if (ws.length !== styles || noise.length !== sides.length)
        throw new RangeError(
          `expected ${styles} styles and ${sides.length} noise maps, got ${ws.length} and ${noise.length}`,
        );
      const named: (readonly [string, tf.Tensor])[] = [
        ...ws.map((w, i) => [`w${i}`, tf.tensor2d(w, [batchSize, latentSize])] as const),
        ...sides.map((side, i) => [`noise${i}`, tf.tensor4d(noise[i] ?? [], [batchSize, side, side, 1])] as const),
      ];
      return toBytes(run(synthesisStep, 'images', Object.fromEntries(named)));
    },
    dispose: () => {
      mapStep.dispose();
      synthesisStep.dispose();
      dispose();
    },
  };
}

import { beforeAll, describe, expect, it } from 'vitest';
import { loadEngine } from '../../../lib/engine/backend.ts';
import { minibatchStddev } from '../../../lib/engine/ops.ts';
import { tf } from '../../../lib/engine/tf.ts';
import type { NetworkShape } from '../../../lib/generator/architecture.ts';
import { trainingStyles } from '../../../lib/generator/loss.ts';
import { demodulation, discriminator, mapping, synthesis } from '../../../lib/generator/network.ts';
import { smallDraws, smallImages, smallShape, smallWeights } from './small.ts';

beforeAll(loadEngine);

const medium: NetworkShape = {
  resolution: 16,
  channels: 3,
  fmapBase: 512,
  fmapMax: 64,
  latentSize: 64,
  mappingLayers: 4,
  gArchitecture: 'skip',
  dArchitecture: 'resnet',
  labels: 0,
};
const maxDifference = (a: tf.Tensor, b: tf.Tensor): number => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0]!;
const meanSquare = (t: tf.Tensor): number => tf.mean(tf.square(t)).dataSync()[0]!;

describe('shapes', () => {
  it('makes images of the resolution and one score each', () => {
    const draws = smallDraws(4, medium);
    const g = smallWeights('G', 0, medium);
    const { ws } = trainingStyles(g, medium, draws);
    const images = synthesis(g, medium, { ws, noise: draws.noise });
    expect(images.shape).toEqual([4, 16, 16, 3]);
    expect(discriminator(smallWeights('D', 0, medium), medium, images).shape).toEqual([4, 1]);
  });
  const variants = [8, 16, 64].flatMap((resolution) =>
    (['orig', 'skip', 'resnet'] as const).map((a) => ({
      ...smallShape,
      resolution,
      gArchitecture: a,
      dArchitecture: a,
    })),
  );
  it.each([...variants, { ...smallShape, resolution: 1024, fmapMax: 4, fmapBase: 4096, channels: 3 as const }])(
    'are right at $resolution px, $channels channels, $gArchitecture',
    (network) => {
      const draws = smallDraws(1, network);
      const g = smallWeights('G', 0, network);
      const images = synthesis(g, network, { ws: trainingStyles(g, network, draws).ws, noise: draws.noise });
      expect(images.shape).toEqual([1, network.resolution, network.resolution, network.channels]);
      expect(discriminator(smallWeights('D', 0, network), network, images).shape).toEqual([1, 1]);
    },
  );
  it('refuses labels that do not fit the network', () => {
    const conditional = { ...smallShape, labels: 2 };
    const { z } = smallDraws(4);
    const labels = tf.ones<tf.Rank.R2>([4, 2]);
    expect(() => mapping(smallWeights('G', 0, conditional), conditional, z)).toThrow('of 2 classes, got 0');
    expect(() => mapping(smallWeights('G'), smallShape, z, labels)).toThrow('of 0 classes, got 2');
    expect(() => discriminator(smallWeights('D'), smallShape, smallImages(4), labels)).toThrow('of 0 classes, got 2');
  });
  it('refuses too few styles or noise maps by number', () => {
    const g = smallWeights('G');
    const w = mapping(g, smallShape, smallDraws(4).z);
    expect(() => synthesis(g, smallShape, { ws: [w, w, w, w], noise: [] })).toThrow('needs noise map 0, got 0');
  });
});

describe('equalised learning rate', () => {
  it('keeps the scale of w near 1 through the mapping', () => {
    const w = mapping(smallWeights('G', 0, medium), medium, smallDraws(64, medium).z);
    expect(meanSquare(w)).toBeGreaterThan(0.3);
    expect(meanSquare(w)).toBeLessThan(3);
  });
  it('keeps scores of order 1 at the start', () => {
    const scores = discriminator(smallWeights('D', 0, medium), medium, smallImages(16, medium));
    expect(meanSquare(scores)).toBeGreaterThan(0.01);
    expect(meanSquare(scores)).toBeLessThan(10);
  });
});

it.each([8, 16, 32, 64])('the layers of G keep a mean square of order 1 at the start, up to %d px', (resolution) => {
  // Unmodulated pixels of `orig` have the mean square of the last layer: its weights are scaled to keep it.
  const network: NetworkShape = { ...medium, resolution, fmapBase: 4096, gArchitecture: 'orig' };
  const draws = smallDraws(8, network);
  const g = smallWeights('G', 0, network);
  const layer = meanSquare(synthesis(g, network, { ws: trainingStyles(g, network, draws).ws, noise: draws.noise }));
  expect(layer).toBeGreaterThan(0.2);
  expect(layer).toBeLessThan(2);
});

describe('modulation', () => {
  it('gives the same with scaled activations as with one kernel per sample', () => {
    const s = tf.randomNormal([3, 8], 1, 0.5, 'float32', 1) as tf.Tensor2D;
    const kernel = tf.randomNormal([3, 3, 8, 6], 0, 1, 'float32', 2) as tf.Tensor4D;
    const x = tf.randomNormal([3, 4, 4, 8], 0, 1, 'float32', 3) as tf.Tensor4D;
    const scaled = tf.mul(
      tf.conv2d(tf.mul(x, tf.reshape(s, [3, 1, 1, 8])) as tf.Tensor4D, kernel, 1, 'same'),
      tf.reshape(demodulation(s, kernel), [3, 1, 1, 6]),
    );
    const fused = tf.concat(
      tf.unstack(x).map((image, n) => {
        const own = tf.mul(kernel, tf.reshape(tf.gather(s, n), [1, 1, 8, 1]));
        const norm = tf.rsqrt(tf.add(tf.sum(tf.square(own), [0, 1, 2]), 1e-8));
        return tf.conv2d(tf.expandDims(image) as tf.Tensor4D, tf.mul(own, norm) as tf.Tensor4D, 1, 'same');
      }),
    );
    const largest = tf.max(tf.abs(fused)).dataSync()[0]!;
    expect(maxDifference(scaled, fused) / largest).toBeLessThan(1e-5);
  });
});

describe('epsilons are 1e-8, seen where everything else vanishes', () => {
  it('demodulation', () => {
    const kernel = tf.ones<tf.Rank.R4>([3, 3, 1, 1]); // sum over the kernel of squares: 9 s^2
    const d = demodulation(tf.tensor2d([0, 1e-4 / 3], [2, 1]), kernel).dataSync();
    expect(d[0]! / 1e4).toBeCloseTo(1, 5);
    expect(d[1]! / (1e4 / Math.SQRT2)).toBeCloseTo(1, 5);
  });
  it('normalisation of latents', () => {
    const none = { ...smallShape, mappingLayers: 0 };
    expect(mapping(smallWeights('G'), none, tf.fill([1, 8], 1e-4)).dataSync()[0]).toBeCloseTo(Math.SQRT1_2, 5);
  });
  it('minibatch stddev', () => {
    const map = minibatchStddev(tf.ones<tf.Rank.R4>([4, 1, 1, 1])).dataSync()[1]!;
    expect(map / 1e-4).toBeCloseTo(1, 5);
  });
});

describe('synthesis', () => {
  const images = (g: Map<string, tf.Tensor>, noiseScale: number): tf.Tensor => {
    const draws = smallDraws(4);
    const { ws } = trainingStyles(g, smallShape, draws);
    return synthesis(g, smallShape, { ws, noise: draws.noise.map((n) => tf.mul(n, noiseScale)) });
  };
  it('does not depend on noise at the start, when its strength is 0', () => {
    expect(maxDifference(images(smallWeights('G'), 1), images(smallWeights('G'), 5))).toBe(0);
  });
  it('depends on noise once a strength is not 0', () => {
    expect(maxDifference(images(smallWeights('G', 0.1), 1), images(smallWeights('G', 0.1), 5))).toBeGreaterThan(0.01);
  });
  it('gives output of order 1 at the start', () => {
    const draws = smallDraws(32, medium);
    const g = smallWeights('G', 0, medium);
    const { ws } = trainingStyles(g, medium, draws);
    const variance = meanSquare(synthesis(g, medium, { ws, noise: draws.noise }));
    expect(variance).toBeGreaterThan(0.2);
    expect(variance).toBeLessThan(10);
  });
});

describe('labels', () => {
  const conditional = { ...smallShape, labels: 2 };
  const ones = (count: number, label: number): tf.Tensor2D =>
    tf.oneHot(tf.fill([count], label, 'int32'), 2).toFloat() as tf.Tensor2D;
  it('give one latent another w and one image another score', () => {
    const [g, d] = [smallWeights('G', 0, conditional), smallWeights('D', 0, conditional)];
    const [first, second] = [0, 1].map((label) => mapping(g, conditional, smallDraws(4).z, ones(4, label)));
    expect(maxDifference(first!, second!)).toBeGreaterThan(0.1);
    const [a, b] = [0, 1].map((label) => discriminator(d, conditional, smallImages(4), ones(4, label)));
    expect(maxDifference(a!, b!)).toBeGreaterThan(0.01);
  });
});

describe('style mixing', () => {
  it('takes the first style below the cutoff and the second from it', () => {
    const draws = smallDraws(4);
    const g = smallWeights('G');
    const { w, ws } = trainingStyles(g, smallShape, draws);
    const second = mapping(g, smallShape, draws.zMix);
    const row = (t: tf.Tensor2D, i: number): tf.Tensor => tf.gather(t, i);
    expect(maxDifference(ws[1]!, w)).toBe(0);
    expect(maxDifference(row(ws[2]!, 0), row(w, 0))).toBe(0);
    expect(maxDifference(row(ws[2]!, 1), row(second, 1))).toBeLessThan(1e-5);
  });
});

describe('discriminator', () => {
  it('scores an image by itself when all of its group are equal, and otherwise by its company', () => {
    const d = smallWeights('D');
    const batch = smallImages(4);
    const one = tf.slice(batch, 0, 1) as tf.Tensor4D;
    const alone = discriminator(d, smallShape, tf.tile(one, [4, 1, 1, 1])).dataSync();
    expect(alone[0]).toBeCloseTo(alone[3]!, 5);
    const inCompany = discriminator(d, smallShape, batch).dataSync();
    expect(Math.abs(inCompany[0]! - alone[0]!)).toBeGreaterThan(1e-3);
  });
});

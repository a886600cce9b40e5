import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EngineSettings } from '../../../contract/engine.ts';
import type { GeneratorConfig } from '../../../contract/study.ts';
import { loadEngine } from '../../../lib/engine/backend.ts';
import { keepGraphsIn } from '../../../lib/engine/graph-cache.ts';
import { tf } from '../../../lib/engine/tf.ts';
import { networkShapeOf } from '../../../lib/generator/architecture.ts';
import type { Round } from '../../../lib/generator/phase.ts';
import { createTrainingState, disposeTrainingState, normals } from '../../../lib/generator/state.ts';
import { createTrainingSteps } from '../../../lib/generator/steps.ts';
import { createRng } from '../../../lib/random.ts';
import { hasAvx512 } from '../../support/processor.ts';
import { smallConfig } from './small.ts';

beforeAll(loadEngine);

const image = { resolution: 16, channels: 1, fit: 'crop' } as const;
const shape = networkShapeOf(smallConfig, image);
const styles = 2 * Math.log2(image.resolution) - 2;

function rounds(images: number, count: number, step: number): Round[] {
  return Array.from({ length: count }, (_, round) => ({
    seed: [step * 7 + round, 11],
    mix: Float32Array.from({ length: images * styles }, (_unused, i) => (i % styles >= 3 ? 1 : 0)),
    reals: normals(images * image.resolution ** 2, createRng(5, `reals/${step}/${round}`)),
    augmentP: 0.6,
  }));
}

/** Every phase `times` times; returns all state and what the phases reported. */
function train(settings: EngineSettings, change: Partial<GeneratorConfig>, times = 2) {
  const config = { ...smallConfig, ...change };
  const state = createTrainingState({ shape, config, seed: 1, stream: 'test' });
  const steps = createTrainingSteps({ state, config, settings });
  const reported: number[] = [];
  const counts: number[] = [];
  try {
    for (let i = 0; i < times; i++) {
      const phase = (images: number): Round[] => rounds(images, steps.rounds, i);
      reported.push(...Object.values(steps.gMain(phase(steps.mainImages))));
      reported.push(...Object.values(steps.gPathLength(phase(steps.pathImages))));
      reported.push(...Object.values(steps.dMain(phase(steps.mainImages))));
      reported.push(...Object.values(steps.dR1(phase(steps.mainImages))));
      steps.ema(0.9);
      counts.push(tf.memory().numTensors);
    }
    const values = new Map(state.variables.map((v) => [v.name, Float32Array.from(v.dataSync())] as const));
    return { values, reported, counts };
  } finally {
    steps.dispose();
    disposeTrainingState(state);
  }
}

/** Norm of the difference over the norm. */
function distance(a: ReadonlyMap<string, Float32Array>, b: ReadonlyMap<string, Float32Array>): number {
  let difference = 0;
  let norm = 0;
  for (const [name, xs] of a)
    xs.forEach((x, i) => {
      difference += (x - b.get(name)![i]!) ** 2;
      norm += x ** 2;
    });
  return Math.sqrt(difference / norm);
}

type Trained = ReturnType<typeof train>;

function expectEqual(found: Trained, truth: Trained): void {
  found.reported.forEach((value, i) => expect(value).toBeCloseTo(truth.reported[i]!, 4));
  expect(distance(truth.values, found.values)).toBeLessThan(1e-5);
}

/** More than other rounding of fp32, less than another computation. */
function expectNear(found: Trained, truth: Trained): void {
  const apart = distance(truth.values, found.values);
  expect(apart).toBeGreaterThan(1e-5);
  expect(apart).toBeLessThan(0.05);
}

describe.each<[string, Partial<GeneratorConfig>]>([
  ['in two passes of 4 images', { microBatchSize: 4 }],
  ['in one pass of 8 images', { microBatchSize: 8 }],
  ['with the ultrasound pipe', { augment: 'ada' }],
  ['with the published pipe', { augment: 'ada', augmentPipe: 'bgc' }],
  ['with diffaugment', { augment: 'diffaugment' }],
])('phases %s', (_, change) => {
  let eager: Trained;
  beforeAll(() => {
    eager = train({ execution: 'eager', precision: 'fp32' }, change);
  });

  it('give recorded what they give op by op, the same bytes in every recording, and leave no tensor behind', () => {
    const [recorded, again] = [0, 1].map(() => train({ execution: 'function', precision: 'fp32' }, change));
    expectEqual(recorded!, eager);
    expect(distance(recorded!.values, again!.values)).toBe(0);
    expect(again!.reported).toEqual(recorded!.reported);
    expect(recorded!.counts[1]).toBe(recorded!.counts[0]);
  });
  it.runIf(hasAvx512)('come near in bf16, and are bytewise repeatable', () => {
    const runs = [0, 1].map(() => train({ execution: 'function', precision: 'bf16' }, change));
    expectNear(runs[0]!, eager);
    expect(distance(runs[0]!.values, runs[1]!.values)).toBe(0);
  });
  it('give as graphs of the stock addon what they give op by op, and leave no tensor behind', () => {
    const recorded = train({ execution: 'graph', precision: 'fp32' }, change);
    expectEqual(recorded, eager);
    expect(recorded.counts[1]).toBe(recorded.counts[0]);
  });
});

describe('phases as graphs of the stock addon', () => {
  const settings = { execution: 'graph', precision: 'fp32' } as const;
  const folder = mkdtempSync(join(tmpdir(), 'echoforge-graphs-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const trainWithCache = (change: Partial<GeneratorConfig>): Trained => {
    keepGraphsIn(folder);
    try {
      return train(settings, change);
    } finally {
      keepGraphsIn(null);
    }
  };

  it('give the same bytes in every recording and from the cache of graphs', () => {
    const recorded = trainWithCache({});
    for (const again of [train(settings, {}), trainWithCache({})]) {
      expect(distance(recorded.values, again.values)).toBe(0);
      expect(again.reported).toEqual(recorded.reported);
    }
    expect(readdirSync(folder)).toHaveLength(7); // four phases, two Adam steps on sums, the moving average
  });
  it('are others in the cache with other settings, but for the moving average', () => {
    trainWithCache({ r1Gamma: 3 });
    expect(readdirSync(folder)).toHaveLength(13);
  });
  it.runIf(hasAvx512)('come near in bf16', () => {
    expectNear(train({ execution: 'graph', precision: 'bf16' }, {}), train({ ...settings, execution: 'eager' }, {}));
  });
});

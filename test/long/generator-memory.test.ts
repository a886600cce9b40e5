import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { defaults } from '../../contract/presets.ts';
import { networkShapeOf } from '../../lib/generator/architecture.ts';
import { trainingMemoryBytes } from '../../lib/generator/memory.ts';

const bench = fileURLToPath(new URL('../../bench/bench.mjs', import.meta.url));

describe('the estimate of the memory of a training', () => {
  it.each([
    [64, 64, 4],
    [64, 64, 32],
    [256, 512, 4],
  ])('at %i px, %i maps, %i images is the measured peak within a quarter', async (resolution, fmapMax, batch) => {
    const sizes = ['--res', resolution, '--fmap-max', fmapMax, '--batch', batch].map(String);
    const args = [bench, 'generator-phase', ...sizes, '--allow-busy', '--json'];
    const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: 2 ** 24 });
    const report = stdout.split('\n').find((line) => line.startsWith('{')) ?? '{}';
    const { peakRssBytes } = JSON.parse(report) as { peakRssBytes: number };
    const config = { ...defaults.generator, fmapMax, batchSize: batch, microBatchSize: batch };
    const shape = networkShapeOf(config, { ...defaults.image, resolution });
    const estimate = trainingMemoryBytes(shape, config);
    console.log(`${resolution} px: ${Math.round(peakRssBytes / 1e6)} MB, estimated ${Math.round(estimate / 1e6)}`);
    expect(Math.abs(estimate / peakRssBytes - 1)).toBeLessThan(0.25);
  });
});

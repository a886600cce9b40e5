import { describe, expect, it } from 'vitest';
import { defaults } from '../../../contract/presets.ts';
import { ConfigurationError } from '../../../lib/errors.ts';
import { networkShapeOf } from '../../../lib/generator/architecture.ts';
import { checkMemory, trainingMemoryBytes } from '../../../lib/generator/memory.ts';

/**
 * Peaks of `npm run bench -- generator-phase --repeats 2`, 2 cores of an AMD EPYC, fp32, 2026-11-25, MB. test/long measures the
 * first, the last and one between anew.
 */
const measured = [
  { res: 32, fmapMax: 32, fmapBase: 512, latent: 64, mappingLayers: 2, batch: 32, peak: 712 },
  { res: 64, fmapMax: 64, fmapBase: 1024, latent: 64, mappingLayers: 4, batch: 16, peak: 866 },
  { res: 64, fmapMax: 64, fmapBase: 8192, latent: 512, mappingLayers: 8, batch: 4, peak: 808 },
  { res: 64, fmapMax: 64, fmapBase: 8192, latent: 512, mappingLayers: 8, batch: 32, peak: 1426 },
  { res: 128, fmapMax: 128, fmapBase: 8192, latent: 512, mappingLayers: 8, batch: 4, peak: 1599 },
  { res: 256, fmapMax: 512, fmapBase: 8192, latent: 512, mappingLayers: 8, batch: 4, peak: 4194 },
];

describe('the memory of a training', () => {
  it.each(measured)('at $res px, $fmapMax maps, $batch images is $peak MB within a tenth', (given) => {
    const { res, latent, batch, peak, ...widths } = given;
    const config = { ...defaults.generator, ...widths, latentSize: latent, batchSize: batch, microBatchSize: batch };
    const shape = networkShapeOf(config, { ...defaults.image, resolution: res });
    expect(trainingMemoryBytes(shape, config) / (peak * 1e6)).toBeGreaterThan(0.9);
    expect(trainingMemoryBytes(shape, config) / (peak * 1e6)).toBeLessThan(1.1);
  });
  it('follows the micro-batch, not the minibatch, but for the sums of gradients', () => {
    const shape = networkShapeOf(defaults.generator, defaults.image);
    const of = (batchSize: number, microBatchSize: number): number =>
      trainingMemoryBytes(shape, { batchSize, microBatchSize });
    expect(of(32, 4) - of(4, 4)).toBe(4 * (24_762_452 + 24_000_961));
    expect(of(32, 32)).toBeGreaterThan(2 * of(32, 4));
  });
  it('refuses by name what does not fit', () => {
    const shape = networkShapeOf(defaults.generator, defaults.image);
    expect(() => checkMemory(shape, defaults.generator, 24e9)).not.toThrow();
    expect(() => checkMemory(shape, defaults.generator, 4e9)).toThrow(ConfigurationError);
    expect(() => checkMemory(shape, defaults.generator, 4e9)).toThrow(
      /4\.0 GB; lower generator\.microBatchSize \(4\), generator\.fmapMax \(512\) or image\.resolution \(256\)/,
    );
  });
});

import { defaults } from '../contract/presets.ts';
import type { GeneratorConfig, Study } from '../contract/study.ts';

/** Widths on the command line. */
export interface WidthOptions {
  readonly res: number;
  readonly channels: number;
  readonly fmapMax: number;
  readonly fmapBase: number;
  readonly latent: number;
  readonly mappingLayers: number;
  readonly precision: 'fp32' | 'bf16';
  readonly execution: Study['execution'];
}

export function benchConfig(options: WidthOptions, changes: Partial<GeneratorConfig> = {}): GeneratorConfig {
  const { fmapBase, fmapMax, latent, mappingLayers } = options;
  return { ...defaults.generator, fmapBase, fmapMax, latentSize: latent, mappingLayers, r1Gamma: 10, ...changes };
}

export function benchImage({ res, channels }: WidthOptions): Study['image'] {
  if (!Number.isInteger(Math.log2(res)) || res < 8 || res > 1024)
    throw new Error(`expected --res to be a power of two from 8 to 1024, found ${res}`);
  if (channels !== 1 && channels !== 3) throw new Error(`expected --channels to be 1 or 3, found ${channels}`);
  return { ...defaults.image, resolution: res, channels };
}

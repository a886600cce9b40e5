import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EngineContext, GeneratorModel, ToolTask } from '../../../contract/engine.ts';
import { defaults } from '../../../contract/presets.ts';
import { loadEngine } from '../../../lib/engine/backend.ts';
import { tf } from '../../../lib/engine/tf.ts';
import { networkShapeOf } from '../../../lib/generator/architecture.ts';
import { saveSnapshot } from '../../../lib/generator/checkpoint.ts';
import { createTrainingState, disposeTrainingState } from '../../../lib/generator/state.ts';

/** An untrained generator of the product's class at 8 px whose noise shows, and what a tool needs to draw from it. */
export interface ToolWorld {
  readonly workDir: string;
  readonly generator: GeneratorModel;
  readonly task: ToolTask;
  readonly context: (signal?: AbortSignal) => EngineContext;
  readonly dispose: () => Promise<void>;
}

export async function createToolWorld({ noiseStrength = 0.5 } = {}): Promise<ToolWorld> {
  await loadEngine();
  const workDir = await mkdtemp(join(tmpdir(), 'echoforge-tools-'));
  const image = { ...defaults.image, resolution: 8 };
  const config = { ...defaults.generator, fmapBase: 64, fmapMax: 8, latentSize: 8, mappingLayers: 2 };
  const state = createTrainingState({ shape: networkShapeOf(config, image), config, seed: 1, stream: 'test' });
  for (const [name, variable] of state.gs)
    if (variable.rank === 0 && /noise/i.test(name)) variable.assign(tf.scalar(noiseStrength)); // 0 at the start
  state.wAvg.assign(tf.fill([8], 0.1)); // 0 at the start: psi alone would not show it
  const generator = { config, image, weightsFile: join(workDir, 'generator.safetensors') };
  await saveSnapshot(generator.weightsFile, { state, nimg: 0, hash: 'test' });
  disposeTrainingState(state);
  return {
    workDir,
    generator,
    task: { generator, className: 'malignant', seed: 1, batchSize: 4, provenance: { snapshot: 'abc' } },
    context: (signal = new AbortController().signal) => ({
      settings: { precision: 'fp32', execution: 'function' },
      workDir,
      signal,
      emit: () => Promise.resolve(),
    }),
    dispose: () => rm(workDir, { recursive: true, force: true }),
  };
}

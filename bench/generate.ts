import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EngineSettings, GeneratorModel } from '../contract/engine.ts';
import { loadEngine } from '../lib/engine/backend.ts';
import { executionOf } from '../lib/engine/compile.ts';
import { networkShapeOf } from '../lib/generator/architecture.ts';
import { saveSnapshot } from '../lib/generator/checkpoint.ts';
import { loadSampler, type Sampler } from '../lib/generator/sampler.ts';
import { createTrainingState, disposeTrainingState } from '../lib/generator/state.ts';
import { inputsForSeeds } from '../lib/synthesis/seed-inputs.ts';
import { synthesizeShard } from '../lib/synthesis/synthesize-shard.ts';
import { benchConfig, benchImage, type WidthOptions } from './generator-config.ts';
import {
  checkShare,
  describeMachine,
  maxOthersShare,
  percent,
  requireQuietMachine,
  watchOthers,
} from './quiet-machine.ts';

export interface GenerateOptions extends WidthOptions {
  readonly count: number;
  readonly batch: number;
  readonly allowBusy?: true;
  readonly json?: true;
}

/** Images per second from seeds to a shard of PNG files, beside those of the network alone. Upload is not included. */
export async function benchGenerate(options: GenerateOptions): Promise<void> {
  const { allowBusy = false, count, batch } = options;
  await requireQuietMachine(allowBusy);
  await loadEngine();
  const settings: EngineSettings = { precision: options.precision, execution: options.execution };
  const dir = await mkdtemp(join(tmpdir(), 'echoforge-bench-'));
  try {
    const model = await freshModel(options, join(dir, 'weights.safetensors'));
    const others = watchOthers();
    const network = await networkRate(model, settings, options);
    const whole = await wholeRate(model, settings, { count, batch, workDir: dir });
    const share = others();
    checkShare(share, allowBusy);
    const report = {
      machine: describeMachine(),
      execution: executionOf(settings),
      options,
      networkImagesPerSecond: network,
      wholeImagesPerSecond: whole,
      shareOfNetwork: whole / network,
      peakRssBytes: process.resourceUsage().maxRSS * 1024,
      othersShareOfCpu: share,
      busy: share > maxOthersShare,
    };
    process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : asText(report));
  } finally {
    await rm(dir, { recursive: true });
  }
}

/** Initial weights, stored as a snapshot: speed does not depend on what a network has learned. */
async function freshModel(options: GenerateOptions, file: string): Promise<GeneratorModel> {
  const config = benchConfig(options);
  const image = benchImage(options);
  const state = createTrainingState({ shape: networkShapeOf(config, image), config, seed: 1, stream: 'bench' });
  await saveSnapshot(file, { state, nimg: 0, hash: 'bench' });
  disposeTrainingState(state);
  return { config, image, weightsFile: file };
}

/** Passes over one prepared batch, after one that traces. */
async function networkRate(model: GeneratorModel, settings: EngineSettings, options: GenerateOptions): Promise<number> {
  const { batch, count } = options;
  const sampler: Sampler = await loadSampler({ model, settings, batchSize: batch });
  const { latentSize, noiseSizes } = sampler;
  const seeds = Array.from({ length: batch }, (_, i) => i);
  const input = { ...inputsForSeeds({ seeds, latentSize, noiseSizes }), psi: 1 };
  sampler.sampleRaw(input);
  const passes = Math.max(1, Math.ceil(count / batch / 4));
  const start = performance.now();
  for (let i = 0; i < passes; i++) sampler.sampleRaw(input);
  const seconds = (performance.now() - start) / 1000;
  sampler.dispose();
  return (passes * batch) / seconds;
}

/** Seeds 0 to count - 1 of one shard; loading and tracing before the first image are not counted. */
async function wholeRate(
  generator: GeneratorModel,
  settings: EngineSettings,
  { count, batch, workDir }: { readonly count: number; readonly batch: number; readonly workDir: string },
): Promise<number> {
  let start = 0;
  let before = 0;
  const signal = new AbortController().signal;
  await synthesizeShard(
    {
      ...{ generator, side: 'negative', className: 'bench', psi: 1, firstSeed: 0, lastSeed: count + batch - 1 },
      ...{ batchSize: batch, provenance: {} },
    },
    {
      settings,
      workDir,
      signal,
      emit: (event) => {
        if (start === 0 && event.type === 'progress' && event.phase === 'synthesize') {
          start = performance.now();
          before = event.done;
        }
        return Promise.resolve();
      },
    },
  );
  return (count + batch - before) / ((performance.now() - start) / 1000);
}

function asText(report: {
  readonly machine: string;
  readonly execution: string;
  readonly networkImagesPerSecond: number;
  readonly wholeImagesPerSecond: number;
  readonly shareOfNetwork: number;
  readonly peakRssBytes: number;
  readonly othersShareOfCpu: number;
  readonly busy: boolean;
}): string {
  const lines = [
    report.machine,
    `execution ${report.execution}`,
    '',
    `network alone       ${report.networkImagesPerSecond.toFixed(2).padStart(8)} images/s`,
    `seeds to a shard    ${report.wholeImagesPerSecond.toFixed(2).padStart(8)} images/s, ${percent(report.shareOfNetwork)} of it`,
    `peak RSS            ${(report.peakRssBytes / 1e6).toFixed(0).padStart(8)} MB`,
  ];
  if (report.busy)
    lines.push(
      '',
      `NOT A MEASUREMENT: other processes used ${percent(report.othersShareOfCpu)} of the CPU (--allow-busy)`,
    );
  return `${lines.join('\n')}\n`;
}

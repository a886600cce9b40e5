import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EngineSettings, GeneratorModel } from '../contract/engine.ts';
import { loadEngine } from '../lib/engine/backend.ts';
import { executionOf } from '../lib/engine/compile.ts';
import { writeTensorFile } from '../lib/engine/tensor-file.ts';
import { tf } from '../lib/engine/tf.ts';
import { networkShapeOf } from '../lib/generator/architecture.ts';
import { saveSnapshot } from '../lib/generator/checkpoint.ts';
import { loadSampler, type Sampler } from '../lib/generator/sampler.ts';
import { createTrainingState, disposeTrainingState } from '../lib/generator/state.ts';
import { inputsForSeeds } from '../lib/synthesis/seed-inputs.ts';
import { synthesizeShards } from '../lib/synthesis/synthesize-shards.ts';
import { figuresOf } from './figures.ts';
import { benchConfig, benchImage, type WidthOptions } from './generator-config.ts';
import {
  checkShare,
  describeMachine,
  maxOthersShare,
  percent,
  requireQuietMachine,
  watchOthers,
} from './quiet-machine.ts';
import { startPeer, type ReferencePeer } from './reference-peer.ts';

export interface GenerateOptions extends WidthOptions {
  readonly count: number;
  readonly batch: number;
  readonly against?: 'torch';
  readonly allowBusy?: true;
  readonly json?: true;
}

/**
 * Images per second from seeds to a shard of PNG files, beside those of the network alone and, when asked, of PyTorch's network
 * alone, whose draws are given. Upload is not included.
 */
export async function benchGenerate(options: GenerateOptions): Promise<void> {
  const { allowBusy = false, count, batch } = options;
  await requireQuietMachine(allowBusy);
  await loadEngine();
  const settings: EngineSettings = { precision: options.precision, execution: options.execution };
  const dir = await mkdtemp(join(tmpdir(), 'echoforge-bench-'));
  const torch =
    options.against === 'torch' ? await startPeer('torch', (line) => process.stderr.write(`${line}\n`)) : null;
  try {
    const model = await freshModel(options, join(dir, 'weights.safetensors'));
    const others = watchOthers(torch === null ? [] : [torch.pid]);
    const network = await networkRates({ model, settings, options, torch, dir });
    const whole = await wholeRate(model, settings, { count, batch, workDir: dir });
    const share = others();
    checkShare(share, allowBusy);
    const report = {
      machine: describeMachine(),
      execution: executionOf(settings),
      options,
      networkImagesPerSecond: network.ours,
      wholeImagesPerSecond: whole,
      shareOfNetwork: whole / network.ours,
      torchImagesPerSecond: network.torch,
      /** From seeds to a shard, over PyTorch's network alone. */
      ratio: network.torch === null ? null : whole / network.torch,
      peakRssBytes: process.resourceUsage().maxRSS * 1024,
      othersShareOfCpu: share,
      busy: share > maxOthersShare,
    };
    process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : asText(report));
  } finally {
    torch?.close();
    await rm(dir, { recursive: true });
  }
}

/** Initial weights, stored as a snapshot: speed does not depend on what a network has learned. */
async function freshModel(options: GenerateOptions, file: string): Promise<GeneratorModel> {
  const config = benchConfig(options);
  const image = benchImage(options);
  const state = createTrainingState({ shape: networkShapeOf(config, image), config, seed: 1, stream: 'bench' });
  for (const [name, variable] of state.gs) if (name.endsWith('noiseStrength')) variable.assign(tf.scalar(0.1));
  await saveSnapshot(file, { state, nimg: 0, hash: 'bench' });
  await writeTensorFile(torchFile(file), prefixed(state.gs), {});
  disposeTrainingState(state);
  return { config, image, weightsFile: file };
}

/** The weights as PyTorch's side reads them, beside the snapshot. */
const torchFile = (file: string): string => `${file}.torch`;
const prefixed = (weights: ReadonlyMap<string, tf.Variable>): Record<string, tf.Tensor> =>
  Object.fromEntries([...weights].map(([name, variable]): [string, tf.Tensor] => [`G/${name}`, variable]));

/** bf16 rounds each product to 3 digits; fp32 sums in another order. As a share of the largest pixel compared. */
const pixelTolerance = { fp32: 1e-4, bf16: 0.1 } as const;

/**
 * Passes over one prepared batch, after one that traces; in turn with PyTorch's, where each turn runs twice and the second
 * counts. @throws Error when PyTorch makes other pixels of the same weights and draws
 */
async function networkRates(args: {
  readonly model: GeneratorModel;
  readonly settings: EngineSettings;
  readonly options: GenerateOptions;
  readonly torch: ReferencePeer | null;
  readonly dir: string;
}): Promise<{ readonly ours: number; readonly torch: number | null }> {
  const { model, settings, options, torch, dir } = args;
  const { batch, count } = options;
  const sampler: Sampler = await loadSampler({ model, settings, batchSize: batch });
  const { latentSize, noiseSizes } = sampler;
  const seeds = Array.from({ length: batch }, (_, i) => i);
  const input = { ...inputsForSeeds({ seeds, latentSize, noiseSizes }), psi: 1 };
  const pixels = sampler.sampleRaw(input);
  if (torch !== null) {
    await loadTorch(torch, { model, options, input, noiseSizes, file: join(dir, 'draws.safetensors') });
    const theirs = await torch.ask<{ pixels: number[] }>('sample');
    const largest = theirs.pixels.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    const apart = theirs.pixels.reduce((most, x, i) => Math.max(most, Math.abs(x - (pixels[i] ?? Number.NaN))), 0);
    if (!(apart <= pixelTolerance[options.precision] * largest))
      throw new Error(`PyTorch's pixels differ by ${apart} of ${largest}: not the same network, no figure`);
  }
  const ours: number[] = [];
  const others: number[] = [];
  for (let i = 0; i < Math.max(1, Math.ceil(count / batch / 4)); i++) {
    if (torch !== null) sampler.sampleRaw(input);
    const start = performance.now();
    sampler.sampleRaw(input);
    ours.push(performance.now() - start);
    if (torch === null) continue;
    await torch.ask('sample');
    others.push((await torch.ask<{ ms: number }>('sample')).ms);
  }
  sampler.dispose();
  const rate = (ms: number[]): number => (batch * 1000) / figuresOf(ms).median;
  return { ours: rate(ours), torch: torch === null ? null : rate(others) };
}

async function loadTorch(
  torch: ReferencePeer,
  args: {
    readonly model: GeneratorModel;
    readonly options: GenerateOptions;
    readonly input: { readonly z: Float32Array; readonly noise: readonly Float32Array[] };
    readonly noiseSizes: readonly number[];
    readonly file: string;
  },
): Promise<void> {
  const { model, options, input, noiseSizes, file } = args;
  const { batch, precision } = options;
  const { resolution, channels } = model.image;
  const { latentSize, fmapBase, fmapMax, mappingLayers } = model.config;
  const draws = Object.fromEntries([
    ['z', tf.tensor2d(input.z, [batch, latentSize])],
    ...input.noise.map((map, i): [string, tf.Tensor] => {
      const side = noiseSizes[i] ?? 0;
      return [`noise${i}`, tf.tensor4d(map, [batch, side, side, 1])];
    }),
  ]) as Record<string, tf.Tensor>;
  await writeTensorFile(file, draws, {});
  tf.dispose(draws);
  const widths = { fmap_base: fmapBase, fmap_max: fmapMax, mapping_layers: mappingLayers };
  const shape = { resolution, channels, latent_size: latentSize, ...widths };
  await torch.ask('load_generator', {
    ...{ weights: torchFile(model.weightsFile), draws: file, shape },
    bf16: precision === 'bf16',
    threads: availableParallelism(),
  });
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
  await synthesizeShards(
    {
      ...{ generator, side: 'negative', className: 'bench', psi: 1, batchSize: batch, provenance: {} },
      shards: [{ firstSeed: 0, lastSeed: count + batch - 1 }],
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
  readonly torchImagesPerSecond: number | null;
  readonly ratio: number | null;
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
    ...(report.torchImagesPerSecond === null || report.ratio === null
      ? []
      : [
          `PyTorch's network   ${report.torchImagesPerSecond.toFixed(2).padStart(8)} images/s`,
          `ratio               ${report.ratio.toFixed(3).padStart(8)} seeds to a shard here, over that`,
        ]),
    `peak RSS            ${(report.peakRssBytes / 1e6).toFixed(0).padStart(8)} MB`,
  ];
  if (report.busy)
    lines.push(
      '',
      `NOT A MEASUREMENT: other processes used ${percent(report.othersShareOfCpu)} of the CPU (--allow-busy)`,
    );
  return `${lines.join('\n')}\n`;
}

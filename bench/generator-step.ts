import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EngineSettings } from '../contract/engine.ts';
import type { GeneratorConfig } from '../contract/study.ts';
import { loadEngine } from '../lib/engine/backend.ts';
import { executionOf } from '../lib/engine/compile.ts';
import { writeTensorFile } from '../lib/engine/tensor-file.ts';
import { tf } from '../lib/engine/tf.ts';
import { styleCount, type NetworkShape } from '../lib/generator/architecture.ts';
import { phaseMacs, type PhaseName } from '../lib/generator/cost.ts';
import { drawLatents, drawPathNoise } from '../lib/generator/loss.ts';
import { measureConvolutionPeak } from './convolution-peak.ts';
import { figuresOf, type Figures } from './figures.ts';
import {
  createMeasuredSteps,
  phases,
  roundOf,
  runPhase,
  type MeasuredSteps,
  type StepOptions,
} from './measured-steps.ts';
import {
  checkShare,
  describeMachine,
  maxOthersShare,
  percent,
  requireQuietMachine,
  watchOthers,
} from './quiet-machine.ts';
import { startPeer, type ReferencePeer } from './reference-peer.ts';

export interface GeneratorStepOptions extends StepOptions {
  readonly repeats: number;
  readonly against?: 'torch';
  readonly allowBusy?: true;
  readonly json?: true;
}

type Timed = PhaseName | 'ema';

/** One framework: its times, what a kimg costs with lazy regularisation, its memory. */
interface Side {
  readonly name: string;
  readonly phases: Readonly<Record<Timed, Figures>>;
  readonly secondsPerKimg: number;
  /** Share of the convolution peak that the multiply-accumulates of one mean iteration make of its time. */
  readonly shareOfPeak: number;
  readonly peakRssBytes: number;
}

/**
 * Times the phases of `createTrainingSteps`, in turn with PyTorch's when asked. Each turn then runs twice and the second counts:
 * the first finds the caches full of the other's data, and the other's threads still spinning for work.
 */
export async function benchGeneratorStep(options: GeneratorStepOptions): Promise<void> {
  const { precision, allowBusy = false } = options;
  await requireQuietMachine(allowBusy);
  await loadEngine();
  const settings: EngineSettings = { precision, execution: options.execution };
  const others = watchOthers();
  const peak = measureConvolutionPeak(settings);
  checkShare(others(), allowBusy);
  const measured = createMeasuredSteps(options);
  const torch =
    options.against === 'torch' ? await startPeer('torch', (line) => process.stderr.write(`${line}\n`)) : null;
  try {
    const report = await measure(measured, torch, { options, peak, settings });
    process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : asText(report));
  } finally {
    torch?.close();
  }
}

interface Report {
  readonly machine: string;
  readonly options: GeneratorStepOptions;
  /** What really ran. */
  readonly execution: string;
  readonly convolutionPeakGflops: number;
  readonly tensorsAlive: number;
  readonly othersShareOfCpu: number;
  readonly busy: boolean;
  readonly losses: Record<string, { readonly ours: number; readonly torch: number }> | null;
  readonly sides: readonly Side[];
  /** Seconds per kimg, ours over PyTorch's. */
  readonly ratio: number | null;
}

async function measure(
  measured: MeasuredSteps,
  torch: ReferencePeer | null,
  { options, peak, settings }: { options: GeneratorStepOptions; peak: number; settings: EngineSettings },
): Promise<Report> {
  const { steps, shape, config } = measured;
  const { allowBusy = false, repeats } = options;
  const first = firstLosses(measured); // traces every phase and leaves the weights as they were
  const losses = torch === null ? null : await compareLosses(measured, torch, { first, precision: options.precision });
  const times = { ours: emptyTimes(), torch: emptyTimes() };
  const others = watchOthers(torch === null ? [] : [torch.pid]);
  for (let i = 0; i < repeats + 1; i++) {
    for (const phase of [...phases, 'ema'] as const) {
      const run = (): void => (phase === 'ema' ? steps.ema(0.998) : void runPhase(measured, phase, i));
      if (torch !== null) run();
      const start = performance.now();
      run();
      const ours = performance.now() - start;
      if (torch !== null) await torch.ask('run', { phase });
      const theirs = torch === null ? 0 : (await torch.ask<{ ms: number }>('run', { phase })).ms;
      if (i === 0) continue; // burn-in of both
      times.ours[phase].push(ours);
      times.torch[phase].push(theirs);
    }
  }
  const share = others();
  checkShare(share, allowBusy);
  const costs = { shape, config, peak };
  const own = { peakRssBytes: process.resourceUsage().maxRSS * 1024 };
  const sides = [sideOf('echoforge', times.ours, { ...costs, ...own })];
  if (torch !== null)
    sides.push(sideOf('PyTorch', times.torch, { ...costs, ...(await torch.ask<typeof own>('memory')) }));
  const [ours, theirs] = sides;
  return {
    machine: describeMachine(),
    options,
    execution: executionOf(settings),
    convolutionPeakGflops: peak,
    tensorsAlive: tf.memory().numTensors,
    othersShareOfCpu: share,
    busy: share > maxOthersShare,
    losses,
    sides,
    ratio: ours && theirs ? ours.secondsPerKimg / theirs.secondsPerKimg : null,
  };
}

const emptyTimes = (): Record<Timed, number[]> => ({ gMain: [], gPathLength: [], dMain: [], dR1: [], ema: [] });

/** The loss of each phase on the initial weights, which are restored after each. */
function firstLosses(measured: MeasuredSteps): Record<PhaseName, number> {
  const { variables } = measured.state;
  const initial = variables.map((variable) => Float32Array.from(variable.dataSync()));
  const losses = phases.map((phase) => {
    const loss = runPhase(measured, phase, 0);
    tf.tidy(() => variables.forEach((v, i) => v.assign(tf.tensor(initial[i] ?? [], v.shape, 'float32'))));
    return [phase, loss] as const;
  });
  return Object.fromEntries(losses) as Record<PhaseName, number>; // all phases
}

/** bf16 rounds each product to 3 digits; fp32 sums in another order. */
const lossTolerance = { fp32: 1e-3, bf16: 0.1 } as const;

/** @throws Error when PyTorch computes other losses from the same weights and draws: it would be another mathematics */
async function compareLosses(
  measured: MeasuredSteps,
  torch: ReferencePeer,
  { first, precision }: { readonly first: Record<PhaseName, number>; readonly precision: 'fp32' | 'bf16' },
): Promise<Record<string, { ours: number; torch: number }>> {
  const dir = await mkdtemp(join(tmpdir(), 'echoforge-bench-'));
  try {
    const file = join(dir, 'weights.safetensors');
    await writeWeightsAndDraws(measured, file);
    const { config, shape } = measured;
    await torch.ask('load', {
      file,
      shape: {
        ...{ resolution: shape.resolution, channels: shape.channels, latent_size: shape.latentSize },
        ...{ fmap_base: shape.fmapBase, fmap_max: shape.fmapMax, mapping_layers: shape.mappingLayers },
      },
      settings: { batch: config.batchSize, r1_gamma: config.r1Gamma, bf16: precision === 'bf16' },
      threads: availableParallelism(),
    });
  } finally {
    await rm(dir, { recursive: true });
  }
  const theirs = await torch.ask<Record<PhaseName, number>>('losses');
  for (const phase of phases)
    if (!(Math.abs(first[phase] / theirs[phase] - 1) <= lossTolerance[precision]))
      throw new Error(
        `${phase} is ${first[phase]} here and ${theirs[phase]} in PyTorch from the same weights and draws: not the same mathematics, no figure`,
      );
  return Object.fromEntries(phases.map((phase) => [phase, { ours: first[phase], torch: theirs[phase] }]));
}

async function writeWeightsAndDraws(measured: MeasuredSteps, file: string): Promise<void> {
  const { state, shape, steps, reals, config } = measured;
  const tensors: Record<string, tf.Tensor> = {};
  for (const [prefix, weights] of [
    ['G', state.g],
    ['D', state.d],
  ] as const)
    // prettier-ignore
    for (const [name, variable] of weights) tensors[`${prefix}/${name}`] = variable;
  const drawn: tf.Tensor[] = [];
  const add = (name: string, tensor: tf.Tensor): void => {
    tensors[`draws/${name}`] = tensor;
    drawn.push(tensor);
  };
  for (const phase of ['gMain', 'gPathLength', 'dMain'] as const) {
    const round = roundOf(measured, phase, 0);
    const count = phase === 'gPathLength' ? steps.pathImages : steps.mainImages;
    const seed = tf.tensor1d([...round.seed], 'int32');
    const mix = tf.tensor2d(round.mix, [count, styleCount(shape)]);
    const { z, zMix, noise } = drawLatents(shape, { count, seed, mix });
    for (const [name, tensor] of Object.entries({ z, zMix, mix })) add(`${phase}/${name}`, tensor);
    noise.forEach((map, i) => add(`${phase}/noise${i}`, map));
    if (phase === 'gPathLength') add(`${phase}/pathNoise`, drawPathNoise(shape, { count, seed }));
    seed.dispose();
  }
  add('reals', tf.tensor4d(reals, [config.batchSize, shape.resolution, shape.resolution, shape.channels]));
  await writeTensorFile(file, tensors, {});
  tf.dispose(drawn);
}

function sideOf(
  name: string,
  times: Record<Timed, number[]>,
  cost: { shape: NetworkShape; config: GeneratorConfig; peak: number; peakRssBytes: number },
): Side {
  const { shape, config, peak, peakRssBytes } = cost;
  const figures = Object.fromEntries(
    Object.entries(times).map(([phase, ms]) => [phase, figuresOf(ms)] as const),
  ) as Record<Timed, Figures>; // the same keys
  const perIteration = (of: (phase: PhaseName) => number): number =>
    of('gMain') + of('dMain') + of('gPathLength') / config.gRegInterval + of('dR1') / config.dRegInterval;
  const ms = perIteration((phase) => figures[phase].median) + figures.ema.median;
  const macs = phaseMacs(shape, config.batchSize);
  const shareOfPeak = (2 * perIteration((phase) => macs[phase])) / (ms * 1e6) / peak;
  return { name, phases: figures, secondsPerKimg: ms / config.batchSize, shareOfPeak, peakRssBytes };
}

function asText(report: Report): string {
  const { sides } = report;
  const cells = ({ median, low, high }: Figures): string =>
    `${median.toFixed(1).padStart(9)} (${low.toFixed(1)}-${high.toFixed(1)})`.padEnd(30);
  const row = (label: string, of: (side: Side) => string): string =>
    `${label.padEnd(20)}${sides.map((side) => of(side).padEnd(30)).join('')}`.trimEnd();
  const lines = [
    report.machine,
    `execution ${report.execution}, convolution peak ${report.convolutionPeakGflops.toFixed(0)} GFLOP/s, ${report.tensorsAlive} tensors alive`,
    '',
    row('', ({ name }) => `  ${name}`),
    ...([...phases, 'ema'] as const).map((phase) => row(`${phase}, ms`, (side) => cells(side.phases[phase]))),
    row('s/kimg', ({ secondsPerKimg }) => secondsPerKimg.toFixed(2).padStart(9)),
    row('of the peak', ({ shareOfPeak }) => percent(shareOfPeak).padStart(9)),
    row('peak RSS, MB', ({ peakRssBytes }) => (peakRssBytes / 1e6).toFixed(0).padStart(9)),
  ];
  if (report.ratio !== null) lines.push(`${'ratio of s/kimg'.padEnd(20)}${report.ratio.toFixed(3).padStart(9)}`);
  if (report.busy)
    lines.push(
      '',
      `NOT A MEASUREMENT: other processes used ${percent(report.othersShareOfCpu)} of the CPU (--allow-busy)`,
    );
  return `${lines.join('\n')}\n`;
}

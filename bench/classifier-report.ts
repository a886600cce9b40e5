import { availableParallelism } from 'node:os';
import { executionOf } from '../lib/engine/compile.ts';
import { tf } from '../lib/engine/tf.ts';
import { kerasLoad, type ClassifierOptions } from './classifier-config.ts';
import { figuresOf, type Figures } from './figures.ts';
import { startPeer, type ReferencePeer } from './reference-peer.ts';
import { checkShare, describeMachine, maxOthersShare, percent, watchOthers } from './quiet-machine.ts';

/** One framework: its times, what that makes of images, its memory. */
interface ClassifierSide {
  readonly name: string;
  readonly ms: Figures;
  /** The first run, which records or compiles. */
  readonly firstMs: number;
  readonly imagesPerSecond: number;
  readonly peakRssBytes: number;
}

interface ClassifierReport {
  readonly machine: string;
  readonly options: ClassifierOptions;
  /** What really ran. */
  readonly execution: string;
  readonly tensorsAlive: number;
  readonly othersShareOfCpu: number;
  readonly busy: boolean;
  /** The same figure of both from the same weights and images: a loss, or the first probability. */
  readonly check: { readonly what: string; readonly ours: number; readonly keras: number } | null;
  readonly sides: readonly ClassifierSide[];
  /** Resident memory of this process after a tenth of the runs and after the last. */
  readonly rssBytes: { readonly early: number; readonly late: number };
  /** Our drawing and altering of one step's images, which is in the step, by itself. */
  readonly imagesMs: Figures | null;
  /** Median time, ours over that of the faster Keras. */
  readonly ratio: number | null;
}

/** What is measured on our side. */
export interface Measured {
  readonly command: 'step' | 'predict';
  /** One run; returns the figure by which both sides are known to compute the same. */
  readonly run: () => number;
  /** Name of that figure. */
  readonly what: string;
  /** Makes the images of a run again, to know their share of it. */
  readonly images?: () => void;
}

/** Times `run`, in turn with Keras when asked, and prints the report. */
export async function reportAgainstKeras(
  { command, run, what, images }: Measured,
  options: ClassifierOptions,
): Promise<void> {
  const keras = await startKeras(command, options);
  try {
    const start = performance.now();
    const ours = run(); // records
    const us = ourselves(() => void run(), performance.now() - start);
    const checks = keras.answers.map((answer) => ({ what: `${what} of both`, ours, keras: answer }));
    for (const check of checks) requireSame(what, check, options);
    const { precision, execution } = options;
    const report: ClassifierReport = {
      ...(await measureInTurn([us, ...keras.contenders], options, images)),
      ...{ check: checks[0] ?? null, execution: executionOf({ precision, execution }) },
      tensorsAlive: tf.memory().numTensors,
    };
    process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : classifierText(report));
  } finally {
    keras.close();
  }
}

/** bf16 rounds each product to 3 digits; fp32 sums in another order. */
const tolerance = { fp32: 1e-3, bf16: 0.1 } as const;

/** @throws Error when Keras computes something else: it would be another mathematics */
export function requireSame(what: string, values: { ours: number; keras: number }, options: ClassifierOptions): void {
  const { ours, keras } = values;
  if (Math.abs(ours / keras - 1) <= tolerance[options.precision]) return;
  throw new Error(
    `the ${what} is ${ours} here and ${keras} in Keras from the same weights and images: not the same mathematics, no figure`,
  );
}

/** Something measured: ours, or a Keras in a process of its own. */
interface Contender {
  readonly name: string;
  /** One run. @returns its milliseconds */
  readonly run: () => Promise<number>;
  readonly firstMs: number;
  readonly peakRssBytes: () => Promise<number>;
  /** Null for this process. */
  readonly pid: number | null;
}

/** Both forms of Keras 3 on TensorFlow: with and without XLA. */
const kerasForms = [
  { name: 'Keras', jit: false },
  { name: 'Keras, jit', jit: true },
] as const;

/** The measured processes of Keras, loaded, and what they say of the first image or batch; none unless asked for. */
async function startKeras(
  command: 'step' | 'predict',
  options: ClassifierOptions,
): Promise<{ contenders: Contender[]; answers: number[]; close: () => void }> {
  const contenders: Contender[] = [];
  const answers: number[] = [];
  const peers: ReferencePeer[] = [];
  for (const { name, jit } of options.against === 'keras' ? kerasForms : []) {
    const peer = await startPeer('keras', (line) => process.stderr.write(`${line}\n`));
    peers.push(peer);
    await peer.ask('load', { ...kerasLoad(options, availableParallelism()), jit });
    const first = await peer.ask<{ ms: number; answer: number }>(command);
    answers.push(first.answer);
    contenders.push({
      ...{ name, firstMs: first.ms, pid: peer.pid },
      run: async () => (await peer.ask<{ ms: number }>(command)).ms,
      peakRssBytes: async () => (await peer.ask<{ peakRssBytes: number }>('memory')).peakRssBytes,
    });
  }
  return {
    contenders,
    answers,
    close: () => {
      for (const peer of peers) peer.close();
    },
  };
}

/** Our side: `run` in this process, whose first run took `firstMs`. */
export function ourselves(run: () => void, firstMs: number): Contender {
  return {
    ...{ name: 'echoforge', firstMs, pid: null },
    run: () => {
      const start = performance.now();
      run();
      return Promise.resolve(performance.now() - start);
    },
    peakRssBytes: () => Promise.resolve(process.resourceUsage().maxRSS * 1024),
  };
}

/** Times all in turn, ours first, after one burn-in of each; the making of `images` after each round. */
export async function measureInTurn(
  contenders: readonly Contender[],
  options: ClassifierOptions,
  images: (() => void) | null = null,
): Promise<Omit<ClassifierReport, 'execution' | 'tensorsAlive' | 'check'>> {
  const { batch, repeats, allowBusy = false } = options;
  const times = contenders.map((): number[] => []);
  const making: number[] = [];
  const others = watchOthers(contenders.flatMap(({ pid }) => pid ?? []));
  let early = 0;
  for (let i = 0; i < repeats + 1; i++) {
    for (const [j, { run }] of contenders.entries()) {
      const ms = await run();
      if (i > 0) times[j]?.push(ms);
    }
    const start = performance.now();
    images?.();
    if (i > 0) making.push(performance.now() - start);
    if (i === Math.ceil(repeats / 10)) early = process.memoryUsage.rss();
  }
  const rssBytes = { early, late: process.memoryUsage.rss() };
  const share = others();
  checkShare(share, allowBusy);
  const sides: ClassifierSide[] = [];
  for (const [j, { name, firstMs, peakRssBytes }] of contenders.entries()) {
    const ms = figuresOf(times[j] ?? []);
    sides.push({ name, ms, firstMs, imagesPerSecond: (1000 * batch) / ms.median, peakRssBytes: await peakRssBytes() });
  }
  const [ours = Number.NaN, ...theirs] = sides.map(({ ms }) => ms.median);
  return {
    ...{ machine: describeMachine(), options, othersShareOfCpu: share, busy: share > maxOthersShare, sides, rssBytes },
    imagesMs: images === null ? null : figuresOf(making),
    ratio: theirs.length === 0 ? null : ours / Math.min(...theirs),
  };
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(0).padStart(9);

const imagesLine = ({ median, low, high }: Figures, stepMs: number): string =>
  `${'of it images, ms'.padEnd(20)}${median.toFixed(1).padStart(9)} (${low.toFixed(1)}-${high.toFixed(1)}), ${((100 * median) / stepMs).toFixed(1)}% of our step`;

export function classifierText(report: ClassifierReport): string {
  const { sides, check } = report;
  const row = (label: string, of: (side: ClassifierSide) => string): string =>
    `${label.padEnd(20)}${sides.map((side) => of(side).padEnd(30)).join('')}`.trimEnd();
  const lines = [
    report.machine,
    `execution ${report.execution}, ${report.tensorsAlive} tensors alive`,
    '',
    row('', ({ name }) => `  ${name}`),
    row('ms', ({ ms }) => `${ms.median.toFixed(1).padStart(9)} (${ms.low.toFixed(1)}-${ms.high.toFixed(1)})`),
    row('first run, ms', ({ firstMs }) => firstMs.toFixed(0).padStart(9)),
    row('images/s', ({ imagesPerSecond }) => imagesPerSecond.toFixed(2).padStart(9)),
    row('peak RSS, MB', ({ peakRssBytes }) => megabytes(peakRssBytes)),
  ];
  if (report.imagesMs !== null) lines.push(imagesLine(report.imagesMs, sides[0]?.ms.median ?? Number.NaN));
  const { early, late } = report.rssBytes;
  lines.push(
    row('RSS early, late, MB', ({ name }) => (name === 'echoforge' ? `${megabytes(early)} ${megabytes(late)}` : '')),
  );
  if (check !== null)
    lines.push(`${check.what.padEnd(20)}${check.ours.toPrecision(6)} and ${check.keras.toPrecision(6)}`);
  if (report.ratio !== null) lines.push(`${'ratio of ms'.padEnd(20)}${report.ratio.toFixed(3).padStart(9)}`);
  if (report.busy)
    lines.push(
      '',
      `NOT A MEASUREMENT: other processes used ${percent(report.othersShareOfCpu)} of the CPU (--allow-busy)`,
    );
  return `${lines.join('\n')}\n`;
}

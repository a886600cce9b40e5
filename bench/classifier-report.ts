import type { ClassifierOptions } from './classifier-config.ts';
import { figuresOf, type Figures } from './figures.ts';
import type { ReferencePeer } from './reference-peer.ts';
import { checkShare, describeMachine, maxOthersShare, percent, watchOthers } from './quiet-machine.ts';

/** One framework: its times, what that makes of images, its memory. */
export interface ClassifierSide {
  readonly name: string;
  readonly ms: Figures;
  readonly imagesPerSecond: number;
  readonly peakRssBytes: number;
}

export interface ClassifierReport {
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
  /** Median time, ours over Keras'. */
  readonly ratio: number | null;
}

/** bf16 rounds each product to 3 digits; fp32 sums in another order. */
const tolerance = { fp32: 1e-3, bf16: 0.1 } as const;

/** @throws Error when Keras computes something else: it would be another mathematics */
export function requireSame(what: string, values: { ours: number; keras: number }, options: ClassifierOptions): void {
  const { ours, keras } = values;
  if (Math.abs(ours / keras - 1) <= tolerance[options.precision]) return;
  throw new Error(
    `${what} is ${ours} here and ${keras} in Keras from the same weights and images: not the same mathematics, no figure`,
  );
}

/** Times `run` in turn with the peer's `command`, after one burn-in of both. */
export async function measureInTurn(
  run: () => void,
  peer: { readonly keras: ReferencePeer | null; readonly command: 'step' | 'predict' },
  options: ClassifierOptions,
): Promise<Pick<ClassifierReport, 'machine' | 'options' | 'othersShareOfCpu' | 'busy' | 'sides' | 'ratio'>> {
  const { batch, repeats, allowBusy = false } = options;
  const { keras, command } = peer;
  const times = { ours: [] as number[], keras: [] as number[] };
  const others = watchOthers(keras === null ? [] : [keras.pid]);
  for (let i = 0; i < repeats + 1; i++) {
    const start = performance.now();
    run();
    const ours = performance.now() - start;
    const theirs = keras === null ? 0 : (await keras.ask<{ ms: number }>(command)).ms;
    if (i === 0) continue; // burn-in of both
    times.ours.push(ours);
    times.keras.push(theirs);
  }
  const share = others();
  checkShare(share, allowBusy);
  const side = (name: string, ms: Figures, peakRssBytes: number): ClassifierSide => ({
    ...{ name, ms, peakRssBytes },
    imagesPerSecond: (1000 * batch) / ms.median,
  });
  const sides = [side('echoforge', figuresOf(times.ours), process.resourceUsage().maxRSS * 1024)];
  if (keras !== null) {
    const { peakRssBytes } = await keras.ask<{ peakRssBytes: number }>('memory');
    sides.push(side('Keras', figuresOf(times.keras), peakRssBytes));
  }
  const [ours, theirs] = sides;
  return {
    ...{ machine: describeMachine(), options, othersShareOfCpu: share, busy: share > maxOthersShare, sides },
    ratio: ours && theirs ? ours.ms.median / theirs.ms.median : null,
  };
}

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
    row('images/s', ({ imagesPerSecond }) => imagesPerSecond.toFixed(2).padStart(9)),
    row('peak RSS, MB', ({ peakRssBytes }) => (peakRssBytes / 1e6).toFixed(0).padStart(9)),
  ];
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

import { createHash } from 'node:crypto';
import { loadEngine } from '../lib/engine/backend.ts';
import { executionOf } from '../lib/engine/compile.ts';
import { keepGraphsIn } from '../lib/engine/graph-cache.ts';
import { tf } from '../lib/engine/tf.ts';
import type { PhaseName } from '../lib/generator/cost.ts';
import { createMeasuredSteps, phases, runPhase, type StepOptions } from './measured-steps.ts';
import { describeMachine } from './quiet-machine.ts';

export interface GeneratorPhaseOptions extends StepOptions {
  /** All of them in turn when absent. */
  readonly phase?: PhaseName;
  readonly repeats: number;
  readonly graphCache?: string;
  readonly json?: true;
}

/**
 * A training on its first day, in a process of its own: what starting and loading take, each phase the first time
 * (recording included) and the last, memory after a tenth of the rounds, at the end and at its peak, and the hash of every
 * weight afterwards, by which two processes compare.
 */
export async function benchGeneratorPhase(options: GeneratorPhaseOptions): Promise<void> {
  keepGraphsIn(options.graphCache ?? null);
  await loadEngine();
  const engineSeconds = process.uptime();
  const measured = createMeasuredSteps(options);
  const builtSeconds = process.uptime();
  const chosen = options.phase === undefined ? phases : [options.phase];
  const times = Object.fromEntries(chosen.map((phase): [string, number[]] => [phase, []]));
  let early = memory();
  for (let i = 0; i < options.repeats; i++) {
    for (const phase of chosen) {
      const start = performance.now();
      runPhase(measured, phase, i);
      times[phase]?.push((performance.now() - start) / 1000);
    }
    if (i === Math.floor(options.repeats / 10)) early = memory();
  }
  const late = memory();
  const seconds = Object.fromEntries(
    Object.entries(times).map(([phase, taken]) => {
      return [phase, { first: taken[0] ?? Number.NaN, last: taken.at(-1) ?? Number.NaN }];
    }),
  );
  const hash = createHash('sha256');
  for (const variable of measured.state.variables) {
    const values = variable.dataSync<'float32'>();
    hash.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  const { precision, execution } = options;
  const report = {
    machine: describeMachine(),
    execution: executionOf({ precision, execution }),
    ...{ options, engineSeconds, builtSeconds, seconds, early, late },
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
    weightsSha256: hash.digest('hex'),
  };
  process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : asText(report));
}

interface Memory {
  readonly rssBytes: number;
  readonly tensors: number;
}

const memoryText = ({ rssBytes, tensors }: Memory): string => `${(rssBytes / 1e6).toFixed(0)} MB, ${tensors} tensors`;

const memory = (): Memory => ({ rssBytes: process.memoryUsage.rss(), tensors: tf.memory().numTensors });

function asText(report: {
  readonly machine: string;
  readonly execution: string;
  readonly engineSeconds: number;
  readonly builtSeconds: number;
  readonly seconds: Readonly<Record<string, { first: number; last: number }>>;
  readonly early: Memory;
  readonly late: Memory;
  readonly peakRssBytes: number;
  readonly weightsSha256: string;
}): string {
  const row = (label: string, value: string): string => `${label.padEnd(28)}${value}`;
  const lines = [
    report.machine,
    `execution ${report.execution}`,
    '',
    row('process to engine', `${report.engineSeconds.toFixed(1)} s`),
    row('process to first step', `${report.builtSeconds.toFixed(1)} s`),
    ...Object.entries(report.seconds).map(([phase, { first, last }]) =>
      row(`${phase}, first and last`, `${first.toFixed(2)} s, ${last.toFixed(2)} s`),
    ),
    row('after a tenth, at the end', `${memoryText(report.early)}; ${memoryText(report.late)}`),
    row('peak RSS', `${(report.peakRssBytes / 1e6).toFixed(0)} MB`),
    row('sha256 of the weights', report.weightsSha256.slice(0, 16)),
  ];
  return `${lines.join('\n')}\n`;
}

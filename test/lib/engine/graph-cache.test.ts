import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { loadEngine } from '../../../lib/engine/backend.ts';
import { compileStep } from '../../../lib/engine/compile.ts';
import { keepGraphsIn, writeGraph } from '../../../lib/engine/graph-cache.ts';
import { tf } from '../../../lib/engine/tf.ts';
import { createVariable } from '../../../lib/engine/variables.ts';
import { hasAvx512 } from '../../support/processor.ts';

beforeAll(loadEngine);

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'echoforge-graphs-'));
  keepGraphsIn(folder);
});
afterEach(() => {
  keepGraphsIn(null);
  rmSync(folder, { recursive: true });
});

let recordings = 0;

/** Two runs of total <- total + factor x in a new process, as far as a step can tell. */
function runStep(change: { factor?: number; size?: number; precision?: 'fp32' | 'bf16'; configured?: boolean } = {}) {
  const { factor = 2, size = 2, precision = 'fp32', configured = true } = change;
  const unused = createVariable('unused', [1], new Float32Array(1));
  const total = createVariable('total', [size], new Float32Array(size).fill(1));
  const step = compileStep({
    name: 'accumulate',
    settings: { precision, execution: 'graph' },
    ...(configured && { configuration: { factor } }),
    variables: [unused, total],
    inputs: { x: { shape: [size], dtype: 'float32' } },
    step: ({ x }) => {
      recordings++;
      const matrix = tf.matMul(tf.reshape(x!, [size, 1]), tf.scalar(factor).reshape([1, 1]));
      total.assign(tf.add(total, tf.reshape(matrix, [size])));
      return { y: tf.sub(total, x!) };
    },
  });
  const before = recordings;
  const x = tf.tensor1d(Array.from({ length: size }, (_, i) => i + 1));
  const [first, second] = [0, 1].map(() => [...step.run({ x })['y']!.dataSync()]);
  const result = { first, second, total: [...total.dataSync()], recorded: recordings > before };
  step.dispose();
  total.dispose();
  unused.dispose();
  return result;
}

const entry = (): string => join(folder, readdirSync(folder)[0]!);
const fresh = { first: [2, 3], second: [4, 7], total: [5, 9] };

describe('the cache of graphs', () => {
  it('gives a later process the graph without recording it, with the same results', () => {
    expect(runStep()).toEqual({ ...fresh, recorded: true });
    expect(runStep()).toEqual({ ...fresh, recorded: false });
    expect(readdirSync(folder)).toHaveLength(1);
  });

  const reduced = hasAvx512 ? [[{ precision: 'bf16' }] as const] : [];
  it.each([[{ factor: 3 }], [{ size: 3 }], ...reduced] as const)('records anew with %j', (change) => {
    runStep();
    expect(runStep(change).recorded).toBe(true);
    expect(readdirSync(folder)).toHaveLength(2);
  });

  it('keeps no step that does not say what it depends on', () => {
    runStep({ configured: false });
    expect(readdirSync(folder)).toEqual([]);
  });

  it.each<[string, () => void]>([
    [
      'a changed byte of its graph',
      () => {
        const file = join(entry(), 'saved_model.pb');
        const bytes = readFileSync(file);
        bytes[bytes.length >> 1]! ^= 1;
        writeFileSync(file, bytes);
      },
    ],
    [
      'a changed name of an output',
      () => {
        const file = join(entry(), 'step.json');
        writeFileSync(file, readFileSync(file, 'utf8').replace('"y"', '"z"'));
      },
    ],
    ['a description cut short', () => truncateSync(join(entry(), 'step.json'), 20)],
    ['no graph', () => rmSync(join(entry(), 'saved_model.pb'))],
  ])('makes an entry anew that has %s', (_, damage) => {
    runStep();
    damage();
    expect(runStep()).toEqual({ ...fresh, recorded: true });
    expect(runStep()).toEqual({ ...fresh, recorded: false });
  });

  it('does without where nothing can be written', () => {
    keepGraphsIn(join(entryOfFile(), 'graphs'));
    expect(runStep()).toEqual({ ...fresh, recorded: true });
  });

  it('leaves nothing behind where the disk is too small for a graph', () => {
    const largestFile = (bytes: string): unknown =>
      execFileSync('prlimit', [`--fsize=${bytes}:`, '--pid', String(process.pid)]);
    largestFile('100');
    try {
      writeGraph('key', new Uint8Array(1000), { feeds: [], fetches: [], reads: [], outputs: [], assigns: [] });
    } finally {
      largestFile('unlimited');
    }
    expect(readdirSync(folder)).toEqual([]);
  });

  it('removes what nothing read for 30 days', () => {
    runStep();
    const old = new Date(Date.now() - 31 * 24 * 3600 * 1000);
    utimesSync(entry(), old, old);
    runStep({ factor: 3 });
    expect(readdirSync(folder)).toHaveLength(1);
    expect(runStep({ factor: 3 }).recorded).toBe(false);
  });
});

/** A file, in which no folder can be made. */
function entryOfFile(): string {
  const file = join(folder, 'file');
  writeFileSync(file, '');
  return file;
}

import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { EngineContext, EngineEvent, EngineSettings, EngineTaskName, EngineTasks } from '../contract/engine.ts';
import { cacheDir } from '../infra/setup/paths.mjs';
import { trainClassifier } from '../lib/classifier/train.ts';
import { loadEngine } from '../lib/engine/backend.ts';
import { describeEngine } from '../lib/engine/fingerprint.ts';
import { keepGraphsIn } from '../lib/engine/graph-cache.ts';
import { trainGenerator } from '../lib/generator/train.ts';
import { generateImages } from '../lib/synthesis/generate-images.ts';
import { interpolateLatents } from '../lib/synthesis/interpolate-latents.ts';
import { measureFilter } from '../lib/synthesis/measure-filter.ts';
import { measureQuality, measureSnapshot } from '../lib/synthesis/measure-snapshot.ts';
import { mixStyles } from '../lib/synthesis/mix-styles.ts';
import { projectImage } from '../lib/synthesis/project-image.ts';
import { scoreShards } from '../lib/synthesis/score-shards.ts';
import { sweepTruncation } from '../lib/synthesis/sweep-truncation.ts';
import { synthesizeShards } from '../lib/synthesis/synthesize-shards.ts';
import { createLogger } from './config.ts';
import type { FromEngine, ToEngine } from './engine-protocol.ts';

/**
 * The process that owns TensorFlow. It is forked by a gpu worker, works on files in the work directory that it is given,
 * and ends when its parent is gone. One task at a time.
 */

type Implementation<T extends EngineTaskName> = (
  input: EngineTasks[T]['input'],
  context: EngineContext,
) => Promise<EngineTasks[T]['output']> | EngineTasks[T]['output'];

const implementations: { readonly [T in EngineTaskName]: Implementation<T> } = {
  describeEngine: (_input, context) => describeEngine(context.settings),
  trainGenerator,
  trainClassifier,
  measureSnapshot,
  measureQuality,
  measureFilter,
  synthesizeShards,
  generateImages,
  mixStyles,
  sweepTruncation,
  interpolateLatents,
  projectImage,
  scoreShards,
};

const taken = new Map<number, () => void>();
const stops = new Map<number, AbortController>();
let seq = 0;

function send(message: FromEngine): void {
  process.send?.(message);
}

/** Training blocks the event loop between emits: every emit lets messages in, so that stop and a lost parent are noticed. */
async function emit(id: number, event: EngineEvent): Promise<void> {
  const own = ++seq;
  send({ type: 'event', id, seq: own, event });
  if (event.type === 'progress') await setImmediate();
  else await new Promise<void>((resolve) => taken.set(own, resolve));
}

async function run(message: Extract<ToEngine, { type: 'run' }>): Promise<void> {
  const { id, task, input, workDir, labels } = message;
  const settings: EngineSettings = message.settings;
  const log = createLogger('engine').child({ ...labels, task });
  const stop = new AbortController();
  stops.set(id, stop);
  const started = performance.now();
  log.info('task started');
  try {
    // The union of tasks cannot be narrowed per key by the compiler; the protocol pairs each task with its input.
    const work = implementations[task] as Implementation<EngineTaskName>;
    const output = await work(input as never, {
      settings,
      workDir,
      signal: stop.signal,
      emit: (event) => emit(id, event),
    });
    log.info({ seconds: round((performance.now() - started) / 1000), ...memory() }, 'task done');
    send({ type: 'done', id, output });
  } catch (error) {
    const { name, message: text, stack } = error instanceof Error ? error : new Error(String(error));
    log.error({ err: error, ...memory() }, 'task failed');
    send({ type: 'failed', id, name, message: text, stack: stack ?? '' });
  } finally {
    stops.delete(id);
  }
}

const round = (seconds: number): number => Math.round(seconds * 1000) / 1000;
/** Peak resident memory of this process, MiB. */
const memory = (): { maxRssMiB: number } => ({ maxRssMiB: Math.round(process.resourceUsage().maxRSS / 1024) });

if (!process.send) {
  process.stderr.write('engine-process.ts is forked by workers/gpu.ts; start that instead\n');
  process.exit(2);
}
process.on('disconnect', () => process.exit(0));
process.on('message', (message: ToEngine) => {
  if (message.type === 'run') void run(message);
  else if (message.type === 'taken') {
    taken.get(message.seq)?.();
    taken.delete(message.seq);
  } else stops.get(message.id)?.abort();
});
// Ctrl-C reaches the whole process group; the worker decides when its engine ends.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);

keepGraphsIn(join(cacheDir(), 'graphs'));
await loadEngine();
send({ type: 'ready' });

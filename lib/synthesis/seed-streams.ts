import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { inputsForSeeds, type SeedInputs } from './seed-inputs.ts';

/** What the thread is asked for. */
export interface SeedRequest {
  readonly seeds: readonly number[];
  readonly latentSize: number;
  readonly noiseSizes: readonly number[];
}

/** Fewer blocks are done before a thread has started. */
const leastBlocks = 8;

/**
 * Inputs of every block of seeds in order, each drawn in another thread while the network works on the one before: 1.4 million
 * normal deviates for eight images of 256 px. Until the thread is there, and for few blocks, they are drawn here.
 * @throws Error when the thread fails
 */
export async function* seedStreams(
  blocks: readonly (readonly number[])[],
  { latentSize, noiseSizes }: Pick<SeedRequest, 'latentSize' | 'noiseSizes'>,
): AsyncGenerator<SeedInputs> {
  const thread = blocks.length < leastBlocks ? null : startThread();
  try {
    let ahead: Promise<SeedInputs> | null = null;
    for (const [i, seeds] of blocks.entries()) {
      const inputs: SeedInputs = ahead === null ? inputsForSeeds({ seeds, latentSize, noiseSizes }) : await ahead;
      const next = blocks[i + 1];
      ahead = next === undefined ? null : (thread?.draw({ seeds: next, latentSize, noiseSizes }) ?? null);
      yield inputs;
    }
  } finally {
    await thread?.end();
  }
}

interface SeedThread {
  /** Null before the thread is there. One request at a time. */
  readonly draw: (request: SeedRequest) => Promise<SeedInputs> | null;
  readonly end: () => Promise<unknown>;
}

function startThread(): SeedThread {
  const worker = new Worker(new URL('seed-thread.mjs', import.meta.url), { execArgv: [] });
  let ready = false;
  let failure: unknown = null;
  worker.once('message', () => (ready = true)); // the first says so
  worker.on('error', (error) => (failure = error));
  return {
    draw: (request) => {
      if (failure !== null) throw new Error('the thread that draws the inputs of seeds failed', { cause: failure });
      if (!ready) return null;
      const answer = once(worker, 'message').then(([inputs]) => inputs as SeedInputs); // what seed-thread.ts sends
      answer.catch(() => undefined); // awaited later
      worker.postMessage(request);
      return answer;
    },
    end: () => worker.terminate(),
  };
}

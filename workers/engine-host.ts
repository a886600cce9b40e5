import { fork, type ChildProcess } from 'node:child_process';
import type { Logger } from 'pino';
import type { EnginePhase, EngineRunner } from '../contract/engine.ts';
import type { TimeoutProfileName } from '../contract/timeouts.ts';
import type { FromEngine, ToEngine } from './engine-protocol.ts';

/** Thrown when the engine process ended before its task did, or gave no sign of life for too long. Worth another attempt. */
export class EngineLostError extends Error {
  override readonly name = 'EngineLostError';
}

const minute = 60_000;

/** Longest silence per phase, ms: one iteration, one trace, one checkpoint on a slow device. */
const stallLimits: Readonly<Record<TimeoutProfileName, Readonly<Record<EnginePhase, number>>>> = {
  production: {
    load: 5 * minute,
    trace: 30 * minute,
    train: 15 * minute,
    checkpoint: 10 * minute,
    measure: 15 * minute,
    synthesize: 15 * minute,
    score: 15 * minute,
  },
  test: {
    load: 2 * minute,
    trace: 2 * minute,
    train: minute,
    checkpoint: minute,
    measure: minute,
    synthesize: minute,
    score: minute,
  },
};

interface Engine {
  readonly group: string;
  readonly child: ChildProcess;
  readonly ready: Promise<void>;
  lastUsed: number;
}

export interface EngineHost extends EngineRunner {
  /** Process ids of the warm engine processes, newest use last. */
  readonly pids: () => number[];
  readonly close: () => void;
}

interface HostOptions {
  readonly entry: URL;
  readonly log: Logger;
  readonly timeouts: TimeoutProfileName;
  /** Warm engine processes kept at most; tasks run one at a time all the same. */
  readonly maxProcesses: number;
}

/**
 * Forks engine processes, one per group of tasks (a training, or inference), and relays tasks to them one at a time. The
 * process used least recently goes when there are too many: fresh processes give back what TensorFlow's allocator keeps.
 */
export function createEngineHost(options: HostOptions): EngineHost {
  const engines = new Map<string, Engine>();
  const limits = stallLimits[options.timeouts];
  let uses = 0;
  let nextId = 0;
  let last: Promise<unknown> = Promise.resolve();

  const drop = (engine: Engine): void => {
    if (engines.get(engine.group) === engine) engines.delete(engine.group);
    engine.child.kill('SIGKILL');
  };

  const acquire = (group: string): Engine => {
    const warm = engines.get(group);
    if (warm) {
      warm.lastUsed = ++uses;
      return warm;
    }
    while (engines.size >= options.maxProcesses) {
      const oldest = [...engines.values()].reduce((a, b) => (a.lastUsed <= b.lastUsed ? a : b));
      drop(oldest);
    }
    const child = fork(options.entry, [], { execArgv: ['--import', 'tsx', '--expose-gc'] });
    const ready = new Promise<void>((resolve, reject) => {
      child.once('message', () => resolve());
      child.once('exit', (code, signal) => reject(new EngineLostError(describeExit(code, signal))));
      child.once('error', (error) => reject(new EngineLostError(`the engine process did not start: ${error.message}`)));
    });
    ready.catch(() => undefined); // reported by the task that waits for it
    const engine: Engine = { group, child, ready, lastUsed: ++uses };
    engines.set(group, engine);
    child.once('exit', (code, signal) => {
      if (engines.get(group) === engine) engines.delete(group);
      options.log.info({ group, code, signal, pid: child.pid }, 'engine process ended');
    });
    options.log.info({ group, pid: child.pid }, 'engine process started');
    return engine;
  };

  const execute: EngineRunner['run'] = async (task, input, { settings, workDir, group, signal, labels, onEvent }) => {
    signal.throwIfAborted();
    const engine = acquire(group);
    const { child } = engine;
    const id = ++nextId;
    return await new Promise((resolve, reject) => {
      let stall: NodeJS.Timeout | undefined;
      const settle = (finish: () => void): void => {
        clearTimeout(stall);
        child.off('message', onMessage);
        child.off('exit', onExit);
        signal.removeEventListener('abort', onAbort);
        finish();
      };
      const lose = (message: string): void =>
        settle(() => {
          drop(engine);
          reject(new EngineLostError(message));
        });
      const watch = (phase: EnginePhase): void => {
        clearTimeout(stall);
        const limit = limits[phase];
        stall = setTimeout(() => {
          lose(`the engine process gave no sign of life for ${limit / 1000} s in phase "${phase}"`);
        }, limit);
      };
      const post = (message: ToEngine): void => {
        if (child.connected) child.send(message);
      };
      const onMessage = (message: FromEngine): void => {
        if (message.type === 'ready' || message.id !== id) return;
        if (message.type === 'done') {
          // The engine process paired output and task; JSON has no types.
          settle(() => resolve(message.output as never));
        } else if (message.type === 'failed') {
          const error = Object.assign(new Error(message.message), { name: message.name, stack: message.stack });
          settle(() => reject(error));
        } else {
          const { event, seq } = message;
          watch(event.type === 'progress' ? event.phase : 'train');
          if (event.type !== 'progress') clearTimeout(stall); // it waits for us now
          onEvent(event).then(
            () => {
              if (event.type === 'progress') return;
              watch('train');
              post({ type: 'taken', seq });
            },
            (error: unknown) =>
              settle(() => {
                drop(engine); // it waits for an answer that will not come
                reject(error instanceof Error ? error : new Error(String(error)));
              }),
          );
        }
      };
      const onExit = (code: number | null, killed: NodeJS.Signals | null): void => lose(describeExit(code, killed));
      const onAbort = (): void => post({ type: 'stop', id });
      child.on('message', onMessage);
      child.on('exit', onExit);
      signal.addEventListener('abort', onAbort);
      watch('load');
      engine.ready.then(
        () => {
          watch('load');
          post({ type: 'run', id, task, input, settings, workDir, labels });
          if (signal.aborted) onAbort();
        },
        (error: unknown) => settle(() => reject(error instanceof Error ? error : new Error(String(error)))),
      );
    });
  };

  return {
    run: (task, input, runOptions) => {
      // One task at a time: a device has one training's worth of memory.
      const { signal } = runOptions;
      let begun = false;
      const begin = async () => {
        begun = true;
        return await execute(task, input, runOptions);
      };
      const mine = last.then(begin, begin);
      last = mine;
      // Whoever only waits can stop at once; a training of another queue may go on for days.
      return new Promise((resolve, reject) => {
        const giveUp = (): void => {
          if (!begun) reject(signal.reason as Error);
        };
        signal.addEventListener('abort', giveUp);
        void mine.then(resolve, reject).finally(() => signal.removeEventListener('abort', giveUp));
      });
    },
    pids: () => [...engines.values()].sort((a, b) => a.lastUsed - b.lastUsed).flatMap(({ child }) => child.pid ?? []),
    close: () => {
      for (const engine of engines.values()) drop(engine);
    },
  };
}

function describeExit(code: number | null, signal: NodeJS.Signals | null): string {
  const how = signal === null ? `with code ${code}` : `by ${signal}`;
  const hint =
    signal === 'SIGKILL' ? '; if nobody killed it, the machine ran out of memory (see docs/operating.md)' : '';
  return `the engine process ended ${how}${hint}`;
}

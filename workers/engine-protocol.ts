import type { EngineEvent, EngineSettings, EngineTaskName } from '../contract/engine.ts';

/** Messages between a gpu worker and the engine process that it forks. JSON over Node's IPC channel. */

export type ToEngine =
  | {
      readonly type: 'run';
      readonly id: number;
      readonly task: EngineTaskName;
      readonly input: unknown;
      readonly settings: EngineSettings;
      readonly workDir: string;
      readonly labels: Readonly<Record<string, string | number>>;
    }
  /** The worker took over the files of an event that carries some. */
  | { readonly type: 'taken'; readonly seq: number }
  /** End at the next iteration, leaving a checkpoint. */
  | { readonly type: 'stop'; readonly id: number };

export type FromEngine =
  | { readonly type: 'ready' }
  | { readonly type: 'event'; readonly id: number; readonly seq: number; readonly event: EngineEvent }
  | { readonly type: 'done'; readonly id: number; readonly output: unknown }
  | {
      readonly type: 'failed';
      readonly id: number;
      readonly name: string;
      readonly message: string;
      readonly stack: string;
    };

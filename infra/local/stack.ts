import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import type { TimeoutProfileName } from '../../contract/timeouts.ts';
import { findIdleQueues } from '../../workers/idle-queues.ts';
import { choosePorts, defaultPorts, type Ports } from './ports.ts';
import {
  findStackProcesses,
  killStackProcesses,
  signalQuietly,
  stackMark,
  supervise,
  type Supervised,
} from './processes.ts';
import { readSecrets, type Secrets } from './secrets.ts';
import { bucket, prepareStore, region } from './store-server.ts';
import { prepareTemporal, temporalArguments } from './temporal-server.ts';

/** Temporal, MinIO and the three workers on this machine, each started again when it dies. */

export type ProcessName = 'temporal' | 'minio' | 'control' | 'cpu' | 'gpu' | 'engine';

export interface Stack {
  /** What a worker, the `temporal` command and `echoforge` need to reach this stack. */
  readonly env: Readonly<Record<string, string>>;
  readonly ports: Ports;
  readonly pids: () => Record<string, number>;
  /** Signals one part; `engine` is every engine process of the gpu worker. */
  readonly kill: (name: ProcessName, signal: NodeJS.Signals) => Promise<void>;
  /** All parts, workers first. State stays in `home`. */
  readonly stop: () => Promise<void>;
}

export interface StackOptions {
  readonly home: string;
  readonly tools: { readonly temporal: string; readonly minio: string };
  /** Wanted ports; taken ones are replaced. Default: 7233, 8233, 9000, 9001. */
  readonly ports?: Ports;
  /** Default: production. */
  readonly timeouts?: TimeoutProfileName;
  /** Default: true. */
  readonly workers?: boolean;
  readonly say: (line: string) => void;
}

const root = fileURLToPath(new URL('../..', import.meta.url));

const graceMs = 30_000;
/** An iteration at 256 px takes minutes without a GPU; the gpu worker itself gives up after five (workers/gpu.ts). */
const trainingGraceMs: Readonly<Record<TimeoutProfileName, number>> = { production: 330_000, test: graceMs };
/** Workers first, then servers. */
export const longestStopMs = trainingGraceMs.production + graceMs;

/** Starts everything that `home` held before, or a new stack; returns when all parts answer. */
export async function startStack(options: StackOptions): Promise<Stack> {
  const { home, tools, say, timeouts = 'production', workers = true } = options;
  await mkdir(join(home, 'logs'), { recursive: true });
  const orphans = await killStackProcesses(home);
  if (orphans > 0) say(`ended ${orphans} processes that an earlier stack left behind`);
  const ports = await choosePorts(options.ports ?? defaultPorts);
  const secrets = await readSecrets(home);
  const env = stackEnvironment({ home, ports, secrets, timeouts });
  const parts: Supervised[] = [];
  const start = (name: ProcessName, command: string, args: readonly string[], extra: NodeJS.ProcessEnv = {}): void => {
    const environment = { ...process.env, ...env, [stackMark]: home, ...extra };
    parts.push(supervise({ name, command, args, env: environment, logFile: join(home, 'logs', `${name}.log`) }, say));
  };
  const stop = async (): Promise<void> => {
    const graceOf = ({ name }: Supervised): number => (name === 'gpu' ? trainingGraceMs[timeouts] : graceMs);
    await Promise.all(parts.slice(2).map((part) => part.stop(graceOf(part))));
    await Promise.all(parts.slice(0, 2).map((part) => part.stop(graceMs)));
    await killStackProcesses(home);
  };
  try {
    const endpoint = `http://127.0.0.1:${ports.minio}`;
    const address = `127.0.0.1:${ports.temporal}`;
    start('temporal', tools.temporal, temporalArguments({ ports, dbFile: join(home, 'temporal.db') }));
    const data = join(home, 'minio');
    start(
      'minio',
      tools.minio,
      [
        'server',
        '--quiet',
        '--address',
        `127.0.0.1:${ports.minio}`,
        '--console-address',
        `127.0.0.1:${ports.console}`,
        data,
      ],
      {
        MINIO_ROOT_USER: secrets.rootUser,
        MINIO_ROOT_PASSWORD: secrets.rootPassword,
        MINIO_UPDATE: 'off',
      },
    );
    await Promise.all([prepareTemporal(address), prepareStore({ endpoint, secrets })]);
    if (workers) {
      for (const name of ['control', 'cpu', 'gpu'] as const)
        start(name, process.execPath, ['--import', 'tsx', join(root, 'workers', `${name}.ts`)]);
      await untilPolled(address);
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    env,
    ports,
    stop,
    pids: () =>
      Object.fromEntries(
        parts.flatMap(({ name, pid }) => (pid() === null ? [] : [[name, pid()]])) as [string, number][],
      ),
    kill: async (name, signal) => {
      if (name === 'engine') for (const pid of await enginePids(home)) signalQuietly(pid, signal);
      else parts.find((part) => part.name === name)?.kill(signal);
    },
  };
}

/** Engine processes of the stack's gpu worker. */
export async function enginePids(home: string): Promise<number[]> {
  return (await findStackProcesses(home))
    .filter(({ command }) => command.includes('engine-process.ts'))
    .map(({ pid }) => pid);
}

function stackEnvironment(options: {
  readonly home: string;
  readonly ports: Ports;
  readonly secrets: Secrets;
  readonly timeouts: TimeoutProfileName;
}): Record<string, string> {
  const { home, ports, secrets, timeouts } = options;
  return {
    TEMPORAL_ADDRESS: `127.0.0.1:${ports.temporal}`,
    TEMPORAL_NAMESPACE: 'default',
    S3_ENDPOINT: `http://127.0.0.1:${ports.minio}`,
    S3_REGION: region,
    S3_BUCKET: bucket,
    S3_ACCESS_KEY_FILE: secrets.workerAccessKeyFile,
    S3_SECRET_KEY_FILE: secrets.workerSecretKeyFile,
    ECHOFORGE_HOME: home,
    ECHOFORGE_WORK_DIR: join(home, 'work'),
    ECHOFORGE_TIMEOUTS: timeouts,
  };
}

/** A worker is ready when Temporal sees it poll. */
async function untilPolled(address: string): Promise<void> {
  const connection = await Connection.connect({ address });
  const client = new Client({ connection });
  try {
    const deadline = Date.now() + 120_000;
    for (;;) {
      const idle = await findIdleQueues(client, ['control', 'cpu', 'gpu']);
      if (idle.length === 0) return;
      if (Date.now() > deadline)
        throw new Error(`no worker polls ${idle.join(', ')} after 120 s; the logs of the workers say why`);
      await sleep(300);
    }
  } finally {
    await connection.close();
  }
}

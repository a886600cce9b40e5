import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { Client, Connection } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime } from '@temporalio/worker';
import { destination, pino, type Logger } from 'pino';
import { z } from 'zod';
import { ConfigurationError } from '../lib/errors.ts';
import { openMinioStore } from '../lib/storage/minio.ts';
import type { ObjectStore } from '../lib/storage/object-store.ts';

/** Environment of the workers and the command line tool. Every variable is listed in docs/operating.md. */

const environmentSchema = z.object({
  S3_ENDPOINT: z.url({ protocol: /^https?$/, error: 'expected a URL such as http://127.0.0.1:9000' }),
  S3_REGION: z.string().default('us-east-1'),
  S3_BUCKET: z.string().default('echoforge'),
  ECHOFORGE_TIMEOUTS: z.enum(['production', 'test']).default('production'),
  ECHOFORGE_WORK_DIR: z.string().default('.echoforge/work'),
  ECHOFORGE_QUEUES: z
    .string()
    .default('gpu')
    .transform((list) => list.split(',').map((queue) => queue.trim())),
  ECHOFORGE_ENGINE_PROCESSES: z.coerce.number().int().min(1).default(1),
  ECHOFORGE_CACHE_BYTES: z.coerce
    .number()
    .int()
    .min(1)
    .default(20 * 2 ** 30),
});
export type Environment = z.output<typeof environmentSchema>;

/** @throws ConfigurationError naming every variable that is missing or malformed. */
export function readEnvironment(env: NodeJS.ProcessEnv = process.env): Environment {
  const parsed = environmentSchema.safeParse(env);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => `  ${issue.path.join('.')}: ${issue.message}`);
  throw new ConfigurationError(
    `environment refused (the local stack sets it: eval "$(npm run -s env)"):\n${problems.join('\n')}`,
  );
}

/** A secret by value or, as containers hand them over, by file. */
function secret(name: 'S3_ACCESS_KEY' | 'S3_SECRET_KEY'): string {
  const file = process.env[`${name}_FILE`];
  const value = process.env[name] ?? (file === undefined ? undefined : readFileSync(file, 'utf8').trim());
  if (value === undefined || value === '')
    throw new ConfigurationError(`expected ${name} or ${name}_FILE, found neither`);
  return value;
}

export function openStore(environment: Environment): ObjectStore {
  return openMinioStore({
    endpoint: environment.S3_ENDPOINT,
    region: environment.S3_REGION,
    bucket: environment.S3_BUCKET,
    accessKey: secret('S3_ACCESS_KEY'),
    secretKey: secret('S3_SECRET_KEY'),
  });
}

/** JSON lines on stderr, synchronously: a killed process leaves whole lines. */
export function createLogger(process_: string): Logger {
  return pino(
    { level: process.env['LOG_LEVEL'] ?? 'info', base: { process: process_, pid: process.pid, host: hostname() } },
    destination({ fd: 2, sync: true }),
  );
}

/** Routes the logs of Temporal's SDK through pino. */
export function installRuntime(log: Logger): void {
  Runtime.install({
    logger: new DefaultLogger('INFO', ({ level, message, meta }) => {
      const write = { TRACE: 'trace', DEBUG: 'debug', INFO: 'info', WARN: 'warn', ERROR: 'error' } as const;
      const { error, ...fields } = { ...meta };
      log[write[level]]({ ...plain(fields), ...(error === undefined ? {} : { err: error }) }, message);
    }),
    shutdownSignals: ['SIGINT', 'SIGTERM'],
  });
}

/** Without what JSON cannot carry (bigint, symbols). */
function plain(fields: Record<string | symbol, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [key, typeof value === 'bigint' ? value.toString() : value]),
  );
}

/** Address, namespace, TLS and API key from the environment or a profile (TEMPORAL_*, TEMPORAL_PROFILE). */
export async function connectWorker(): Promise<{ connection: NativeConnection; namespace: string }> {
  const config = loadClientConnectConfig();
  const connection = await NativeConnection.connect(config.connectionOptions);
  return { connection, namespace: config.namespace ?? 'default' };
}

export async function connectClient(): Promise<Client> {
  const config = loadClientConnectConfig();
  const connection = await Connection.connect(config.connectionOptions);
  return new Client({ connection, namespace: config.namespace ?? 'default' });
}

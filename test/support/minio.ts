import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { Client } from 'minio';
import type { MinioOptions } from '../../lib/storage/minio-client.ts';

/** A real MinIO server with one bucket, on a free loopback port, in a directory of its own. */
export interface TestMinio {
  readonly options: MinioOptions;
  readonly pid: () => number;
  /** kill -9. */
  readonly kill: () => Promise<void>;
  /** Starts it again on the same port and data. */
  readonly start: () => Promise<void>;
  /** Ends it and removes its data. */
  readonly stop: () => Promise<void>;
}

export async function startMinio(): Promise<TestMinio> {
  const binary = await findMinio();
  const dir = await mkdtemp(join(tmpdir(), 'echoforge-minio-'));
  const port = await freePort();
  const options: MinioOptions = {
    endpoint: `http://127.0.0.1:${port}`,
    region: 'us-east-1',
    bucket: 'echoforge-test',
    accessKey: `test-${randomBytes(6).toString('hex')}`,
    secretKey: randomBytes(16).toString('hex'),
  };
  let child: ChildProcess | null = null;

  const kill = async (): Promise<void> => {
    const running = child;
    child = null;
    if (!running || running.exitCode !== null || running.signalCode !== null) return;
    const gone = new Promise((resolve) => running.once('exit', resolve));
    running.kill('SIGKILL');
    await gone;
  };
  const start = async (): Promise<void> => {
    child = spawn(binary, ['server', '--quiet', '--address', `127.0.0.1:${port}`, join(dir, 'data')], {
      env: {
        PATH: process.env['PATH'],
        HOME: dir,
        MINIO_ROOT_USER: options.accessKey,
        MINIO_ROOT_PASSWORD: options.secretKey,
        MINIO_BROWSER: 'off',
        MINIO_UPDATE: 'off',
      },
      stdio: 'ignore',
    });
    child.on('error', () => undefined);
    await untilReady(options, child);
  };
  const stop = async (): Promise<void> => {
    await kill();
    await rm(dir, { recursive: true, force: true });
  };
  try {
    await start();
    await createBucket(options);
  } catch (error) {
    await stop();
    throw error;
  }
  return { options, kill, start, stop, pid: () => child?.pid ?? -1 };
}

async function createBucket({ endpoint, region, bucket, accessKey, secretKey }: MinioOptions): Promise<void> {
  const { hostname, port } = new URL(endpoint);
  const client = new Client({ endPoint: hostname, port: Number(port), useSSL: false, region, accessKey, secretKey });
  await client.makeBucket(bucket, region);
}

async function untilReady({ endpoint }: MinioOptions, child: ChildProcess): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (Date.now() < deadline) {
    if (child.exitCode !== null) throw new Error(`minio ended at once with exit code ${child.exitCode}`);
    const ready = await fetch(`${endpoint}/minio/health/cluster`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (ready) return;
    await sleep(50);
  }
  throw new Error(`minio did not become ready at ${endpoint} within 30 s`);
}

/** `ECHOFORGE_MINIO`, then what the set-up installed, then PATH. */
async function findMinio(): Promise<string> {
  const named = process.env['ECHOFORGE_MINIO'];
  if (named !== undefined && named !== '') return named;
  const tools = new URL('../../infra/setup/tools.mjs', import.meta.url);
  if (existsSync(tools)) {
    // Plain JavaScript that may not be there: its type is what infra/setup/README.md promises.
    const module = (await import(pathToFileURL(tools.pathname).href)) as {
      resolveTools: () => Promise<{ minio: string }>;
    };
    return (await module.resolveTools()).minio;
  }
  for (const dir of (process.env['PATH'] ?? '').split(delimiter))
    for (const name of ['minio', 'silo']) if (dir !== '' && existsSync(join(dir, name))) return join(dir, name);
  throw new Error(
    'expected a minio server in ECHOFORGE_MINIO, in the set-up or on PATH, found none; run: npm run setup',
  );
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string')
    throw new Error('expected a TCP address of the listening socket');
  return address.port;
}

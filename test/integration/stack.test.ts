import { execFile } from 'node:child_process';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Client as MinioClient } from 'minio';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { searchAttributes } from '../../contract/names.ts';
import { freePorts } from '../../infra/local/ports.ts';
import { startStack, type Stack } from '../../infra/local/stack.ts';
import { resolveTools } from '../../infra/setup/tools.mjs';
import { openMinioStore } from '../../lib/storage/minio.ts';
import type { ObjectStore } from '../../lib/storage/object-store.ts';
import { createRunner } from '../support/study-runner.ts';

/** The local stack as `npm run up` starts it: who may do what, what the server is told, what survives. */
const env = inject('stackEnv');
const secret = async (home: string, name: string): Promise<string> =>
  await readFile(join(home, 'secrets', name), 'utf8');

describe('the store', () => {
  const home = inject('stackHome');
  const clientWith = async (user: string, password: string): Promise<MinioClient> => {
    const { hostname, port } = new URL(env['S3_ENDPOINT'] ?? '');
    const keys = { accessKey: await secret(home, user), secretKey: await secret(home, password) };
    return new MinioClient({ endPoint: hostname, port: Number(port), useSSL: false, region: 'us-east-1', ...keys });
  };
  const bucket = env['S3_BUCKET'] ?? '';

  it('keeps secrets in files that only their owner can read', async () => {
    const names = await readdir(join(home, 'secrets'));
    expect(names.sort()).toEqual(['minio-root-password', 'minio-root-user', 'worker-access-key', 'worker-secret-key']);
    for (const name of names) expect((await stat(join(home, 'secrets', name))).mode & 0o777, name).toBe(0o600);
  });

  it('gives the workers the objects of one bucket and nothing else', async () => {
    const root = await clientWith('minio-root-user', 'minio-root-password');
    const worker = await clientWith('worker-access-key', 'worker-secret-key');
    await root.makeBucket('somebody-elses');
    try {
      await root.putObject('somebody-elses', 'secret', 'x');
      await worker.putObject(bucket, 'allowed', 'x');
      await worker.removeObject(bucket, 'allowed');
      const denied = { code: 'AccessDenied' };
      await expect(worker.getObject('somebody-elses', 'secret')).rejects.toMatchObject(denied);
      await expect(worker.putObject('somebody-elses', 'mine', 'x')).rejects.toMatchObject(denied);
      await expect(worker.makeBucket('another')).rejects.toMatchObject(denied);
      await expect(worker.removeBucket(bucket)).rejects.toMatchObject(denied);
      await expect(worker.setBucketVersioning(bucket, { Status: 'Suspended' })).rejects.toMatchObject(denied);
      await expect(worker.setBucketPolicy(bucket, '{}')).rejects.toMatchObject(denied);
    } finally {
      await root.removeObject('somebody-elses', 'secret');
      await root.removeBucket('somebody-elses');
    }
  });

  it('keeps replaced pointers for three days and unfinished uploads for one', async () => {
    const root = await clientWith('minio-root-user', 'minio-root-password');
    expect(await root.getBucketVersioning(bucket)).toMatchObject({ Status: 'Enabled' });
    const rules = JSON.stringify(await root.getBucketLifecycle(bucket));
    expect(rules).toMatch(/"NoncurrentDays":"?3/);
    expect(rules).toMatch(/staging\/.*"Days":"?1/);
  });
});

describe('Temporal', () => {
  it('keeps finished studies for 30 days', async () => {
    const { temporal } = await createRunner(env);
    const namespace = await temporal('operator', 'namespace', 'describe', '--namespace', 'default', '-o', 'json');
    expect(namespace).toMatch(/"workflowExecutionRetentionTtl":\s*"(2592000s|720h0m0s)"/);
  });

  it('knows the search attributes by their types', async () => {
    const { temporal } = await createRunner(env);
    const listed = await temporal('operator', 'search-attribute', 'list', '--namespace', 'default');
    for (const [name, type] of Object.entries(searchAttributes))
      expect(listed).toMatch(new RegExp(`\\b${name}\\s+${type}\\b`));
  });

  it('lists the workers with their queues, which a server of its defaults does not', async () => {
    const { temporal } = await createRunner(env);
    const listed = async (): Promise<string> => await temporal('worker', 'list', '-o', 'json');
    for (const queue of ['control', 'cpu', 'gpu'])
      await expect.poll(listed, { timeout: 90_000, interval: 2_000 }).toContain(`"${queue}"`);
  });
});

describe('a stack of its own', () => {
  let stack: Stack;
  let home = '';
  const begin = async (): Promise<Stack> => {
    const options = { home, tools: await resolveTools(), ports: await freePorts(), timeouts: 'test' as const };
    return await startStack({ ...options, workers: false, say: () => undefined });
  };
  const storeOf = async ({ env: own }: Stack): Promise<ObjectStore> =>
    openMinioStore({
      ...{ endpoint: own['S3_ENDPOINT'] ?? '', region: own['S3_REGION'] ?? '', bucket: own['S3_BUCKET'] ?? '' },
      accessKey: await secret(home, 'worker-access-key'),
      secretKey: await secret(home, 'worker-secret-key'),
    });
  beforeAll(async () => {
    home = `${inject('stackHome')}-second`;
    stack = await begin();
  });
  afterAll(async () => {
    await stack?.stop();
    await promisify(execFile)('rm', ['-rf', home]);
  });

  it('brings back a part that was killed', async () => {
    const { minio: before } = stack.pids();
    await stack.kill('minio', 'SIGKILL');
    await expect.poll(() => stack.pids()['minio'] ?? before, { timeout: 20_000 }).not.toBe(before);
    const store = await storeOf(stack);
    await store.put('after-a-kill', Buffer.from('x'));
  });

  it('holds its objects, workflows and secrets after kill -9 of everything and a new start', async () => {
    await (await storeOf(stack)).put('kept', Buffer.from('bytes'));
    const before = await createRunner(stack.env);
    const id = ['--workflow-id', 'study/kept'];
    await before.temporal('workflow', 'start', '--type', 'study', '--task-queue', 'control', ...id, '--input', '{}');
    const keys = await secret(home, 'worker-secret-key');
    await sleep(500);
    for (const pid of Object.values(stack.pids())) process.kill(pid, 'SIGKILL');
    await stack.stop();
    stack = await begin();
    expect((await (await storeOf(stack)).get('kept')).toString()).toBe('bytes');
    expect(await secret(home, 'worker-secret-key')).toBe(keys);
    const after = await createRunner(stack.env);
    expect(await after.temporal('workflow', 'describe', '-w', 'study/kept', '-o', 'json')).toMatch(/STATUS_RUNNING/);
  });
});

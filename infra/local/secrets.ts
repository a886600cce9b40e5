import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Generated once per home, in files that only their owner can read. */
export interface Secrets {
  readonly rootUser: string;
  readonly rootPassword: string;
  readonly workerAccessKey: string;
  readonly workerSecretKey: string;
  /** Files that the workers read theirs from. */
  readonly workerAccessKeyFile: string;
  readonly workerSecretKeyFile: string;
}

export async function readSecrets(home: string): Promise<Secrets> {
  const dir = join(home, 'secrets');
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const secret = async (name: string, create: () => string): Promise<string> => {
    const file = join(dir, name);
    await writeFile(file, create(), { mode: 0o600, flag: 'wx' }).catch((error: unknown) => {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    });
    return await readFile(file, 'utf8');
  };
  return {
    rootUser: await secret('minio-root-user', () => `root-${randomBytes(6).toString('hex')}`),
    rootPassword: await secret('minio-root-password', () => randomBytes(24).toString('hex')),
    workerAccessKey: await secret('worker-access-key', () => `worker-${randomBytes(6).toString('hex')}`),
    workerSecretKey: await secret('worker-secret-key', () => randomBytes(20).toString('hex')),
    workerAccessKeyFile: join(dir, 'worker-access-key'),
    workerSecretKeyFile: join(dir, 'worker-secret-key'),
  };
}

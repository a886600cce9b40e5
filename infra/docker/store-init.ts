import { readFile } from 'node:fs/promises';
import { prepareStore } from '../local/store-server.ts';
import { ConfigurationError } from '../../lib/errors.ts';

/** One-shot: bucket, versioning, life cycle and the workers' user in the MinIO of docker-compose.yml. Safe to repeat. */

const workerAccessKeyFile = named('S3_ACCESS_KEY_FILE');
const workerSecretKeyFile = named('S3_SECRET_KEY_FILE');
await prepareStore({
  endpoint: named('S3_ENDPOINT'),
  secrets: {
    rootUser: await read(named('MINIO_ROOT_USER_FILE')),
    rootPassword: await read(named('MINIO_ROOT_PASSWORD_FILE')),
    workerAccessKey: await read(workerAccessKeyFile),
    workerSecretKey: await read(workerSecretKeyFile),
    workerAccessKeyFile,
    workerSecretKeyFile,
  },
});
console.log('store is ready');

function named(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === '')
    throw new ConfigurationError(`expected ${name} in the environment, found none`);
  return value;
}

async function read(file: string): Promise<string> {
  return (await readFile(file, 'utf8')).trim();
}

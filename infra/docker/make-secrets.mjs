import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

/**
 * Writes the secrets that docker-compose.yml mounts, each once; plain Node, because the host may have nothing else.
 * The folder is closed to others and the files are not: containers of other users read them through their mounts.
 */
const dir = resolve(process.argv[2] ?? '.echoforge/docker-secrets');
const secrets = {
  'minio-root-user': () => `root-${randomBytes(6).toString('hex')}`,
  'minio-root-password': () => randomBytes(24).toString('hex'),
  'worker-access-key': () => `worker-${randomBytes(6).toString('hex')}`,
  'worker-secret-key': () => randomBytes(20).toString('hex'),
  'postgres-password': () => randomBytes(24).toString('hex'),
};

await mkdir(dir, { recursive: true, mode: 0o700 });
for (const [name, create] of Object.entries(secrets)) {
  const written = await writeFile(join(dir, name), create(), { mode: 0o444, flag: 'wx' }).then(
    () => 'written',
    (error) => {
      if (error.code !== 'EEXIST') throw error;
      return 'kept';
    },
  );
  console.log(`${name}: ${written}`);
}

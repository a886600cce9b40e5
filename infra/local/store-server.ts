import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'minio';
import { openMinioStore } from '../../lib/storage/minio.ts';
import { probeStore } from '../../lib/storage/probe.ts';
import { createWorkerUser } from './minio-admin.ts';
import type { Secrets } from './secrets.ts';

export const region = 'us-east-1';
export const bucket = 'echoforge';

/** Waits for MinIO, then makes bucket, versioning, life cycle and the workers' user, and probes conditional writes as that user. */
export async function prepareStore({ endpoint, secrets }: { endpoint: string; secrets: Secrets }): Promise<void> {
  await untilHealthy(endpoint);
  const { hostname, port } = new URL(endpoint);
  const client = new Client({
    ...{ endPoint: hostname, port: Number(port), useSSL: false, region },
    ...{ accessKey: secrets.rootUser, secretKey: secrets.rootPassword },
  });
  if (!(await client.bucketExists(bucket))) await client.makeBucket(bucket, region);
  await client.setBucketVersioning(bucket, { Status: 'Enabled' });
  await client.setBucketLifecycle(bucket, { Rule: lifecycleRules });
  const [accessKey, secretKey] = [secrets.workerAccessKey, secrets.workerSecretKey];
  const admin = { endpoint, region, accessKey: secrets.rootUser, secretKey: secrets.rootPassword };
  await createWorkerUser(admin, { bucket, accessKey, secretKey });
  await probeStore(openMinioStore({ endpoint, region, bucket, accessKey, secretKey }));
}

/** Uploads that were never finished go after a day, replaced pointers and deleted checkpoints after three. */
const lifecycleRules = [
  { ID: 'staging', Status: 'Enabled', Filter: { Prefix: 'staging/' }, Expiration: { Days: 1 } },
  { ID: 'replaced', Status: 'Enabled', Filter: { Prefix: '' }, NoncurrentVersionExpiration: { NoncurrentDays: 3 } },
];

async function untilHealthy(endpoint: string): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (Date.now() < deadline) {
    const healthy = await fetch(`${endpoint}/minio/health/cluster`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (healthy) return;
    await sleep(100);
  }
  throw new Error(`MinIO did not become ready at ${endpoint} within 60 s; its log says why`);
}

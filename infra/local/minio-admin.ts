import { createCipheriv, pbkdf2Sync, randomBytes } from 'node:crypto';
import aws4 from 'aws4';

/**
 * The three calls of MinIO's admin API that give the workers a user of their own. MinIO's `mc` would be another server-sized
 * build, and its JavaScript client has no admin calls.
 */

export interface AdminCredentials {
  readonly endpoint: string;
  readonly region: string;
  readonly accessKey: string;
  readonly secretKey: string;
}

/** Creates or replaces a policy and a user that has only this policy. */
export async function createWorkerUser(
  admin: AdminCredentials,
  { bucket, accessKey, secretKey }: { readonly bucket: string; readonly accessKey: string; readonly secretKey: string },
): Promise<void> {
  const policy = 'echoforge-worker';
  await call(admin, 'PUT', `add-canned-policy?name=${policy}`, Buffer.from(JSON.stringify(workerPolicy(bucket))));
  const user = encrypt(admin.secretKey, Buffer.from(JSON.stringify({ secretKey, status: 'enabled' })));
  await call(admin, 'PUT', `add-user?accessKey=${accessKey}`, user);
  await call(admin, 'PUT', `set-user-or-group-policy?isGroup=false&policyName=${policy}&userOrGroup=${accessKey}`);
}

/** Objects of one bucket: read, write, delete, list. No bucket settings, no versions, no other bucket, no administration. */
export const workerPolicy = (bucket: string): object => ({
  Version: '2012-10-17',
  Statement: [
    { Effect: 'Allow', Action: ['s3:ListBucket', 's3:GetBucketLocation'], Resource: [`arn:aws:s3:::${bucket}`] },
    {
      Effect: 'Allow',
      Action: [
        's3:GetObject',
        's3:PutObject',
        's3:DeleteObject',
        's3:AbortMultipartUpload',
        's3:ListMultipartUploadParts',
      ],
      Resource: [`arn:aws:s3:::${bucket}/*`],
    },
  ],
});

async function call(
  { endpoint, region, accessKey, secretKey }: AdminCredentials,
  method: 'PUT' | 'POST',
  action: string,
  body: Buffer = Buffer.alloc(0),
): Promise<void> {
  const { host } = new URL(endpoint);
  const request = { host, method, path: `/minio/admin/v3/${action}`, service: 's3', region, body };
  const signed = aws4.sign(request, { accessKeyId: accessKey, secretAccessKey: secretKey });
  const headers = Object.entries(signed.headers ?? {}).map(([name, value]): [string, string] => [name, String(value)]);
  const response = await fetch(`${endpoint}${signed.path ?? ''}`, {
    method,
    headers: headers.filter(([name]) => !['host', 'content-length'].includes(name.toLowerCase())),
    body: new Uint8Array(body),
  });
  if (!response.ok)
    throw new Error(`MinIO refused ${action.split('?')[0] ?? ''}: ${response.status} ${await response.text()}`);
}

/**
 * The envelope that MinIO's admin API wants around secrets: salt (32), algorithm (2 = PBKDF2-SHA-256 and AES-256-GCM),
 * nonce (8), one sealed fragment. The fragment's associated data is 0x80 (last) and the seal of an empty fragment 0; its own
 * number is 1.
 */
function encrypt(password: string, data: Buffer): Buffer {
  const salt = randomBytes(32);
  const nonce = randomBytes(8);
  const key = pbkdf2Sync(password, salt, 8192, 32, 'sha256');
  const seal = (number: number, plain: Buffer, associated: Buffer): Buffer => {
    const counter = Buffer.alloc(4);
    counter.writeUInt32LE(number);
    const cipher = createCipheriv('aes-256-gcm', key, Buffer.concat([nonce, counter]));
    cipher.setAAD(associated);
    return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  };
  const associated = Buffer.concat([Buffer.from([0x80]), seal(0, Buffer.alloc(0), Buffer.alloc(0))]);
  return Buffer.concat([salt, Buffer.from([2]), nonce, seal(1, data, associated)]);
}

import { afterAll } from 'vitest';
import { openMinioStore } from '../../lib/storage/minio.ts';
import { storeContract } from '../lib/storage/contract.ts';
import { startMinio } from '../support/minio.ts';

const minio = await startMinio();
afterAll(() => minio.stop());

// 20 MB: three parts.
storeContract('minio', { open: () => openMinioStore(minio.options), largeBytes: 20_000_000 });

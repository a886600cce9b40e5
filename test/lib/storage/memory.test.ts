import { createMemoryStore } from '../../../lib/storage/memory.ts';
import { storeContract } from './contract.ts';

storeContract('memory', { open: createMemoryStore, largeBytes: 100_000 });

import { register } from 'tsx/esm/api';

// A thread does not inherit what reads TypeScript in its process.
register();
await import('./seed-thread.ts');

// Set-up first: without it there is no tsx to read the rest.
import { setup } from '../setup/setup.mjs';
await setup();
await import('tsx');
await import('./up.ts');

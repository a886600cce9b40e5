import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { setup } from '../infra/setup/setup.mjs';

// Set-up first, silent unless it fails: --json prints nothing else.
await setup({ log: () => undefined });

// One allocator setting for every measured process, read by the C library when a process starts: freed blocks are kept.
// Without it each large activation is mapped and cleared anew by the kernel, in either framework.
const keep = String(2 ** 32);
const allocator = { MALLOC_MMAP_THRESHOLD_: keep, MALLOC_TRIM_THRESHOLD_: keep };
const main = fileURLToPath(new URL('main.ts', import.meta.url));
const child = spawn(process.execPath, ['--import', 'tsx', main, ...process.argv.slice(2)], {
  stdio: 'inherit',
  env: { ...process.env, ...allocator },
});
child.on('close', (code) => (process.exitCode = code ?? 1));

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { setup } from '../infra/setup/setup.mjs';

// Set-up first, silent unless it fails: --json prints nothing else.
await setup({ log: () => undefined });

// One allocator setting for every measured process, read by the C library when a process starts: freed blocks are kept.
// Without it each large activation is mapped and cleared anew by the kernel, in either framework.
const allocator = { MALLOC_MMAP_MAX_: '0', MALLOC_TRIM_THRESHOLD_: String(2 ** 40), MALLOC_TOP_PAD_: String(2 ** 28) };
const main = fileURLToPath(new URL('main.ts', import.meta.url));
const child = spawn(process.execPath, ['--import', 'tsx', main, ...process.argv.slice(2)], {
  stdio: 'inherit',
  env: { ...process.env, ...allocator },
});
child.on('close', (code) => (process.exitCode = code ?? 1));

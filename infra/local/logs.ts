import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { homeDir } from '../setup/tools.mjs';

/** Follows the logs of all parts, or of those named: `npm run logs -- gpu`. */
const dir = join(homeDir(), 'logs');
const names = process.argv.slice(2);
const files = existsSync(dir) ? await readdir(dir) : [];
const wanted = files.filter((file) => names.length === 0 || names.includes(file.replace(/\.log$/, '')));
if (wanted.length === 0) {
  console.error(`No log of ${names.join(', ') || 'any part'} in ${dir}; there are: ${files.join(', ') || 'none'}`);
  process.exit(1);
}
spawn('tail', ['-n', '20', '-F', ...wanted], { cwd: dir, stdio: 'inherit' });

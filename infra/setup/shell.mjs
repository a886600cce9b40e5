import { spawn } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { delimiter, join } from 'node:path';

/** The first executable of that name on PATH, or null. */
export function which(name, env = process.env) {
  for (const dir of (env.PATH ?? '').split(delimiter)) {
    if (dir === '') continue;
    const file = join(dir, name);
    try {
      accessSync(file, constants.X_OK);
      if (statSync(file).isFile()) return file;
    } catch {
      // not here
    }
  }
  return null;
}

/**
 * Runs a program to its end.
 * @throws Error with the last lines of its output when it cannot start, fails or exceeds `timeoutMs`
 */
export async function run(command, args, { cwd, env, timeoutMs = 0 } = {}) {
  const { code, output, stdout, timedOut } = await attempt(command, args, { cwd, env, timeoutMs });
  if (code === 0) return stdout;
  const why = timedOut ? `gave no result within ${timeoutMs / 1000} s` : `ended with code ${code}`;
  throw new Error(`${command} ${args[0] ?? ''} ${why}: ${output.trim().split('\n').slice(-4).join(' | ').slice(-600)}`);
}

/** As `run`, but a failing program is a result; only one that cannot start throws. */
export function attempt(command, args, { cwd, env, timeoutMs = 0, inherit = false } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: env ?? process.env,
      stdio: inherit ? 'inherit' : ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    let stdout = '';
    let timedOut = false;
    child.stdout?.on('data', (chunk) => {
      stdout += chunk;
      output += chunk;
    });
    child.stderr?.on('data', (chunk) => (output += chunk));
    const stop = () => {
      timedOut = true;
      child.kill('SIGTERM');
      setTimeout(() => child.kill('SIGKILL'), 3000).unref();
    };
    const timer = timeoutMs > 0 ? setTimeout(stop, timeoutMs) : null;
    child.on('error', (error) => {
      if (timer) clearTimeout(timer);
      reject(error.code === 'ENOENT' ? new Error(`${command} is not installed`) : error);
    });
    child.on('close', (code) => {
      if (timer) clearTimeout(timer);
      resolve({ code: code ?? 1, output, stdout, timedOut });
    });
  });
}

export async function sizeOf(path) {
  let entry;
  try {
    entry = await lstat(path);
  } catch {
    return 0;
  }
  if (!entry.isDirectory()) return entry.size;
  let total = 0;
  for (const name of await readdir(path).catch(() => [])) total += await sizeOf(join(path, name));
  return total;
}

export function readableSize(bytes) {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(2)} GB`;
  if (bytes >= 1e6) return `${(bytes / 1e6).toFixed(0)} MB`;
  return `${Math.ceil(bytes / 1e3)} kB`;
}

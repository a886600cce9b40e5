import { existsSync, readFileSync } from 'node:fs';
import { readFile, statfs } from 'node:fs/promises';
import { availableParallelism, cpus, freemem, totalmem } from 'node:os';
import { dirname } from 'node:path';
import { addon, wasmOnly } from './addon.mjs';
import { minio, temporal } from './go-tools.mjs';
import { nodeModules } from './node-modules.mjs';
import { cacheDir, deviceKind, homeDir, isMain, nvidiaDriverFile, root } from './paths.mjs';
import { row } from './setup.mjs';
import { attempt, readableSize, sizeOf, which } from './shell.mjs';
import { tensorflow } from './tensorflow.mjs';

/** What set-up would find, and what the machine offers. Changes nothing. Returns the number of missing parts. */
export async function doctor({ log = console.log } = {}) {
  let missing = 0;
  for (const part of [nodeModules, tensorflow, addon, temporal, minio]) {
    const native = part === tensorflow || part === addon;
    if (native && wasmOnly()) {
      log(row(part.name, 'wasm only', '', '', 'no C++ compiler, or ECHOFORGE_ENGINE=wasm'));
      continue;
    }
    const found = await part.inspect().catch((error) => ({ error }));
    if (found === null || found.error) missing += 1;
    if (found === null) log(row(part.name, 'missing', '', '', 'npm run setup'));
    else if (found.error) log(row(part.name, 'wrong', '', '', found.error.message));
    else log(row(part.name, 'found', '', readableSize(await sizeOf(found.where)), found.where));
  }
  for (const [name, fact] of await facts()) log(`${name.padEnd(14)} ${fact}`);
  return missing;
}

async function facts() {
  return [
    ['node', `${process.version} on ${process.platform} ${process.arch}`],
    ['build tools', ['g++', 'python3', 'go', 'tar'].map((name) => `${name} ${which(name) ? 'yes' : 'NO'}`).join(', ')],
    ['CPU', `${availableParallelism()} cores, ${cpus()[0]?.model ?? 'unknown'}, ${await instructionSets()}`],
    ['memory', `${readableSize(totalmem())}, ${readableSize(freemem())} free${memoryLimit()}`],
    ['cache', `${cacheDir()}: ${readableSize(await sizeOf(cacheDir()))}, ${await freeDisk(cacheDir())}`],
    ['stack data', `${homeDir()}: ${readableSize(await sizeOf(homeDir()))}, ${await freeDisk(homeDir())}`],
    ['clone', root],
    ['device', await device()],
  ];
}

async function instructionSets() {
  const text = await readFile('/proc/cpuinfo', 'utf8').catch(() => '');
  const wanted = ['avx2', 'avx512f', 'avx512_bf16', 'amx_bf16'];
  return wanted.filter((flag) => new RegExp(`\\b${flag}\\b`).test(text)).join(' ') || 'no AVX2';
}

function memoryLimit() {
  const file = '/sys/fs/cgroup/memory.max';
  const limit = existsSync(file) ? Number(readFileSync(file, 'utf8')) : NaN;
  return Number.isFinite(limit) ? `, limited to ${readableSize(limit)}` : '';
}

async function freeDisk(path) {
  let dir = path;
  while (!existsSync(dir)) dir = dirname(dir);
  const { bavail, bsize } = await statfs(dir);
  return `${readableSize(bavail * bsize)} of disk free`;
}

async function device() {
  const driver = existsSync(nvidiaDriverFile);
  const library = deviceKind(process.env, driver);
  if (!driver) return `no NVIDIA driver; ${library} library`;
  const query = ['--query-gpu=name,memory.total,driver_version', '--format=csv,noheader'];
  const { stdout } = await attempt('nvidia-smi', query, { timeoutMs: 10_000 }).catch(() => ({ stdout: '' }));
  return `${stdout.trim().replaceAll('\n', '; ') || 'NVIDIA driver'}; ${library} library`;
}

if (isMain(import.meta)) process.exitCode = (await doctor()) > 0 ? 1 : 0;

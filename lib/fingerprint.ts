import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import sharp from 'sharp';
import type { Fingerprint } from '../contract/manifests.ts';

const release = (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string })
  .version; // our own file

/** What this process computes with, as far as it does not load TensorFlow (lib/engine/fingerprint.ts adds that). */
export function describeRuntime(): Fingerprint {
  return {
    release,
    node: process.versions.node,
    icu: process.versions['icu'] ?? 'none',
    sharp: sharp.versions.sharp,
    vips: sharp.versions.vips,
    tensorflow: null,
    backend: null,
    device: 'cpu',
    instructionSet: instructionSet(),
    threads: availableParallelism(),
    execution: null,
    precision: null,
  };
}

/** The widest vector instructions, because kernels round differently with them; the architecture where unknown. */
function instructionSet(): string {
  const flags = new Set(readCpuFlags());
  const widest = ['amx_bf16', 'avx512_bf16', 'avx512f', 'avx2', 'avx'].find((flag) => flags.has(flag));
  return `${process.arch}${widest === undefined ? '' : `/${widest}`}`;
}

function readCpuFlags(): string[] {
  try {
    return /^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1]?.trim().split(' ') ?? [];
  } catch {
    return []; // no procfs: the architecture must do
  }
}

import { readFileSync } from 'node:fs';

/** What our own kernels and arithmetic in bf16 take. */
export const hasAvx512 = readFileSync('/proc/cpuinfo', 'utf8').includes('avx512f');

import { join } from 'node:path';
import { root } from './paths.mjs';

const bin = (name) => join(root, 'node_modules', '.bin', name);

/** [name, program, arguments] of the checks that run nothing of ours. */
export const staticChecks = [
  ['prettier', bin('prettier'), ['--check', '.', '--log-level', 'warn']],
  ['eslint', bin('eslint'), ['.']],
  ['tsc', bin('tsc'), ['--noEmit']],
];

export const vitest = bin('vitest');

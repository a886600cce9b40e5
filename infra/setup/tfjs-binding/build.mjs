import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../shell.mjs';

/** Part of the key under which the built addon is kept. */
export const compilerFlags = [
  '-O2',
  '-std=c++17',
  '-shared',
  '-fPIC',
  '-DNAPI_VERSION=8',
  '-DBUILDING_NODE_EXTENSION',
  '-DNODE_GYP_MODULE_NAME=tfjs_binding',
];

/** Compiles the addon of tfjs-node against the TensorFlow library; Node's own headers are not needed. */
export async function buildBinding({ tensorflowDir, packageDir, headersDir, outFile, log }) {
  const sources = join(packageDir, 'binding');
  const files = (await readdir(sources)).filter((name) => name.endsWith('.cc')).map((name) => join(sources, name));
  log(`compiling ${files.length} files`);
  await run(
    process.env.CXX || 'g++',
    [
      ...compilerFlags,
      ...['-I', headersDir, '-I', join(tensorflowDir, 'include')],
      ...files,
      ...['-o', outFile, `-L${tensorflowDir}`, '-l:libtensorflow_cc.so.2', '-l:libtensorflow_framework.so.2'],
      `-Wl,-rpath,${tensorflowDir}`, // the real folder: the CUDA library finds its companions relative to itself
    ],
    { timeoutMs: 300_000 },
  );
}

import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../shell.mjs';

/** Part of the key under which the built addon is kept. */
export const compilerFlags = [
  '-O2',
  '-std=c++17',
  '-shared',
  '-fPIC',
  '-pthread',
  '-DNAPI_VERSION=8',
  '-DBUILDING_NODE_EXTENSION',
  '-DNODE_GYP_MODULE_NAME=tfjs_binding',
];

const here = dirname(fileURLToPath(import.meta.url));

/** Where the package's sources take our extension in; each place must occur exactly once. */
const insertions = [
  {
    file: 'tfjs_backend.h',
    before: '  bool is_gpu_device;\n',
    text: '  TFE_Context *context() const { return tfe_context_; }\n',
  },
  { file: 'tfjs_binding.cc', before: '#include "tfjs_backend.h"\n', text: '#include "step_graph.h"\n' },
  {
    file: 'tfjs_binding.cc',
    before: '  return exports;\n}',
    text: '  if (!AddStepGraph(env, exports, backend->context())) return nullptr;\n',
  },
];

/** The package's sources with our extension in them, in `dir`. */
async function extendSources(packageDir, dir) {
  const sources = join(packageDir, 'binding');
  for (const name of await readdir(sources)) {
    let text = await readFile(join(sources, name), 'utf8');
    for (const { file, before, text: inserted } of insertions) {
      if (file !== name) continue;
      const parts = text.split(before);
      if (parts.length !== 2)
        throw new Error(
          `expected "${before.trim()}" once in ${name} of the tfjs binding, found it ${parts.length - 1} times`,
        );
      text = parts.join(inserted + before);
    }
    await writeFile(join(dir, name), text);
  }
  for (const name of await readdir(here)) if (/\.(cc|h)$/.test(name)) await copyFile(join(here, name), join(dir, name));
}

/**
 * Compiles the addon of tfjs-node, extended by recorded steps, against the TensorFlow library; Node's own headers are not
 * needed.
 */
export async function buildBinding({ tensorflowDir, packageDir, headersDir, outFile, log }) {
  const dir = await mkdtemp(`${outFile}.sources-`);
  try {
    await extendSources(packageDir, dir);
    const files = (await readdir(dir)).filter((name) => name.endsWith('.cc')).map((name) => join(dir, name));
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
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

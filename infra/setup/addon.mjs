import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { withLock } from './lock.mjs';
import { bindingFile, cacheDir, root, tfjsPackage } from './paths.mjs';
import { run, which } from './shell.mjs';
import { firstOf } from './sources.mjs';
import { findTensorflow } from './tensorflow.mjs';
import { buildBinding } from './tfjs-binding/build.mjs';

const recipe = join(root, 'infra', 'setup', 'tfjs-binding');

/** Without a compiler, or when asked for, the wasm engine serves. */
export const wasmOnly = () => process.env.ECHOFORGE_ENGINE === 'wasm' || which(process.env.CXX || 'g++') === null;

export const addon = {
  name: 'tfjs addon',
  async inspect() {
    if (!existsSync(bindingFile)) return null;
    const tensorflowDir = findTensorflow();
    if (tensorflowDir === null) return null;
    const dir = await keptIn(tensorflowDir);
    const current =
      existsSync(smokeStamp(dir)) &&
      (await readFile(bindingFile)).equals(await readFile(join(dir, 'tfjs_binding.node')));
    return current ? { where: bindingFile } : null;
  },
  /** Needs the node modules and the TensorFlow library. */
  async provide({ log }) {
    const tensorflowDir = findTensorflow();
    const dir = await keptIn(tensorflowDir);
    const { source, value } = await firstOf(
      this.name,
      [{ source: `${process.env.CXX || 'g++'} against ${tensorflowDir}`, get: () => build(tensorflowDir, dir, log) }],
      'install a C++17 compiler (apt-get install g++), or set ECHOFORGE_ENGINE=wasm for unit tests, then: npm run setup',
    );
    return { state: value, where: bindingFile, note: source };
  },
};

function build(tensorflowDir, dir, log) {
  return withLock(
    join(cacheDir(), 'locks'),
    'addon',
    async () => {
      const kept = join(dir, 'tfjs_binding.node');
      const state = existsSync(kept) ? 'copied' : 'built';
      if (state === 'built') await compile(tensorflowDir, kept, log);
      await place(kept);
      if (existsSync(smokeStamp(dir))) return state;
      log('smoke test');
      try {
        await run(process.execPath, ['-e', smokeTest], { cwd: root, timeoutMs: 120_000 });
      } catch (error) {
        await rm(bindingFile, { force: true });
        throw error;
      }
      await writeFile(smokeStamp(dir), '');
      return state;
    },
    { log },
  );
}

async function compile(tensorflowDir, kept, log) {
  await mkdir(dirname(kept), { recursive: true });
  const outFile = `${kept}.${process.pid}`;
  const headersDir = join(root, 'node_modules', 'node-api-headers', 'include');
  await buildBinding({ tensorflowDir, packageDir: tfjsPackage, headersDir, outFile, log });
  await rename(outFile, kept);
}

/** tfjs-node looks for its addon here. */
async function place(kept) {
  await mkdir(dirname(bindingFile), { recursive: true });
  const temporary = `${bindingFile}.${process.pid}`;
  await copyFile(kept, temporary);
  await rename(temporary, bindingFile);
}

const smokeStamp = (dir) => join(dir, `works-${process.version}`);

/** The folder of the addon for this library, these sources and this recipe. */
async function keptIn(tensorflowDir) {
  const hash = createHash('sha256').update(await realpath(tensorflowDir));
  for (const name of ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2'])
    hash.update(`${name} ${(await stat(join(tensorflowDir, name))).size}`);
  for (const dir of [recipe, join(tfjsPackage, 'binding')])
    for (const name of (await readdir(dir)).sort()) hash.update(name).update(await readFile(join(dir, name)));
  return join(cacheDir(), 'addon', hash.digest('hex').slice(0, 16));
}

// util: tfjs-node 4.22 calls two functions that Node 23 removed.
const smokeTest = `
process.env.TF_CPP_MIN_LOG_LEVEL ??= '2';
const util = require('util');
util.isNullOrUndefined ??= (value) => value === null || value === undefined;
util.isArray ??= Array.isArray;
const tf = require('@tensorflow/tfjs-node-gpu');
const sum = tf.matMul(tf.tensor2d([[1, 2]]), tf.tensor2d([[3], [4]])).dataSync()[0];
if (tf.getBackend() !== 'tensorflow' || sum !== 11) throw new Error('expected 11 from the native engine, found ' + sum);
`;

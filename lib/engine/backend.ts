import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { ConfigurationError } from '../errors.ts';
import './gradients.ts';
import { tf } from './tf.ts';

const require = createRequire(import.meta.url);

let loading: Promise<void> | null = null;

/**
 * Loads TensorFlow once per process and makes it the backend of tfjs: the native library, or wasm when
 * `ECHOFORGE_ENGINE=wasm`. Every entry point into this room awaits it.
 * @throws ConfigurationError when the native library was not set up
 */
export async function loadEngine(): Promise<void> {
  loading ??= load();
  await loading;
}

async function load(): Promise<void> {
  const wanted = process.env['ECHOFORGE_ENGINE'] ?? 'tensorflow';
  if (wanted === 'wasm') await loadWasm();
  else if (wanted === 'tensorflow') await loadNative();
  else throw new ConfigurationError(`expected ECHOFORGE_ENGINE to be tensorflow or wasm, found "${wanted}"`);
}

async function loadNative(): Promise<void> {
  process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '2'; // warnings about missing GPUs would drown the log
  limitThreads();
  shimUtil();
  try {
    await import('@tensorflow/tfjs-node-gpu');
  } catch (error) {
    throw new ConfigurationError('the TensorFlow library or its addon cannot be loaded; run: npm run setup', {
      cause: error,
    });
  }
  await tf.setBackend('tensorflow');
}

async function loadWasm(): Promise<void> {
  await import('@tensorflow/tfjs-backend-wasm');
  await tf.setBackend('wasm');
}

/**
 * The library and our kernels would count processors, however few of them a container may use at a time. How sums are split, and
 * so their bits, follows from the number, which the fingerprint tells.
 */
function limitThreads(): void {
  if (!(Number(process.env['TF_NUM_INTRAOP_THREADS']) > 0))
    process.env['TF_NUM_INTRAOP_THREADS'] = String(availableParallelism());
}

/** tfjs-node 4.22 calls two functions that Node 23 removed from util. */
function shimUtil(): void {
  // The CommonJS module object: it can be written to, and tfjs-node holds the same one.
  const util = require('node:util') as Record<string, unknown>;
  util['isNullOrUndefined'] ??= (value: unknown) => value === null || value === undefined;
  util['isArray'] ??= Array.isArray;
}

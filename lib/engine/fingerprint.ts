import { availableParallelism } from 'node:os';
import type { EngineSettings } from '../../contract/engine.ts';
import type { Fingerprint } from '../../contract/manifests.ts';
import { describeRuntime } from '../fingerprint.ts';
import { loadEngine } from './backend.ts';
import { executionOf, precisionOf } from './compile.ts';
import { nativeBackend } from './native-backend.ts';

/** What this process computes with: results agree to the byte within one such description. */
export async function describeEngine(settings: EngineSettings): Promise<Fingerprint> {
  await loadEngine();
  const native = nativeBackend();
  const threads = Number(process.env['TF_NUM_INTRAOP_THREADS'] ?? 0);
  return {
    ...describeRuntime(),
    tensorflow: native?.binding.TF_Version ?? null,
    backend: native ? 'tensorflow' : 'wasm',
    device: native?.isUsingGpuDevice === true ? 'gpu' : 'cpu',
    threads: threads > 0 ? threads : availableParallelism(),
    execution: executionOf(settings),
    precision: precisionOf(settings),
  };
}

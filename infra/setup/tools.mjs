import { existsSync } from 'node:fs';
import { wasmOnly } from './addon.mjs';
import { findMinio, findTemporal } from './go-tools.mjs';
import { bindingFile } from './paths.mjs';
import { findTensorflow } from './tensorflow.mjs';

export { cacheDir, homeDir } from './paths.mjs';

/**
 * Where set-up put things; starts nothing and changes nothing. `tensorflowDir` and `binding` are null where only the
 * wasm engine is possible.
 * @throws Error that says to run the set-up when something is missing
 */
export async function resolveTools() {
  const [temporal, minio] = await Promise.all([findTemporal(), findMinio()]);
  const native = wasmOnly()
    ? { tensorflowDir: null, binding: null }
    : { tensorflowDir: findTensorflow(), binding: existsSync(bindingFile) ? bindingFile : null };
  const missing = [
    ...(temporal === null ? ['temporal'] : []),
    ...(minio === null ? ['minio'] : []),
    ...(wasmOnly() || native.tensorflowDir !== null ? [] : ['the TensorFlow library']),
    ...(wasmOnly() || native.binding !== null ? [] : ['the tfjs addon']),
  ];
  if (missing.length > 0) throw new Error(`${missing.join(', ')} not found; run: npm run setup`);
  return { temporal, minio, ...native };
}

import { open } from 'node:fs/promises';
import type { PretrainedWeights } from '../../contract/manifests.ts';
import { WeightsError } from '../errors.ts';

const hdf5Signature = Buffer.from('\x89HDF\r\n\x1a\n', 'latin1');

/** Form of a weight file, told by its first bytes. @throws WeightsError */
export async function weightFormat(file: string): Promise<PretrainedWeights['format']> {
  const start = Buffer.alloc(64);
  const handle = await open(file, 'r');
  try {
    await handle.read(start, 0, start.length, 0);
  } finally {
    await handle.close();
  }
  if (start.subarray(0, 8).equals(hdf5Signature)) return 'keras-h5';
  if (start[8] === '{'.charCodeAt(0)) return 'safetensors'; // behind the length of its header
  if (/^\s*[[{]/.test(start.toString('latin1'))) return 'tfjs-layers';
  const hint = start.toString('latin1', 0, 2) === 'PK' ? ', but a zip archive (.keras or .npz)' : '';
  throw new WeightsError(
    `${file} is no weight file${hint}; expected a Keras .h5, a TensorFlow.js model.json, or safetensors`,
  );
}

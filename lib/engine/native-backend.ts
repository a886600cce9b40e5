import { tf } from './tf.ts';

/** What we use of the tfjs-node backend beyond the kernel interface: running TensorFlow ops that tfjs has no kernel for. */

export interface OpAttribute {
  readonly name: string;
  readonly type: number;
  readonly value: unknown;
}

/** The addon's binding; `createFunction` and `removeFunction` exist in our build only (infra/setup/tfjs-binding). */
export interface NativeBinding {
  readonly TF_ATTR_TYPE: number;
  readonly TF_ATTR_FLOAT: number;
  readonly TF_FLOAT: number;
  readonly TF_INT32: number;
  readonly TF_Version: string;
  readonly createFunction?: unknown;
}

export interface NativeBackend {
  readonly binding: NativeBinding;
  readonly isUsingGpuDevice: boolean;
  executeSingleOutput(name: string, attributes: readonly OpAttribute[], inputs: readonly tf.Tensor[]): tf.Tensor;
}

/** The tfjs-node backend, or null when another one runs. */
export function nativeBackend(): NativeBackend | null {
  return tf.getBackend() === 'tensorflow' ? (tf.backend() as unknown as NativeBackend) : null; // known by its name
}

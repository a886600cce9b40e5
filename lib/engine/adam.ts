import type { NativeBackend } from './native-backend.ts';
import { ownKernels } from './step-recorder.ts';
import { tf } from './tf.ts';
import { createVariable } from './variables.ts';

/**
 * Adam (Kingma and Ba 2015) in the form of the end of its section 2, as TensorFlow and Keras have it:
 *   lr_t = lr sqrt(1 - beta2^t) / (1 - beta1^t),  x -= lr_t m / (sqrt(v) + epsilon).
 * State lives in variables with fixed names, so that checkpoints hold it by name and compiled steps move it.
 */
export interface Adam {
  /** `<name>/t`, `<name>/v/<variable>` and, unless beta1 is 0 (where m is the gradient), `<name>/m/<variable>`. */
  readonly state: readonly tf.Variable[];
  /**
   * One step. @throws RangeError when a variable has no gradient.
   */
  apply(gradients: Readonly<Record<string, tf.Tensor>>, options: { readonly learningRate: tf.Scalar }): void;
}

interface Slot {
  readonly variable: tf.Variable;
  readonly m: tf.Variable | null;
  readonly v: tf.Variable;
}

export function createAdam(options: {
  readonly name: string;
  readonly variables: readonly tf.Variable[];
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
}): Adam {
  const { name, variables, beta1, beta2, epsilon } = options;
  const t = createVariable(`${name}/t`, [], new Float32Array(1), false);
  const zeros = (kind: 'm' | 'v', { name: of, shape, size }: tf.Variable): tf.Variable =>
    createVariable(`${name}/${kind}/${of}`, shape, new Float32Array(size), false);
  const slots = variables.map((variable): Slot => {
    return { variable, m: beta1 === 0 ? null : zeros('m', variable), v: zeros('v', variable) };
  });
  return {
    state: [t, ...slots.flatMap(({ m, v }) => (m === null ? [v] : [m, v]))],
    apply(gradients, { learningRate }) {
      tf.tidy(() => {
        t.assign(tf.add(t, 1));
        const unbiasV = tf.sqrt(tf.sub(1, tf.pow(beta2, t)));
        const unbiasM = beta1 === 0 ? tf.scalar(1) : tf.sub(1, tf.pow(beta1, t));
        const rate = tf.div(tf.mul(learningRate, unbiasV), unbiasM);
        for (const slot of slots) {
          const gradient = gradients[slot.variable.name];
          if (gradient === undefined) throw new RangeError(`${name} has no gradient for ${slot.variable.name}`);
          move(slot, gradient, rate);
        }
      });
    },
  };

  function move({ variable, m, v }: Slot, gradient: tf.Tensor, rate: tf.Tensor): void {
    tf.tidy(() => {
      const backend = ownKernels();
      if (backend !== null) {
        fusedMove(backend, { slot: { variable, m, v }, gradient, rate, beta1, beta2, epsilon });
        return;
      }
      v.assign(tf.add(tf.mul(v, beta2), tf.mul(tf.square(gradient), 1 - beta2)));
      if (m !== null) m.assign(tf.add(tf.mul(m, beta1), tf.mul(gradient, 1 - beta1)));
      const step = tf.div(m ?? gradient, tf.add(tf.sqrt(v), epsilon));
      variable.assign(tf.sub(variable, tf.mul(step, rate)));
    });
  }
}

/** The same in one pass over memory (infra/setup/tfjs-binding/adam.cc). */
function fusedMove(
  backend: NativeBackend,
  options: {
    readonly slot: Slot;
    readonly gradient: tf.Tensor;
    readonly rate: tf.Tensor;
    readonly beta1: number;
    readonly beta2: number;
    readonly epsilon: number;
  },
): void {
  const { slot, gradient, rate, beta1, beta2, epsilon } = options;
  const { variable, m, v } = slot;
  const attributes = Object.entries({ beta1, beta2, epsilon }).map(([name, value]) => ({
    name,
    type: backend.binding.TF_ATTR_FLOAT,
    value,
  }));
  const inputs = [variable, gradient, rate, v];
  const [nextVariable, nextV, nextM] =
    m === null
      ? backend.executeMultipleOutputs('EchoforgeAdamWithoutMomentum', attributes, inputs, 2)
      : backend.executeMultipleOutputs('EchoforgeAdam', attributes, [...inputs, m], 3);
  if (nextVariable === undefined || nextV === undefined) throw new RangeError('Adam gave no result');
  variable.assign(nextVariable);
  v.assign(nextV);
  if (m !== null && nextM !== undefined) m.assign(nextM);
}

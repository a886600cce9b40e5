import { tf } from '../../../lib/engine/tf.ts';
import { createRng } from '../../../lib/random.ts';

/** Tools for checking second derivatives. float32 throughout, hence directions instead of single components. */

/** Deterministic values from [-1, 1). */
export function uniform(shape: readonly number[], name: string): tf.Tensor {
  const rng = createRng(7, name);
  const size = shape.reduce((product, side) => product * side, 1);
  return tf.tensor(
    Float32Array.from({ length: size }, () => 2 * rng() - 1),
    [...shape],
  );
}

/** A penalty on the gradient of `f` in its first argument: what R1 and path length are. */
export function gradientPenalty(f: (...args: tf.Tensor[]) => tf.Tensor): (...args: tf.Tensor[]) => tf.Scalar {
  return (first, ...rest) => {
    // softplus makes the gradient depend on every argument even where f is linear.
    const scalar = (x: tf.Tensor): tf.Scalar => {
      const y = f(x, ...rest);
      return tf.sum(tf.mul(tf.softplus(y), uniform(y.shape, 'projection')));
    };
    return tf.sum(tf.square(tf.grad(scalar as (x: tf.Tensor) => tf.Tensor)(first)));
  };
}

/**
 * Largest relative difference, over the arguments, between the analytic derivative of `loss` along a random direction and
 * its central difference.
 */
export function directionalError(
  loss: (...args: tf.Tensor[]) => tf.Scalar,
  args: readonly tf.Tensor[],
  step = 1e-2,
): number {
  return tf.tidy(() => {
    const gradients = tf.grads(loss)([...args]);
    const errors = args.map((arg, i) => {
      const raw = uniform(arg.shape, `direction${i}`);
      const direction = tf.div(raw, tf.norm(raw));
      const at = (h: number): number =>
        loss(...args.map((a, j) => (j === i ? tf.add(a, tf.mul(direction, h)) : a))).dataSync()[0]!;
      const numeric = (at(step) - at(-step)) / (2 * step);
      const analytic = tf.sum(tf.mul(gradients[i]!, direction)).dataSync()[0]!;
      const size = tf.norm(gradients[i]!).dataSync()[0]! / Math.sqrt(arg.size);
      return Math.abs(numeric - analytic) / Math.max(Math.abs(numeric), Math.abs(analytic), size, 1e-6);
    });
    return Math.max(...errors);
  });
}

import { tf } from './tf.ts';

/**
 * Gradients that tfjs-core 4.22 lacks and second derivatives need (R1, path length). Registered once, when this file is
 * first imported: the registry is global to tfjs and an entry changes no first-order result.
 */

type Saved = tf.Tensor[];

/** dW = sum over pixels of x (*) dy is bilinear: its gradient in dy is a convolution by ddW, in x a transposed one. */
const conv2dBackpropFilter: tf.GradConfig = {
  kernelName: tf.Conv2DBackpropFilter,
  inputsToSave: ['x', 'dy'],
  gradFunc: (ddw, saved: Saved, attrs) => {
    // Inputs and attributes of this kernel as tfjs-core declares them.
    const [x, dy] = saved as [tf.Tensor4D, tf.Tensor4D];
    const { strides, pad, dataFormat } = attrs as unknown as tf.Conv2DBackpropFilterAttrs;
    const weight = ddw as tf.Tensor4D; // same shape as the filter
    if (typeof pad !== 'string')
      throw new RangeError('expected "same" or "valid" padding; pad explicitly before the convolution');
    return {
      x: () => tf.conv2dTranspose(dy, weight, x.shape, strides, pad),
      dy: () => tf.conv2d(x, weight, strides, pad, dataFormat),
    };
  },
};

/** Comparisons are constant almost everywhere. */
const constantKernels = [
  tf.Greater,
  tf.GreaterEqual,
  tf.Less,
  tf.LessEqual,
  tf.Equal,
  tf.NotEqual,
  tf.LogicalAnd,
  tf.LogicalOr,
] as const;

let registered = false;

/** Registers the missing gradients; a second call does nothing. */
export function registerGradients(): void {
  if (registered) return;
  registered = true;
  tf.registerGradient(conv2dBackpropFilter);
  for (const kernelName of constantKernels)
    tf.registerGradient({
      kernelName,
      inputsToSave: ['a', 'b'],
      gradFunc: (_dy, saved) => {
        const [a, b] = saved as [tf.Tensor, tf.Tensor]; // the two compared tensors
        return { a: () => tf.zerosLike(a), b: () => tf.zerosLike(b) };
      },
    });
}

registerGradients();

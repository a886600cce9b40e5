import { nativeBackend } from '../engine/native-backend.ts';
import { ownKernels } from '../engine/step-recorder.ts';
import { tf } from '../engine/tf.ts';

/**
 * Layers whose value or gradient takes one pass over memory where tfjs has several: on TensorFlow, and further in recorded
 * steps by kernels of our own. Differentiable once. NHWC.
 */

/** dy where y > 0, otherwise 0. */
export function reluGradient(dy: tf.Tensor, y: tf.Tensor): tf.Tensor {
  const backend = nativeBackend();
  if (backend === null) return tf.mul(dy, tf.cast(tf.greater(y, 0), 'float32'));
  const { TF_ATTR_TYPE, TF_FLOAT } = backend.binding;
  return backend.executeSingleOutput('ReluGrad', [{ name: 'T', type: TF_ATTR_TYPE, value: TF_FLOAT }], [dy, y]);
}

/** max(0, x). tfjs builds its gradient from six operations. */
export function relu(x: tf.Tensor): tf.Tensor {
  const op = tf.customGrad((input, save) => {
    const y = tf.relu(input as tf.Tensor); // the argument of op() below
    (save as tf.GradSaveFunc)([y]); // the last argument of customGrad's function, always
    return { value: y, gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => reluGradient(dy, saved[0] as tf.Tensor) }; // saved above
  });
  return op(x);
}

/** max(0, x + scale up), of one shape (infra/setup/tfjs-binding/residual.cc). */
export function residualRelu(x: tf.Tensor, up: tf.Tensor, scale: number): tf.Tensor {
  const backend = ownKernels();
  if (backend === null) return relu(tf.add(x, scale === 1 ? up : tf.mul(up, scale)));
  const attributes = [{ name: 'scale', type: backend.binding.TF_ATTR_FLOAT, value: scale }];
  const op = tf.customGrad((...inputs) => {
    const [a, b, save] = inputs as unknown as [tf.Tensor, tf.Tensor, tf.GradSaveFunc]; // arguments of op() below, then customGrad's own
    const y = backend.executeSingleOutput('EchoforgeResidualRelu', attributes, [a, b]);
    save([y]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]): tf.Tensor[] => {
      const dz = reluGradient(dy, saved[0] as tf.Tensor); // saved above
      return [dz, tf.mul(dz, scale)];
    };
    return { value: y, gradFunc };
  });
  return op(x, up);
}

/**
 * Largest of 3x3 at every second pixel: [N, H, W, C] -> [N, floor((H - 1) / 2), floor((W - 1) / 2), C]. The gradient goes to the
 * first of equals, row after row, as TensorFlow's does (infra/setup/tfjs-binding/max_pool_gradient.cc).
 */
export function maxPoolDown(x: tf.Tensor4D): tf.Tensor4D {
  const backend = ownKernels();
  if (backend === null) return tf.maxPool(x, 3, 2, 'valid');
  const op = tf.customGrad((input, save) => {
    const image = input as tf.Tensor4D; // the argument of op() below
    const y = tf.maxPool(image, 3, 2, 'valid');
    (save as tf.GradSaveFunc)([image, y]); // as above
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]): tf.Tensor =>
      backend.executeSingleOutput('EchoforgeMaxPoolGradient', [], [...saved, dy]);
    return { value: y, gradFunc };
  });
  return op(x) as tf.Tensor4D; // pooling keeps four dimensions
}

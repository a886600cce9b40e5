import { tf } from '../engine/tf.ts';
import type { Model } from './model.ts';
import { inferenceMode } from './tensor-layers.ts';

/**
 * Where in an image the network sees a class: Grad-CAM (Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep
 * Networks via Gradient-based Localization", equations 1 and 2) on `conv_7b_ac`, for the logit of the class.
 */
export interface SaliencyMaps {
  /** Side of one map: 6 at 256 px. */
  readonly side: number;
  /** [images, side, side], row after row: relu(sum over k of mean over pixels(d logit / d A_k) A_k); the scale is the network's own. */
  readonly values: Float32Array;
}

/**
 * Maps of `images` [N, S, S, channels], 0..255, for the class `target` (negative 0, positive 1). Only the layers behind the
 * maps are differentiated. A map of zeros says that nothing in the image speaks for the class.
 */
export function gradCam(options: {
  readonly model: Model;
  readonly images: tf.Tensor4D;
  readonly target: 0 | 1;
}): SaliencyMaps {
  const { model, images, target } = options;
  const saliency = tf.tidy(() => {
    const maps = model.maps(images, inferenceMode); // [N, h, w, F]
    const logitOf = (activations: tf.Tensor): tf.Scalar => {
      const { logits } = model.tail(activations as tf.Tensor4D, inferenceMode); // the argument of tf.grad's function below
      return tf.sum(tf.slice(logits, [0, target], [-1, 1])); // images do not see each other: their gradients stay apart
    };
    const weights = tf.mean(tf.grad(logitOf)(maps), [1, 2], true); // [N, 1, 1, F]
    return tf.relu(tf.sum(tf.mul(maps, weights), -1)); // [N, h, w]
  });
  const side = saliency.shape[1] ?? 0;
  const values = Float32Array.from(saliency.dataSync());
  saliency.dispose();
  return { side, values };
}

/** Maps as layers over the image: each scaled to a largest value of 1 and enlarged to `sizePx` bilinearly, [images, sizePx, sizePx]. */
export function enlargeSaliency({ side, values }: SaliencyMaps, sizePx: number): Float32Array {
  const enlarged = tf.tidy(() => {
    const maps = tf.tensor4d(values, [values.length / (side * side), side, side, 1]);
    const largest = tf.max(maps, [1, 2], true);
    const scaled = tf.divNoNan(maps, largest) as tf.Tensor4D; // the shape of maps
    return tf.image.resizeBilinear(scaled, [sizePx, sizePx], false, true);
  });
  const pixels = Float32Array.from(enlarged.dataSync());
  enlarged.dispose();
  return pixels;
}

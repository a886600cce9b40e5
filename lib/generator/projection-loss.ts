import { tf } from '../engine/tf.ts';

/** What a projection minimises (stylegan2.md 4.4), in terms that can be differentiated once. */

/** Means over 2x2 pixels: [N, H, W, C] -> [N, H/2, W/2, C]. */
function halved(x: tf.Tensor4D): tf.Tensor4D {
  const [n, h, w, c] = x.shape;
  const cells = tf.reshape(x, [n, h / 2, 2, w / 2, 2, c]);
  return tf.reshape(tf.mean(cells, [2, 4]), [n, h / 2, w / 2, c]);
}

/** Side from which the loss looks, px, as the original looks with VGG; and the coarsest that it looks at. */
const finestSide = 256;
const coarsestSide = 8;

/**
 * Distance of two images [1, R, R, C]: mean squared difference of their pixels, averaged over the scales from 256 px (or R) to
 * 8 px by halving. In place of the original's LPIPS, whose VGG16 weights are not ours to ship: it compares pixels, coarse and
 * fine, and knows nothing of perception.
 */
export function multiScaleDistance(a: tf.Tensor4D, b: tf.Tensor4D): tf.Scalar {
  let difference = tf.sub<tf.Tensor4D>(a, b); // halving is linear
  while (difference.shape[1] > finestSide) difference = halved(difference);
  const scales: tf.Scalar[] = [tf.mean<tf.Scalar>(tf.square(difference))];
  while (difference.shape[1] > coarsestSide) {
    difference = halved(difference);
    scales.push(tf.mean<tf.Scalar>(tf.square(difference)));
  }
  return tf.div(tf.addN(scales), scales.length);
}

/** The map moved by one pixel along `axis`, around the border. */
function rolled(map: tf.Tensor4D, axis: 1 | 2): tf.Tensor4D {
  const side = map.shape[axis];
  const [rest, last] = tf.split(map, [side - 1, 1], axis) as [tf.Tensor4D, tf.Tensor4D]; // the two sizes asked for
  return tf.concat([last, rest], axis);
}

/**
 * How far noise maps [1, side, side, 1] are from being noise: squared mean product of each with itself one pixel away, in x and
 * y, at every scale down to 8 px. Without it the maps would draw the picture.
 */
export function noiseRegulariser(maps: readonly tf.Tensor4D[]): tf.Scalar {
  const terms: tf.Scalar[] = [];
  for (const map of maps) {
    let scaled = map;
    for (;;) {
      for (const axis of [1, 2] as const)
        terms.push(tf.square(tf.mean<tf.Scalar>(tf.mul(scaled, rolled(scaled, axis)))));
      if (scaled.shape[1] <= coarsestSide) break;
      scaled = halved(scaled);
    }
  }
  return tf.addN(terms);
}

/** The map with mean 0 and mean square 1. */
export function normalised(map: tf.Tensor4D): tf.Tensor4D {
  const centred = tf.sub<tf.Tensor4D>(map, tf.mean(map));
  return tf.mul(centred, tf.rsqrt(tf.mean(tf.square(centred))));
}

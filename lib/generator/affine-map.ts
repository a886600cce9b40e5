import { tf } from '../engine/tf.ts';

/** Per image, from a pixel of the result to its place in the source: (x, y) -> (xx x + xy y + x0, yx x + yy y + y0), [N] each. */
export interface AffineMap {
  /** px, x to the right and y down from the centre of the image */
  readonly xx: tf.Tensor1D;
  readonly xy: tf.Tensor1D;
  readonly yx: tf.Tensor1D;
  readonly yy: tf.Tensor1D;
  readonly x0: tf.Tensor1D;
  readonly y0: tf.Tensor1D;
}

export function identityMap(images: number): AffineMap {
  const [one, zero] = [tf.ones<tf.Rank.R1>([images]), tf.zeros<tf.Rank.R1>([images])];
  return { xx: one, xy: zero, yx: zero, yy: one, x0: zero, y0: zero };
}

/** `map` and then the content moved by (x, y) px, [N] each. */
export function thenMoved(map: AffineMap, x: tf.Tensor1D, y: tf.Tensor1D): AffineMap {
  return {
    ...map,
    x0: tf.sub(map.x0, tf.add(tf.mul(map.xx, x), tf.mul(map.xy, y))),
    y0: tf.sub(map.y0, tf.add(tf.mul(map.yx, x), tf.mul(map.yy, y))),
  };
}

/** `map` and then the content made larger by the factors x and y, [N] each. */
export function thenScaled(map: AffineMap, x: tf.Tensor1D, y: tf.Tensor1D): AffineMap {
  return {
    ...map,
    xx: tf.div(map.xx, x),
    xy: tf.div(map.xy, y),
    yx: tf.div(map.yx, x),
    yy: tf.div(map.yy, y),
  };
}

/** `map` and then the content turned clockwise by `angle`, rad, [N]. */
export function thenTurned(map: AffineMap, angle: tf.Tensor1D): AffineMap {
  const [cos, sin] = [tf.cos(angle), tf.sin(angle)];
  const turned = (a: tf.Tensor1D, b: tf.Tensor1D): readonly [tf.Tensor1D, tf.Tensor1D] => [
    tf.sub(tf.mul(a, cos), tf.mul(b, sin)),
    tf.add(tf.mul(a, sin), tf.mul(b, cos)),
  ];
  const [xx, xy] = turned(map.xx, map.xy);
  const [yx, yy] = turned(map.yx, map.yy);
  return { ...map, xx, xy, yx, yy };
}

import { tf } from './tf.ts';

/**
 * A named float32 variable of `shape` filled from `values` (row-major), which must not be changed afterwards: the library may
 * read them in place. Names are unique per process until the variable is disposed.
 * @throws RangeError when `values` does not fill `shape`
 */
export function createVariable(
  name: string,
  shape: readonly number[],
  values: Float32Array,
  trainable = true,
): tf.Variable {
  const size = shape.reduce((product, side) => product * side, 1);
  if (values.length !== size)
    throw new RangeError(`variable ${name} expects ${size} values for [${shape.join(', ')}], got ${values.length}`);
  const initial = tf.tensor(values, [...shape], 'float32');
  const variable = tf.variable(initial, trainable, name);
  initial.dispose();
  return variable;
}

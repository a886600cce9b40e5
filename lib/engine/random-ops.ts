import { createRng } from '../random.ts';
import { nativeBackend, type OpAttribute } from './native-backend.ts';
import { tf } from './tf.ts';

/**
 * Draws inside a step. They depend on the seed tensor and the stream number alone, and are constants for gradients. The native
 * backend uses TensorFlow's stateless generators (Philox, Salmon et al. 2011), which compiled steps can hold.
 */

/** Normal deviates. `seed`: int32 [2]; `stream` tells the draws of one step apart. */
export function randomNormal(shape: readonly number[], seed: tf.Tensor1D, stream: number): tf.Tensor {
  return draw({ op: 'StatelessRandomNormal', shape, seed, stream });
}

/** Uniform deviates from [0, 1). `seed`: int32 [2]; `stream` tells the draws of one step apart. */
export function randomUniform(shape: readonly number[], seed: tf.Tensor1D, stream: number): tf.Tensor {
  return draw({ op: 'StatelessRandomUniform', shape, seed, stream });
}

interface Draw {
  readonly op: 'StatelessRandomNormal' | 'StatelessRandomUniform';
  readonly shape: readonly number[];
  readonly seed: tf.Tensor1D;
  readonly stream: number;
}

function draw({ op, shape, seed, stream }: Draw): tf.Tensor {
  const backend = nativeBackend();
  if (backend === null) return drawInScript({ op, shape, seed, stream });
  return tf.tidy(() => {
    const streamSeed = tf.add(seed, tf.tensor1d([0, stream], 'int32')); // wraps around
    const { TF_ATTR_TYPE, TF_FLOAT, TF_INT32 } = backend.binding;
    const attributes: OpAttribute[] = [
      { name: 'dtype', type: TF_ATTR_TYPE, value: TF_FLOAT },
      { name: 'T', type: TF_ATTR_TYPE, value: TF_INT32 },
      { name: 'Tseed', type: TF_ATTR_TYPE, value: TF_INT32 },
    ];
    return backend.executeSingleOutput(op, attributes, [tf.tensor1d([...shape], 'int32'), streamSeed]);
  });
}

/** For backends without the ops, which never compile steps: reads the seed. */
function drawInScript({ op, shape, seed, stream }: Draw): tf.Tensor {
  const rng = createRng(0, `${[...seed.dataSync()].join('/')}/${stream}`);
  const size = shape.reduce((product, side) => product * side, 1);
  const next = op === 'StatelessRandomUniform' ? rng : () => normal(rng);
  return tf.tensor(
    Float32Array.from({ length: size }, () => Math.fround(next())),
    [...shape],
  );
}

/** Box and Muller 1958. */
const normal = (rng: () => number): number => Math.sqrt(-2 * Math.log(1 - rng())) * Math.cos(2 * Math.PI * rng());

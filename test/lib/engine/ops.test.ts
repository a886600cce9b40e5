import { beforeAll, describe, expect, it } from 'vitest';
import { loadEngine } from '../../../lib/engine/backend.ts';
import * as ops from '../../../lib/engine/ops.ts';
import { tf } from '../../../lib/engine/tf.ts';
import { directionalError, gradientPenalty, uniform } from './second-order.ts';

beforeAll(loadEngine);

const maxDifference = (a: tf.Tensor, b: tf.Tensor): number => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0]!;
const image4 = (): tf.Tensor4D => tf.tensor4d([...Array(16).keys()], [1, 4, 4, 1]);
const t4 = (t: tf.Tensor): tf.Tensor4D => t as tf.Tensor4D;

describe('resampling', () => {
  // Known answers: stylegan2.md 9.2 (upfirdn of the 4x4 image 0..15, padding of its table 2.5).
  it('doubles the 4x4 ramp to the known first and last row', () => {
    const rows = ops.firUp2(image4()).dataSync();
    expect([...rows.slice(0, 8)]).toEqual([0, 0.1875, 0.5625, 0.9375, 1.3125, 1.6875, 2.0625, 1.6875]);
    expect([...rows.slice(56)]).toEqual([6.75, 9.1875, 9.5625, 9.9375, 10.3125, 10.6875, 11.0625, 8.4375]);
  });
  it('halves the 4x4 ramp to the known pixels', () => {
    expect([...ops.firDown2(image4()).dataSync()]).toEqual([2.734375, 3.9375, 7.546875, 8.75]);
  });
  it('keeps each channel to itself', () => {
    const two = tf.concat([image4(), tf.zerosLike(image4())], 3);
    const [first, second] = tf.split(ops.firUp2(t4(two)), 2, 3);
    expect(maxDifference(first!, ops.firUp2(image4()))).toBe(0);
    expect(tf.max(tf.abs(second!)).dataSync()[0]).toBe(0);
  });
  it('has up and down as transposes of each other, up to the gain', () => {
    const x = t4(uniform([2, 8, 8, 3], 'x'));
    const y = t4(uniform([2, 4, 4, 3], 'y'));
    const left = tf.sum(tf.mul(ops.firDown2(x), y)).dataSync()[0]!;
    const right = tf.sum(tf.mul(x, ops.firUp2(y, 1 / 4))).dataSync()[0]!;
    expect(left).toBeCloseTo(right, 5);
  });
});

describe('resampling convolutions', () => {
  const x = (): tf.Tensor4D => t4(uniform([2, 4, 4, 3], 'x'));
  const weight = (): tf.Tensor4D => t4(uniform([3, 3, 3, 5], 'w'));
  const fir = (channels: number, gain: number): tf.Tensor4D => {
    // A full kernel with the filter on its diagonal: an independent route to the per-channel blur.
    const taps = [1, 3, 3, 1].flatMap((a) => [1, 3, 3, 1].map((b) => (a * b * gain) / 64));
    return tf.mul(
      tf.reshape(tf.tensor1d(taps), [4, 4, 1, 1]),
      tf.reshape(tf.eye(channels), [1, 1, channels, channels]),
    );
  };
  const stuff = (image: tf.Tensor4D): tf.Tensor4D => {
    const [n, h, w, c] = image.shape;
    const columns = tf.reshape(tf.stack([image, tf.zerosLike(image)], 3), [n, h, 2 * w, c]);
    return tf.reshape(tf.stack([columns, tf.zerosLike(columns)], 2), [n, 2 * h, 2 * w, c]);
  };
  const pad = (image: tf.Tensor4D, p0: number, p1: number): tf.Tensor4D =>
    tf.pad(image, [
      [0, 0],
      [p0, p1],
      [p0, p1],
      [0, 0],
    ]);

  it('upsamples as zero-stuff, pad 3 and 2, blur, correlate (stylegan2.md 2.5)', () => {
    const blurred = tf.conv2d(pad(stuff(x()), 3, 2), fir(3, 4), 1, 'valid');
    const expected = tf.conv2d(blurred, weight(), 1, 'valid');
    const found = ops.convUp2(x(), weight());
    expect(found.shape).toEqual([2, 8, 8, 5]);
    expect(maxDifference(found, expected)).toBeLessThan(1e-5);
  });
  it('downsamples as blur padded by 2 and 2, then correlate by steps of two', () => {
    const expected = tf.conv2d(tf.conv2d(pad(x(), 2, 2), fir(3, 1), 1, 'valid'), weight(), 2, 'valid');
    const found = ops.convDown2(x(), weight());
    expect(found.shape).toEqual([2, 2, 2, 5]);
    expect(maxDifference(found, expected)).toBeLessThan(1e-5);
  });
});

describe('minibatchStddev', () => {
  it('appends the mean deviation of the group i mod M to each image', () => {
    const values = [0, 10, 2, 10, 4, 10, 6, 10]; // 8 images of one pixel: groups {0,2,4,6} and {10,10,10,10}
    const found = ops.minibatchStddev(tf.tensor4d(values, [8, 1, 1, 1])).arraySync();
    const appended = found.map((image) => image[0]![0]![1]!);
    appended.forEach((value, i) => expect(value).toBeCloseTo(i % 2 === 0 ? Math.sqrt(5) : 1e-4, 5));
    expect(found.map((image) => image[0]![0]![0])).toEqual(values);
  });
  it('refuses a batch that groups do not divide', () => {
    expect(() => ops.minibatchStddev(tf.zeros([6, 4, 4, 2]))).toThrow('multiple of 4 images, got 6');
  });
});

describe('second derivatives agree with central differences', () => {
  const cases: Record<string, { f: (...args: tf.Tensor[]) => tf.Tensor; shapes: number[][] }> = {
    conv2d: {
      f: (x, w) => ops.conv2d(t4(x), t4(w)),
      shapes: [
        [2, 4, 4, 2],
        [3, 3, 2, 3],
      ],
    },
    convDown2: {
      f: (x, w) => ops.convDown2(t4(x), t4(w)),
      shapes: [
        [2, 4, 4, 2],
        [3, 3, 2, 3],
      ],
    },
    convUp2: {
      f: (x, w) => ops.convUp2(t4(x), t4(w)),
      shapes: [
        [2, 4, 4, 2],
        [3, 3, 2, 3],
      ],
    },
    'blur with uneven padding': { f: (x) => ops.blur(t4(x), { p0: 2, p1: 1, gain: 4 }), shapes: [[2, 4, 4, 2]] },
    firUp2: { f: (x) => ops.firUp2(t4(x)), shapes: [[2, 4, 4, 2]] },
    firDown2: { f: (x) => ops.firDown2(t4(x), 3), shapes: [[2, 4, 4, 2]] },
    minibatchStddev: { f: (x) => ops.minibatchStddev(t4(x)), shapes: [[4, 2, 2, 2]] },
    softplus: { f: (x) => ops.softplus(x), shapes: [[10]] },
    'gradient in the filter (Conv2DBackpropFilter)': {
      f: (w, x) => ops.conv2d(t4(x), t4(w)),
      shapes: [
        [3, 3, 2, 3],
        [2, 4, 4, 2],
      ],
    },
    'demodulation (square, sum, matMul, rsqrt)': {
      f: (s, w) =>
        tf.rsqrt(tf.add(tf.matMul(tf.square(s) as tf.Tensor2D, tf.sum(tf.square(w), [0, 1]) as tf.Tensor2D), 0.1)),
      shapes: [
        [2, 3],
        [3, 3, 3, 4],
      ],
    },
    'broadcast products and sums': {
      f: (x, s, b) => tf.add(tf.mul(x, tf.reshape(s, [2, 1, 1, 3])), b),
      shapes: [[2, 4, 4, 3], [2, 3], [3]],
    },
    'split and concat': {
      f: (x) => {
        const [a, b] = tf.split(x, 2, 1);
        return tf.concat([tf.mul(a!, b!), tf.square(b!)], 1);
      },
      shapes: [[3, 4]],
    },
  };
  it.each(Object.entries(cases))('%s', (_, { f, shapes }) => {
    const args = shapes.map((shape, i) => uniform(shape, `argument${i}`));
    expect(directionalError(gradientPenalty(f), args)).toBeLessThan(1e-2);
  });
  it('notices a gradient that is right once and wrong twice (the check itself works)', () => {
    const linear = (dy: tf.Tensor, factor: tf.Tensor): tf.Tensor =>
      tf.customGrad((d) => ({
        value: tf.mul(d as tf.Tensor, factor),
        gradFunc: (dd: tf.Tensor) => tf.mul(dd, factor),
      }))(dy);
    const square = (x: tf.Tensor): tf.Tensor =>
      tf.customGrad((t) => {
        const twice = tf.keep(tf.mul(t as tf.Tensor, 2));
        return { value: tf.square(t as tf.Tensor), gradFunc: (dy: tf.Tensor) => linear(dy, twice) };
      })(x);
    expect(directionalError(gradientPenalty(square), [uniform([10], 'argument0')])).toBeGreaterThan(0.1);
  });
});

describe('leakyRelu', () => {
  it('is x above zero and 0.2 x below', () => {
    expect([...ops.leakyRelu(tf.tensor1d([-2, 0, 3])).dataSync()]).toEqual([Math.fround(-0.4), 0, 3]);
  });
  it('has the derivatives of a product with a constant mask, first and second', () => {
    const x = uniform([40], 'x');
    const mask = tf.where(tf.greater(x, 0), tf.onesLike(x), tf.fill([40], 0.2));
    const cubed = (f: (t: tf.Tensor) => tf.Tensor) => (t: tf.Tensor) => tf.mul(f(t), tf.square(f(t)));
    const fast = gradientPenalty(cubed((t) => ops.leakyRelu(t)));
    const slow = gradientPenalty(cubed((t) => tf.mul(t, mask)));
    expect(maxDifference(fast(x), slow(x))).toBeLessThan(1e-5);
    expect(maxDifference(tf.grad(fast)(x), tf.grad(slow)(x))).toBeLessThan(1e-4);
  });
});

it('leaves no tensor behind', () => {
  const x = uniform([4, 4, 4, 2], 'x');
  const w = uniform([3, 3, 2, 2], 'w');
  const step = (): void =>
    tf.dispose(tf.tidy(() => tf.grads(gradientPenalty((a, b) => ops.leakyRelu(ops.convDown2(t4(a), t4(b)))))([x, w])));
  step();
  const before = tf.memory().numTensors;
  step();
  expect(tf.memory().numTensors).toBe(before);
});

describe('gatherRows', () => {
  const table = (): tf.Tensor2D => tf.tensor2d([1, 2, 3, 4, 5, 6], [3, 2]);
  const rows = (): tf.Tensor1D => tf.tensor1d([2, 0, 2, 2], 'int32');
  it('takes rows by number, and adds up the gradient of those taken often', () => {
    expect([...ops.gatherRows(table(), rows()).dataSync()]).toEqual([5, 6, 1, 2, 5, 6, 5, 6]);
    const dy = tf.tensor2d([1, 2, 3, 4, 10, 20, 100, 200], [4, 2]);
    const gradient = tf.grad((x) => ops.gatherRows(x as tf.Tensor2D, rows()))(table(), dy);
    expect([...gradient.dataSync()]).toEqual([3, 4, 0, 0, 111, 222]);
  });
  it('may be differentiated twice', () => {
    const taken = (x: tf.Tensor): tf.Tensor => ops.gatherRows(x as tf.Tensor2D, rows());
    expect(directionalError(gradientPenalty(taken), [uniform([3, 2], 'x')])).toBeLessThan(0.01);
  });
});

import { randomNormal, randomUniform } from '../engine/random-ops.ts';
import { tf } from '../engine/tf.ts';
import { identityMap, thenMoved, thenScaled, thenTurned, type AffineMap } from './affine-map.ts';
import { affineWarp } from './warp.ts';

/**
 * The changes of adaptive discriminator augmentation (Karras et al. 2020, "Training generative adversarial networks with
 * limited data", appendix B; stylegan2.md 5.1). Each befalls each image with probability p by itself; with p = 0 an image
 * stays as it is, bit for bit. Linear in the image up to an offset, hence differentiable as often as needed.
 */

/** Which changes a pipe holds and how far they go; 0 and false leave one out. */
export interface Pipe {
  readonly mirror: boolean;
  readonly quarterTurns: boolean;
  /** Moves by whole pixels, uniform up to this share of the side. */
  readonly integerTranslation: number;
  /** Standard deviation of log2 of the factor. */
  readonly scale: number;
  /** Any angle, before and after the stretch. */
  readonly rotation: boolean;
  /** Standard deviation of log2 of the factor along x; along y its inverse. */
  readonly stretch: number;
  /** Standard deviation, share of the side. */
  readonly fractionalTranslation: number;
  /** Standard deviation of what is added, of the range [-1, 1]. */
  readonly brightness: number;
  /** Standard deviation of log2 of the factor about 0. */
  readonly contrast: number;
  readonly lumaFlip: boolean;
  /** Any angle about the grey axis; RGB only. */
  readonly hue: boolean;
  /** Standard deviation of log2 of the factor; RGB only. */
  readonly saturation: number;
  /** Of the half-normal standard deviation of the noise, of the range [-1, 1]. */
  readonly noise: number;
}

export const pipes = {
  /** What a second scan of the same lesion could show: the beam stays above, echoes stay bright; scale at half the published spread. */
  ultrasound: {
    ...{ mirror: true, quarterTurns: false, integerTranslation: 0.125 },
    ...{ scale: 0.1, rotation: false, stretch: 0, fractionalTranslation: 0.125 },
    ...{ brightness: 0.2, contrast: 0.5, lumaFlip: false, hue: false, saturation: 0 },
    noise: 0.1,
  },
  /** The published default: blit, geometry, colour. */
  bgc: {
    ...{ mirror: true, quarterTurns: true, integerTranslation: 0.125 },
    ...{ scale: 0.2, rotation: true, stretch: 0.2, fractionalTranslation: 0.125 },
    ...{ brightness: 0.2, contrast: 0.5, lumaFlip: true, hue: true, saturation: 1 },
    noise: 0,
  },
} as const satisfies Readonly<Record<string, Pipe>>;

/** What befalls the images of one pass. */
export interface Changes {
  /** 1 where the image is flipped left to right, [N]; null where the pipe never does. */
  readonly mirror: tf.Tensor1D | null;
  /** Turns by 90 degrees clockwise, 0 to 3, [N]; null where the pipe has none. */
  readonly quarterTurns: tf.Tensor1D | null;
  readonly map: AffineMap;
  /** 1 where `map` is not the identity, [N]. */
  readonly mapped: tf.Tensor1D;
  readonly colour: Colour;
  /** Standard deviation, [N], and N(0, 1) in the shape of the images; null where the pipe has none. */
  readonly noise: { readonly strength: tf.Tensor1D; readonly normal: tf.Tensor4D } | null;
}

/** Colour vectors times a matrix plus an offset. */
export interface Colour {
  /** [N, C, C], symmetrical but for the hue. */
  readonly matrix: tf.Tensor3D;
  /** Added to every channel, [N]. */
  readonly offset: tf.Tensor1D;
}

/** Streams of one change: whether, how far, and what else it draws. */
const stream = {
  mirror: 0,
  quarterTurns: 3,
  integerTranslation: 6,
  scale: 9,
  turnBefore: 12,
  stretch: 15,
  turnAfter: 18,
  fractionalTranslation: 21,
  brightness: 24,
  contrast: 27,
  lumaFlip: 30,
  hue: 33,
  saturation: 36,
  noise: 39,
} as const;

export interface ChangeDraws {
  readonly images: number;
  readonly resolution: number;
  readonly channels: number;
  /** Probability of each change, scalar. */
  readonly p: tf.Scalar;
  /** int32 [2] */
  readonly seed: tf.Tensor1D;
  /** Number of the first of the 64 streams that the draws may use. */
  readonly firstStream: number;
}

interface Dice {
  /** 1 with the probability given, otherwise 0; [N]. */
  happens(at: number, probability?: tf.Scalar): tf.Tensor1D;
  /** 1 or 0 with equal probability, [N]. */
  half(at: number): tf.Tensor1D;
  /** From [0, 1), [N]. */
  uniform(at: number): tf.Tensor1D;
  /** N(0, 1), [N]. */
  normal(at: number): tf.Tensor1D;
}

function diceOf({ images, p, seed, firstStream }: ChangeDraws): Dice {
  const uniform = (at: number): tf.Tensor1D => randomUniform([images], seed, firstStream + at) as tf.Tensor1D; // as asked
  return {
    happens: (at, probability = p) => tf.cast(tf.less(uniform(at), probability), 'float32'),
    half: (at) => tf.cast(tf.less(uniform(at), 0.5), 'float32'),
    uniform,
    normal: (at) => randomNormal([images], seed, firstStream + at) as tf.Tensor1D, // as asked
  };
}

/** 2 to the power of x; exactly 1 at 0. */
const powerOfTwo = (x: tf.Tensor1D): tf.Tensor1D => tf.exp(tf.mul(x, Math.LN2));

function drawMap(pipe: Pipe, draws: ChangeDraws): Pick<Changes, 'map' | 'mapped'> {
  const { images, resolution, p } = draws;
  const dice = diceOf(draws);
  const happened: tf.Tensor1D[] = [];
  const happens = (at: number, probability?: tf.Scalar): tf.Tensor1D => {
    const gate = dice.happens(at, probability);
    happened.push(gate);
    return gate;
  };
  let map = identityMap(images);
  if (pipe.integerTranslation > 0) {
    const gate = happens(stream.integerTranslation);
    const pixels = (at: number): tf.Tensor1D =>
      tf.mul(gate, tf.round(tf.mul(tf.sub(dice.uniform(at), 0.5), 2 * pipe.integerTranslation * resolution)));
    map = thenMoved(map, pixels(stream.integerTranslation + 1), pixels(stream.integerTranslation + 2));
  }
  const factor = (at: number, spread: number): tf.Tensor1D =>
    powerOfTwo(tf.mul(happens(at), tf.mul(dice.normal(at + 1), spread)));
  if (pipe.scale > 0) {
    const both = factor(stream.scale, pipe.scale);
    map = thenScaled(map, both, both);
  }
  // Two turns with this probability each are at least one with probability p.
  const once = tf.sub<tf.Scalar>(1, tf.sqrt(tf.sub(1, p)));
  const angle = (at: number): tf.Tensor1D =>
    tf.mul(happens(at, once), tf.mul(tf.sub(dice.uniform(at + 1), 0.5), 2 * Math.PI));
  if (pipe.rotation) map = thenTurned(map, angle(stream.turnBefore));
  if (pipe.stretch > 0) {
    const along = factor(stream.stretch, pipe.stretch);
    map = thenScaled(map, along, tf.div(1, along));
  }
  if (pipe.rotation) map = thenTurned(map, angle(stream.turnAfter));
  if (pipe.fractionalTranslation > 0) {
    const gate = happens(stream.fractionalTranslation);
    const pixels = (at: number): tf.Tensor1D =>
      tf.mul(gate, tf.mul(dice.normal(at), pipe.fractionalTranslation * resolution));
    map = thenMoved(map, pixels(stream.fractionalTranslation + 1), pixels(stream.fractionalTranslation + 2));
  }
  const mapped = happened.length === 0 ? tf.zeros<tf.Rank.R1>([images]) : tf.max<tf.Tensor1D>(tf.stack(happened), 0);
  return { map, mapped };
}

/** Projection on the grey axis, [C, C]. */
const grey = (channels: number): tf.Tensor2D => tf.fill([channels, channels], 1 / channels);

/** Rotation by 90 degrees of what is perpendicular to the grey axis, [3, 3]. */
const hueTurn = (): tf.Tensor2D =>
  tf.div(
    tf.tensor2d([
      [0, -1, 1],
      [1, 0, -1],
      [-1, 1, 0],
    ]),
    Math.sqrt(3),
  );

/** Changes of colour of the images of one pass, [N] each; null where the pipe has none. */
export interface ColourDraws {
  /** Added. */
  readonly brightness: tf.Tensor1D;
  /** Factor about 0. */
  readonly contrast: tf.Tensor1D;
  /** 1 where light and dark change places. */
  readonly lumaFlip: tf.Tensor1D | null;
  /** rad; RGB only. */
  readonly hue: tf.Tensor1D | null;
  /** Factor of the distance from the grey axis; RGB only. */
  readonly saturation: tf.Tensor1D | null;
}

function drawColour(pipe: Pipe, draws: ChangeDraws): ColourDraws {
  const dice = diceOf(draws);
  const spread = (at: number, deviation: number): tf.Tensor1D =>
    tf.mul(dice.happens(at), tf.mul(dice.normal(at + 1), deviation));
  const rgb = draws.channels === 3;
  const angle = (): tf.Tensor1D => tf.mul(tf.sub(dice.uniform(stream.hue + 1), 0.5), 2 * Math.PI);
  return {
    brightness: spread(stream.brightness, pipe.brightness),
    contrast: powerOfTwo(spread(stream.contrast, pipe.contrast)),
    lumaFlip: pipe.lumaFlip ? tf.mul<tf.Tensor1D>(dice.happens(stream.lumaFlip), dice.half(stream.lumaFlip + 1)) : null,
    hue: rgb && pipe.hue ? tf.mul<tf.Tensor1D>(dice.happens(stream.hue), angle()) : null,
    saturation: rgb && pipe.saturation > 0 ? powerOfTwo(spread(stream.saturation, pipe.saturation)) : null,
  };
}

/** The draws as one matrix and offset, in their order; exactly the identity where nothing happens. */
export function composeColour(
  { brightness, contrast, lumaFlip, hue, saturation }: ColourDraws,
  channels: number,
): Colour {
  const perImage = (x: tf.Tensor1D): tf.Tensor3D => tf.reshape(x, [x.shape[0], 1, 1]);
  const one = tf.eye(channels);
  const axis = grey(channels);
  let offset = tf.mul<tf.Tensor1D>(brightness, contrast);
  let matrix = tf.mul<tf.Tensor3D>(one, perImage(contrast));
  const then = (next: tf.Tensor3D): void => void (matrix = tf.matMul(next, matrix));
  if (lumaFlip !== null) {
    then(tf.sub<tf.Tensor3D>(one, tf.mul(axis, perImage(tf.mul(lumaFlip, 2)))));
    offset = tf.mul<tf.Tensor1D>(offset, tf.sub(1, tf.mul(lumaFlip, 2)));
  }
  if (hue !== null) {
    const [cos, sin] = [perImage(tf.cos(hue)), perImage(tf.sin(hue))];
    const turned = tf.add(tf.mul(one, cos), tf.mul(axis, tf.sub(1, cos)));
    then(tf.add<tf.Tensor3D>(turned, tf.mul(hueTurn(), sin)));
  }
  if (saturation !== null) {
    const factor = perImage(saturation);
    then(tf.add<tf.Tensor3D>(tf.mul(one, factor), tf.mul(axis, tf.sub(1, factor))));
  }
  return { matrix, offset };
}

/** Draws what befalls the images of one pass; a function of seed, first stream and p. */
export function drawChanges(pipe: Pipe, draws: ChangeDraws): Changes {
  const { images, resolution, channels, seed, firstStream } = draws;
  const dice = diceOf(draws);
  const noise = (): Changes['noise'] => {
    const strength = tf.abs<tf.Tensor1D>(tf.mul(dice.normal(stream.noise + 1), pipe.noise));
    const shape = [images, resolution, resolution, channels];
    const normal = randomNormal(shape, seed, firstStream + stream.noise + 2) as tf.Tensor4D; // as asked
    return { strength: tf.mul<tf.Tensor1D>(dice.happens(stream.noise), strength), normal };
  };
  const turns = (): tf.Tensor1D =>
    tf.mul(dice.happens(stream.quarterTurns), tf.floor<tf.Tensor1D>(tf.mul(dice.uniform(stream.quarterTurns + 1), 4)));
  return {
    mirror: pipe.mirror ? tf.mul<tf.Tensor1D>(dice.happens(stream.mirror), dice.half(stream.mirror + 1)) : null,
    quarterTurns: pipe.quarterTurns ? turns() : null,
    ...drawMap(pipe, draws),
    colour: composeColour(drawColour(pipe, draws), channels),
    noise: pipe.noise > 0 ? noise() : null,
  };
}

/** `a` where the choice is 1 and `b` where it is 0, [N]; exactly so. */
function select(choice: tf.Tensor1D, a: tf.Tensor4D, b: tf.Tensor4D): tf.Tensor4D {
  const perImage = tf.reshape(choice, [choice.shape[0], 1, 1, 1]);
  return tf.add(tf.mul(a, perImage), tf.mul(b, tf.sub(1, perImage)));
}

/** One turn by 90 degrees clockwise. */
const quarterTurn = (images: tf.Tensor4D): tf.Tensor4D => tf.reverse(tf.transpose(images, [0, 2, 1, 3]), 2);

function turned(images: tf.Tensor4D, turns: tf.Tensor1D): tf.Tensor4D {
  const half = tf.cast<tf.Tensor1D>(tf.greaterEqual(turns, 2), 'float32');
  const odd = tf.sub<tf.Tensor1D>(turns, tf.mul(half, 2));
  const once = select(odd, quarterTurn(images), images);
  return select(half, tf.reverse(once, [1, 2]), once);
}

function recoloured(images: tf.Tensor4D, { matrix, offset }: Colour): tf.Tensor4D {
  const [n, , , channels] = images.shape;
  const added = tf.reshape(offset, [n, 1, 1, 1]);
  if (channels === 1) return tf.add(tf.mul(images, tf.reshape(matrix, [n, 1, 1, 1])), added);
  // Sums of products instead of a matrix product, which reduced precision would round where nothing changes.
  const columns = tf.split<tf.Tensor3D>(matrix, channels, 2); // [N, C, 1] each
  const parts = tf.split<tf.Tensor4D>(images, channels, 3).map((channel, i) => {
    const column = tf.reshape(columns[i] ?? matrix, [n, 1, 1, channels]);
    return tf.mul<tf.Tensor4D>(channel, column);
  });
  return tf.add(tf.addN(parts), added);
}

/** The images after the changes, [N, R, R, C]: whole pixels, map, colour, noise. */
export function applyChanges(images: tf.Tensor4D, changes: Changes): tf.Tensor4D {
  const { mirror, quarterTurns, map, mapped, colour, noise } = changes;
  const mirrored = mirror === null ? images : select(mirror, tf.reverse(images, 2), images);
  const upright = quarterTurns === null ? mirrored : turned(mirrored, quarterTurns);
  const moved = select(mapped, affineWarp(upright, map), upright);
  const shaded = recoloured(moved, colour);
  if (noise === null) return shaded;
  return tf.add(shaded, tf.mul(noise.normal, tf.reshape(noise.strength, [images.shape[0], 1, 1, 1])));
}

/**
 * The random numbers of numpy.random.RandomState(seed): an image's seed means here what it means to the original StyleGAN2
 * tools. Words and uniforms agree to the bit, normals to the last digit of a double (NumPy takes its logarithm from the C
 * library, we from the JavaScript engine), so as float32 they agree. Not the streams of lib/random.ts, which serve all else.
 */

const stateWords = 624;
const shiftWords = 397;

/** MT19937 seeded by one word (Matsumoto and Nishimura 2002, init_genrand); each call gives 32 random bits. */
export function mersenneTwister(seed: number): () => number {
  if (!Number.isInteger(seed) || seed < 0 || seed > 0xffff_ffff)
    throw new RangeError(`expected a seed from 0 to 4294967295, as NumPy takes it, got ${seed}`);
  const state = new Uint32Array(stateWords);
  state[0] = seed;
  for (let i = 1, previous = seed; i < stateWords; i++) {
    previous = (Math.imul(1_812_433_253, previous ^ (previous >>> 30)) + i) >>> 0;
    state[i] = previous;
  }
  let position = stateWords;
  return () => {
    if (position === stateWords) {
      twist(state);
      position = 0;
    }
    let y = state[position++] as number; // position is below 624
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c_5680;
    y ^= (y << 15) & 0xefc6_0000;
    return (y ^ (y >>> 18)) >>> 0;
  };
}

function twist(state: Uint32Array): void {
  for (let i = 0; i < stateWords; i++) {
    // All three indices are taken modulo 624.
    const upper = (state[i] as number) & 0x8000_0000;
    const y = upper | ((state[(i + 1) % stateWords] as number) & 0x7fff_ffff);
    state[i] = (state[(i + shiftWords) % stateWords] as number) ^ (y >>> 1) ^ (y & 1 ? 0x9908_b0df : 0);
  }
}

/**
 * Standard normal draws of RandomState(seed).randn: Marsaglia's polar method on 53-bit doubles. Each accepted point gives
 * two; the second coordinate's comes first.
 */
export function numpyNormals(seed: number): () => number {
  const nextWord = mersenneTwister(seed);
  const nextDouble = (): number => {
    const high = nextWord() >>> 5;
    return (high * 67_108_864 + (nextWord() >>> 6)) / 9_007_199_254_740_992;
  };
  let kept: number | null = null;
  return () => {
    if (kept !== null) {
      const value = kept;
      kept = null;
      return value;
    }
    for (;;) {
      const x1 = 2 * nextDouble() - 1;
      const x2 = 2 * nextDouble() - 1;
      const r2 = x1 * x1 + x2 * x2;
      if (r2 >= 1 || r2 === 0) continue;
      const factor = Math.sqrt((-2 * Math.log(r2)) / r2);
      kept = factor * x1;
      return factor * x2;
    }
  };
}

/**
 * RandomState(seed).shuffle of 0..count-1: the order in which the original's dataset tool stores the files of a folder
 * (seed 123, stylegan2.md 4.1). Fisher and Yates from the end; each index by masking words until one fits.
 */
export function numpyShuffledIndices(seed: number, count: number): number[] {
  const nextWord = mersenneTwister(seed);
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const mask = 2 ** Math.ceil(Math.log2(i + 1)) - 1;
    let j = (nextWord() & mask) >>> 0;
    while (j > i) j = (nextWord() & mask) >>> 0;
    const held = order[i] as number; // i and j are below count
    order[i] = order[j] as number;
    order[j] = held;
  }
  return order;
}

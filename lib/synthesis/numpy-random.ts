/**
 * The random numbers of numpy.random.RandomState(seed): an image's seed means here what it means to the original StyleGAN2
 * tools. Words and uniforms agree to the bit, normals to the last digit of a double (NumPy takes its logarithm from the C
 * library, we from the JavaScript engine), so as float32 they agree. Not the streams of lib/random.ts, which serve all else.
 */

const stateWords = 624;
const shiftWords = 397;

/** MT19937 seeded by one word (Matsumoto and Nishimura 2002, init_genrand); each call gives 32 random bits. */
export function mersenneTwister(seed: number): () => number {
  const nextBlock = twisterBlocks(seed);
  let words = nextBlock();
  let position = 0;
  return () => {
    if (position === stateWords) {
      words = nextBlock();
      position = 0;
    }
    return words[position++] as number; // position is below 624
  };
}

/** The same, 624 words at a time; the next call overwrites them. */
function twisterBlocks(seed: number): () => Uint32Array {
  if (!Number.isInteger(seed) || seed < 0 || seed > 0xffff_ffff)
    throw new RangeError(`expected a seed from 0 to 4294967295, as NumPy takes it, got ${seed}`);
  const state = new Uint32Array(stateWords);
  const words = new Uint32Array(stateWords);
  state[0] = seed;
  for (let i = 1, previous = seed; i < stateWords; i++) {
    previous = (Math.imul(1_812_433_253, previous ^ (previous >>> 30)) + i) >>> 0;
    state[i] = previous;
  }
  return () => {
    twist(state);
    for (let i = 0; i < stateWords; i++) {
      let y = state[i] as number; // i is below 624
      y ^= y >>> 11;
      y ^= (y << 7) & 0x9d2c_5680;
      y ^= (y << 15) & 0xefc6_0000;
      words[i] = y ^ (y >>> 18);
    }
    return words;
  };
}

function twist(state: Uint32Array): void {
  for (let i = 0; i < stateWords; i++) {
    const next = i + 1 < stateWords ? i + 1 : 0;
    const shifted = i + shiftWords < stateWords ? i + shiftWords : i + shiftWords - stateWords;
    const y = ((state[i] as number) & 0x8000_0000) | ((state[next] as number) & 0x7fff_ffff); // indices below 624
    state[i] = (state[shifted] as number) ^ (y >>> 1) ^ (y & 1 ? 0x9908_b0df : 0);
  }
}

/**
 * Standard normal draws of RandomState(seed).randn: Marsaglia's polar method on 53-bit doubles. Each accepted point
 * gives two; the second coordinate's comes first. Every call fills its argument with the next draws of the stream.
 */
export function numpyNormals(seed: number): (target: Float32Array | Float64Array) => void {
  const nextBlock = twisterBlocks(seed);
  let words = nextBlock();
  let position = 0;
  let kept: number | null = null;
  // 53 bits of two words, in [0, 1); a point takes four of the 624 words of a block.
  const doubleAt = (at: number): number =>
    (((words[at] as number) >>> 5) * 67_108_864 + ((words[at + 1] as number) >>> 6)) / 9_007_199_254_740_992;
  return (target) => {
    let filled = 0;
    if (kept !== null && target.length > 0) {
      target[filled++] = kept;
      kept = null;
    }
    while (filled < target.length) {
      if (position === stateWords) {
        words = nextBlock();
        position = 0;
      }
      const x1 = 2 * doubleAt(position) - 1;
      const x2 = 2 * doubleAt(position + 2) - 1;
      position += 4;
      const r2 = x1 * x1 + x2 * x2;
      if (r2 >= 1 || r2 === 0) continue;
      const factor = Math.sqrt((-2 * Math.log(r2)) / r2);
      target[filled++] = factor * x2;
      if (filled < target.length) target[filled++] = factor * x1;
      else kept = factor * x1;
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

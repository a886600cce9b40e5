/**
 * Numbers that TypeScript and Python compute alike, bit for bit: the other side of bench/reference/recipe.py, which holds
 * the definition.
 */

function fnv1a(name: string): number {
  let h = 0x811c9dc5;
  for (const byte of Buffer.from(name)) h = Math.imul(h ^ byte, 0x01000193);
  return h >>> 0;
}

/** hash(name, i) for i below `count`. */
function hashes(name: string, count: number): Uint32Array {
  const start = fnv1a(name);
  return Uint32Array.from({ length: count }, (_, i) => {
    let x = (start + Math.imul(i, 0x9e3779b9)) >>> 0;
    x ^= x >>> 16;
    x = Math.imul(x, 0x85ebca6b);
    x ^= x >>> 13;
    x = Math.imul(x, 0xc2b2ae35);
    return x ^ (x >>> 16);
  });
}

/** Nearly normal deviates times `scale`, rounded to float32. */
export function recipeValues(name: string, size: number, scale = 1): Float32Array {
  const words = hashes(name, 4 * size);
  const u = (i: number): number => (words[i]! + 0.5) / 2 ** 32;
  return Float32Array.from(
    { length: size },
    (_, i) => (u(4 * i) + u(4 * i + 1) + u(4 * i + 2) + u(4 * i + 3) - 2) * Math.sqrt(3) * scale,
  );
}

export const projectionCount = 16;

/** Products of a gradient with the 16 vectors of +-1 that belong to its variable. */
export function project(name: string, gradient: ArrayLike<number>): number[] {
  const bits = hashes(`${name}/projection`, gradient.length);
  const products = new Array<number>(projectionCount).fill(0);
  for (let i = 0; i < gradient.length; i++)
    for (let j = 0; j < projectionCount; j++) products[j]! += (bits[i]! >>> j) & 1 ? -gradient[i]! : gradient[i]!;
  return products;
}

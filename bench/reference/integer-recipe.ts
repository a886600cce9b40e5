import { sizeOf } from '../../lib/classifier/shape-layers.ts';

/** Weights and images that integer_recipe.py computes by the same integers; nothing large needs to be stored. */

function fnv1a(text: string): number {
  let value = 0x811c9dc5;
  for (const byte of Buffer.from(text)) value = Math.imul(value ^ byte, 0x01000193) >>> 0;
  return value;
}

/** `count` well mixed 32-bit integers that belong to `text`. */
export function mixed(text: string, count: number): Uint32Array {
  const start = fnv1a(text);
  const out = new Uint32Array(count); // filled in a loop: whole networks are made of this
  for (let i = 0; i < count; i++) {
    let x = (start + Math.imul(i, 0x9e3779b1)) >>> 0;
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b) >>> 0;
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35) >>> 0;
    out[i] = x ^ (x >>> 16);
  }
  return out;
}

/** Value of the weight `name`, e.g. conv2d_1/kernel: uniform, its bounds chosen so that activations stay near 1. */
export function recipe({ name, shape }: { readonly name: string; readonly shape: readonly number[] }): Float32Array {
  const bound = Math.sqrt(6 / sizeOf(shape.slice(0, -1)));
  const value = (unit: number): number => {
    if (name.endsWith('/kernel')) return bound * (2 * unit - 1);
    return name.endsWith('/moving_variance') ? 0.5 + unit : 0.2 * unit - 0.1;
  };
  const integers = mixed(name, sizeOf(shape));
  const out = new Float32Array(integers.length);
  for (let i = 0; i < out.length; i++) out[i] = value(((integers[i] ?? 0) >>> 8) / 2 ** 24);
  return out;
}

/** Images [count, side, side, 3] of 0..255, row after row. */
export function imageBytes(count: number, side: number): Uint8Array {
  const bytes = new Uint8Array(count * side * side * 3);
  let i = 0;
  for (let n = 0; n < count; n++)
    for (let y = 0; y < side; y++)
      for (let x = 0; x < side; x++)
        for (let c = 0; c < 3; c++) bytes[i++] = 3 * x + 5 * y + 40 * c + 67 * n + Math.floor((x * y * (n + 1)) / 16); // modulo 256
  return bytes;
}

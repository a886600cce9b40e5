import { readFileSync } from 'node:fs';
import { tf } from '../../../lib/engine/tf.ts';
import { recipeValues } from './recipe.ts';

/** What bench/reference/make_augment_fixtures.py computed, and the images that it computed with. */
export interface AugmentFixture {
  readonly affine: readonly {
    readonly name: string;
    readonly side: number;
    readonly channels: number;
    readonly map: Readonly<Record<'xx' | 'xy' | 'x0' | 'yx' | 'yy' | 'y0', number>>;
    readonly out: readonly number[];
    readonly gradient: readonly number[];
  }[];
  readonly colour: readonly {
    readonly draws: Readonly<Record<'brightness' | 'contrast' | 'lumaFlip' | 'hue' | 'saturation', number>>;
    readonly matrix: readonly (readonly number[])[];
  }[];
  readonly diffaugment: readonly {
    readonly channels: number;
    readonly draws: Readonly<Record<'brightness' | 'saturation' | 'contrast' | 'dx' | 'dy' | 'left' | 'top', number>>;
    readonly out: readonly number[];
  }[];
}

export const augmentFixture = JSON.parse(
  readFileSync(new URL('fixtures/augment.json', import.meta.url), 'utf8'),
) as AugmentFixture; // as the script writes it

/** One image of the recipe, [1, R, R, C]. */
export function recipeImage(name: string, side: number, channels: number): tf.Tensor4D {
  return tf.tensor4d(recipeValues(name, side * side * channels, 0.5), [1, side, side, channels]);
}

/** Largest distance of two lists of numbers. */
export function farthest(found: ArrayLike<number>, wanted: ArrayLike<number>): number {
  if (found.length !== wanted.length) return Infinity;
  return Math.max(...Array.from(found, (value, i) => Math.abs(value - wanted[i]!)));
}

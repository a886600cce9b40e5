import { shuffled, type Rng } from '../random.ts';

/**
 * Two random halves of `count` images, as sorted indices; an odd one goes to the first. The distance between halves of the
 * same reals is the floor that no generator can be expected to pass. Throws RangeError below four images.
 */
export function splitHalves(count: number, rng: Rng): readonly [readonly number[], readonly number[]] {
  if (!Number.isInteger(count) || count < 4)
    throw new RangeError(`splitHalves requires at least four images (two per half), got ${count}`);
  const order = shuffled([...Array(count).keys()], rng);
  const middle = Math.ceil(count / 2);
  const sorted = (half: number[]): number[] => half.sort((x, y) => x - y);
  return [sorted(order.slice(0, middle)), sorted(order.slice(middle))];
}

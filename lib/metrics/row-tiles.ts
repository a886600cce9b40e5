import type { FeatureMatrix } from './feature-matrix.ts';
import { rowProducts } from './row-products.ts';

/** Rows of each set in a tile, which so takes 2 MB. */
const tileRows = 512;

/** Products of some rows of one set with some rows of another. */
export interface Tile {
  /** First row of the one set, and how many. */
  readonly top: number;
  readonly rows: number;
  /** First row of the other set, and how many. */
  readonly left: number;
  readonly columns: number;
  /** [rows, columns] */
  readonly products: Float64Array;
}

/**
 * Products of every image of `a` with every image of `b`, tile by tile: all of them together, 5 GB for 25,000 images with
 * themselves, are never in memory. `b` null: of `a` with itself, the tiles on and above the diagonal.
 */
export function* tilesOf(a: FeatureMatrix, b: FeatureMatrix | null): Generator<Tile> {
  const d = a.columns;
  const x = float64(a);
  const y = b === null ? x : float64(b);
  const all = (b ?? a).rows;
  for (let top = 0; top < a.rows; top += tileRows)
    for (let left = b === null ? top : 0; left < all; left += tileRows) {
      const rows = Math.min(tileRows, a.rows - top);
      const columns = Math.min(tileRows, all - left);
      const own = x.subarray(top * d, (top + rows) * d);
      const other = b === null && left === top ? own : y.subarray(left * d, (left + columns) * d);
      yield { top, rows, left, columns, products: rowProducts({ a: own, n: rows, b: other, m: columns, d }) };
    }
}

const float64 = ({ values }: FeatureMatrix): Float64Array =>
  values instanceof Float64Array ? values : Float64Array.from(values);

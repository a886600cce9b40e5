import type { TopLevelSpec } from 'vega-lite';

/** A figure as data: what it shows, said three ways (caption, alternative text, drawing). */
export interface FigureSpec {
  /** File name without extension, e.g. `snapshot-metric-positive`. */
  readonly name: string;
  readonly title: string;
  readonly caption: string;
  /** What a reader who cannot see it should know. */
  readonly alt: string;
  readonly spec: TopLevelSpec;
}

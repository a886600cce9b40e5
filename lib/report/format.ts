import type { Estimate, Interval, Spread } from '../../contract/manifests.ts';

/** Numbers as people read them. Written by hand: Intl output depends on the ICU release, and a report may not. */

/** `12,345`. */
export function formatCount(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** Three decimals, as AUC and shares are quoted: `0.905`. */
export function formatUnit(value: number): string {
  return value.toFixed(3);
}

/** Four significant digits without an exponent for everyday sizes: `123.4`, `0.01235`, `25,300`. */
export function formatNumber(value: number): string {
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 10_000 && size < 1e15) return value < 0 ? `-${formatCount(size)}` : formatCount(size);
  if (size < 1e-4 || size >= 1e15) return value.toExponential(2);
  return String(Number(value.toPrecision(4)));
}

/** `< 0.001` below that, otherwise three decimals. Never `0.000`. */
export function formatP(p: number): string {
  return p < 0.001 ? '< 0.001' : p.toFixed(3);
}

/** `p < 0.001` or `p = 0.033`. */
export function formatPEquals(p: number): string {
  return p < 0.001 ? 'p < 0.001' : `p = ${p.toFixed(3)}`;
}

/** `83.3%`. */
export function formatPercent(share: number): string {
  return `${(share * 100).toFixed(1)}%`;
}

/** `95%` for 0.95, `97.5%` for 0.975. */
export function formatLevel(level: number): string {
  return `${Number((level * 100).toFixed(4))}%`;
}

/** Thousands of images: `12,499 kimg`, `6.5 kimg`. */
export function formatKimg(nimg: number): string {
  const kimg = nimg / 1000;
  return `${kimg >= 100 ? formatCount(kimg) : String(Number(kimg.toFixed(2)))} kimg`;
}

/** `0.940 to 0.981`. */
export function formatInterval(interval: Interval): string {
  return `${formatUnit(interval.lower)} to ${formatUnit(interval.upper)}`;
}

/** `0.965 (95% interval 0.940 to 0.981)`; says so when there is no interval. */
export function formatEstimate(estimate: Estimate): string {
  const { value, ci } = estimate;
  return ci === null
    ? `${formatUnit(value)} (no interval)`
    : `${formatUnit(value)} (${formatLevel(ci.level)} interval ${formatInterval(ci)})`;
}

/** `0.951 (SD 0.012, 0.935 to 0.966)`. */
export const formatSpread = ({ mean, sd, min, max }: Spread): string =>
  `${formatUnit(mean)} (SD ${formatUnit(sd)}, ${formatUnit(min)} to ${formatUnit(max)})`;

/** `1 image`, `20 images`, `1,204 images`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

/** A sentence of somebody else without its full stop, to stand inside ours. */
export function withoutStop(text: string): string {
  return text.trim().replace(/\.$/, '');
}

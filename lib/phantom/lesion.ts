import type { ClassSide } from '../../contract/manifests.ts';
import type { Rng } from '../random.ts';

/** A lesion in the unit square, y downwards; levels in dB. */
export interface Lesion {
  /** 1 inside, 0 outside, soft at the margin. */
  readonly inside: (x: number, y: number) => number;
  /** Added level of the bright thin capsule or of the blurred echogenic halo. */
  readonly rim: (x: number, y: number) => number;
  /** Added level below the lesion: enhancement above 0, shadow below 0. */
  readonly behind: (x: number, y: number) => number;
  /** Mean echo level inside. */
  readonly echo: number;
  /** How much the tissue texture shows inside. */
  readonly unevenness: number;
}

/** Share of lesions that show the posterior feature of the other class, as real ones sometimes do. */
const atypical = 0.08;

const between = (rng: Rng, low: number, high: number): number => low + (high - low) * rng();

/** Benign: smooth wide oval, even, with enhancement behind. Malignant: irregular, tall, uneven, with a shadow. */
export function drawLesion(side: ClassSide, rng: Rng): Lesion {
  const malignant = side === 'positive';
  const centre = { x: between(rng, 0.36, 0.64), y: between(rng, 0.38, 0.56) };
  const size = between(rng, 0.11, 0.23);
  const tallness = malignant ? between(rng, 0.9, 1.45) : between(rng, 0.5, 0.9);
  const radius = { x: size / Math.sqrt(tallness), y: size * Math.sqrt(tallness) };
  const tilt = between(rng, -0.25, 0.25);
  const outline = drawOutline(malignant, rng);
  const softness = malignant ? between(rng, 0.1, 0.2) : between(rng, 0.03, 0.07);
  const capsule = malignant ? between(rng, 0, 2) : between(rng, 2, 5);
  const shadowed = rng() < atypical ? !malignant : malignant;
  const posterior = shadowed ? -between(rng, 7, 13) : between(rng, 3, 7);
  const echo = malignant ? between(rng, -28, -22) : between(rng, -30, -20);
  const unevenness = malignant ? between(rng, 4, 7) : between(rng, 0.5, 2);

  /** Distance from the centre in units of the outline: 1 on it. */
  const reach = (x: number, y: number): number => {
    const [dx, dy] = [x - centre.x, y - centre.y];
    const u = (dx * Math.cos(tilt) + dy * Math.sin(tilt)) / radius.x;
    const v = (dy * Math.cos(tilt) - dx * Math.sin(tilt)) / radius.y;
    return Math.sqrt(u * u + v * v) / outline(Math.atan2(v, u));
  };
  return {
    echo,
    unevenness,
    inside: (x, y) => 1 / (1 + Math.exp((reach(x, y) - 1) / (softness / 3))),
    rim: (x, y) => capsule * Math.exp(-(((reach(x, y) - 1.08) / 0.07) ** 2)),
    behind: (x, y) => {
      const below = y - centre.y;
      if (below <= 0) return 0;
      const width = (x - centre.x) / (radius.x * (shadowed ? 0.95 : 0.85));
      return posterior * Math.exp(-(width ** 4)) * Math.min(1, below / radius.y) * Math.exp(-below * 0.8);
    },
  };
}

/** Relative radius by angle: nearly 1 for benign, lobed and spiculated for malignant. */
function drawOutline(malignant: boolean, rng: Rng): (angle: number) => number {
  const harmonics = Array.from({ length: malignant ? 7 : 2 }, (_, i) => ({
    order: i + 2,
    height: (malignant ? between(rng, 0.03, 0.11) : between(rng, 0, 0.04)) / Math.sqrt(1 + 0.2 * i),
    phase: 2 * Math.PI * rng(),
  }));
  const spicules = malignant
    ? Array.from({ length: 4 + Math.floor(5 * rng()) }, () => ({
        at: 2 * Math.PI * rng(),
        height: between(rng, 0.1, 0.4),
      }))
    : [];
  return (angle) => {
    let reach = 1;
    for (const { order, height, phase } of harmonics) reach += height * Math.cos(order * angle + phase);
    for (const { at, height } of spicules) {
      const apart = Math.abs(((angle - at + 3 * Math.PI) % (2 * Math.PI)) - Math.PI);
      reach += height * Math.exp(-((apart / 0.12) ** 2));
    }
    return reach;
  };
}

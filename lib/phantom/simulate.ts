import type { ClassSide } from '../../contract/manifests.ts';
import { ConfigurationError } from '../errors.ts';
import type { RawImage } from '../image/raw-image.ts';
import { createRng, type Rng } from '../random.ts';
import { drawLesion, type Lesion } from './lesion.ts';
import { smooth } from './smooth.ts';

/** Dynamic range of the display, dB. */
const displayRange = 50;
/** Loss of echo strength from the top to the bottom of the image after gain compensation, dB. */
const attenuation = 16;
/** Images from different angles that the scanner averages (spatial compounding): speckle contrast falls by the root. */
const looks = 3;

/**
 * A simulated B-mode image of a breast lesion, grey. Tissue is a field of random scatterers whose strength is a map in dB
 * (skin, fat, gland, lesion, shadow or enhancement behind it); the echo is the field convolved with an anisotropic pulse,
 * shown as its log-compressed envelope. `negative` is benign, `positive` malignant; see README.md for what tells them apart.
 * @throws ConfigurationError when the resolution is not a power of two from 32 to 1024.
 */
export function simulatePhantom({
  side,
  index,
  seed,
  resolution,
}: {
  readonly side: ClassSide;
  /** Number of the image within its class. */
  readonly index: number;
  readonly seed: number;
  /** px */
  readonly resolution: number;
}): RawImage {
  if (!Number.isInteger(Math.log2(resolution)) || resolution < 32 || resolution > 1024)
    throw new ConfigurationError(
      `expected a phantom resolution that is a power of two from 32 to 1024 px, got ${resolution}`,
    );
  const rng = createRng(seed, `phantom/${side}`, index);
  const strength = strengthMap(drawLesion(side, rng), resolution, rng);
  const compounded = Array.from({ length: looks }, () => echo(strength, resolution, rng));
  const envelope = (i: number): number => compounded.reduce((sum, look) => sum + (look[i] ?? 0), 0) / looks;
  const gain = 6 * (rng() - 0.5);
  const data = new Uint8Array(resolution * resolution);
  for (let i = 0; i < data.length; i++) {
    const level = 20 * Math.log10(envelope(i) + 1e-6) + gain + 36;
    data[i] = Math.max(0, Math.min(255, Math.round((255 * level) / displayRange)));
  }
  return { width: resolution, height: resolution, channels: 1, data };
}

/** Scatterer strength in dB at every pixel. */
function strengthMap(lesion: Lesion, size: number, rng: Rng): Float64Array {
  const skin = 0.035 + 0.02 * rng();
  const fat = 0.16 + 0.12 * rng();
  const wall = 0.82 + 0.12 * rng();
  const bend = wave(rng, 0.03);
  const wallBend = wave(rng, 0.03);
  const texture = clouds(size, rng);
  const map = new Float64Array(size * size);
  for (let row = 0; row < size; row++)
    for (let column = 0; column < size; column++) {
      const [x, y] = [(column + 0.5) / size, (row + 0.5) / size];
      const i = row * size + column;
      const depth = y + bend(x);
      const inside = lesion.inside(x, y);
      let level = depth < skin ? 2 : depth < skin + fat ? -12 : y + wallBend(x) < wall ? -5 : -10;
      level += 7 * (texture[i] ?? 0);
      level += (lesion.echo + lesion.unevenness * (texture[i] ?? 0) - level) * inside;
      level += lesion.rim(x, y) + lesion.behind(x, y) * (1 - inside) - attenuation * y;
      map[i] = level;
    }
  return map;
}

/** Complex Gaussian scatterers, convolved with a pulse that is wider across than along the beam; its envelope. */
function echo(strength: Float64Array, size: number, rng: Rng): Float64Array {
  const blur = { across: 0.011 * size + 0.25, along: 0.006 * size + 0.2 };
  const real = new Float64Array(size * size);
  const imaginary = new Float64Array(size * size);
  for (const [i, level] of strength.entries()) {
    const amplitude = 10 ** (level / 20);
    const radius = amplitude * Math.sqrt(-2 * Math.log(1 - rng()));
    const phase = 2 * Math.PI * rng();
    real[i] = radius * Math.cos(phase);
    imaginary[i] = radius * Math.sin(phase);
  }
  const a = smooth(real, size, blur);
  const b = smooth(imaginary, size, blur);
  // Convolution averages: restore the power of one scatterer.
  const power = Math.sqrt(4 * Math.PI * blur.across * blur.along);
  return a.map((value, i) => power * Math.sqrt(value * value + (b[i] ?? 0) ** 2));
}

/** Smooth random texture, about -1 to 1. */
function clouds(size: number, rng: Rng): Float64Array {
  const noise = Float64Array.from({ length: size * size }, () => 2 * rng() - 1);
  const blur = { across: 0.1 * size, along: 0.012 * size };
  const gain = 1.7 * Math.sqrt(4 * Math.PI * blur.across * blur.along);
  return smooth(noise, size, blur).map((value) => Math.max(-1, Math.min(1, gain * value)));
}

/** A slow wave along x. */
function wave(rng: Rng, height: number): (x: number) => number {
  const [frequency, phase, share] = [1 + 2 * rng(), 2 * Math.PI * rng(), rng()];
  return (x) =>
    height * (Math.sin(2 * Math.PI * frequency * x + phase) * (1 - share) + share * Math.cos(7 * x + 2 * phase));
}

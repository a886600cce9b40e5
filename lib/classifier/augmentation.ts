import { createRng, randomInt } from '../random.ts';

/**
 * Random changes of training images, as a function of (seed, stream, epoch, position) alone: how images are cut into batches,
 * and where a training was stopped, changes none. No vertical flips: the shadow of a lesion falls away from the probe. One
 * zoom for both axes: taller than wide is a sign of malignancy. Source: evaluation.md 1.7, "Typical sound recipe".
 */

export interface Augmentation {
  readonly mirror: boolean;
  /** Largest shift as a share of the side. */
  readonly shift: number;
  /** Largest change of the scale, as a share of it. */
  readonly zoom: number;
  /** Largest change of the brightness, as a share of the range of 255. */
  readonly brightness: number;
  /** Largest change of the distances from the image's mean, as a share of them. */
  readonly contrast: number;
}

/** What one image at one place of one epoch undergoes, in this order; see {@link writeAltered}. */
export interface Alteration {
  readonly mirror: boolean;
  /** Scale about the centre; above 1 enlarges. */
  readonly zoom: number;
  /** Whole pixels. */
  readonly right: number;
  readonly down: number;
  /** Factor on the distance from the mean of the image. */
  readonly contrast: number;
  /** Added to every value, 0..255. */
  readonly brightness: number;
}

export function drawAlteration(
  augmentation: Augmentation,
  options: {
    readonly seed: number;
    readonly stream: string;
    readonly epoch: number;
    readonly position: number;
    readonly side: number;
  },
): Alteration {
  const { seed, stream, epoch, position, side } = options;
  const rng = createRng(seed, `${stream}/augment/${epoch}`, position);
  const around = (centre: number, reach: number): number => centre + reach * (2 * rng() - 1);
  const reach = Math.round(augmentation.shift * side);
  const mirror = rng() < 0.5 && augmentation.mirror;
  const right = randomInt(rng, 2 * reach + 1) - reach;
  const down = randomInt(rng, 2 * reach + 1) - reach;
  const zoom = around(1, augmentation.zoom);
  const contrast = around(1, augmentation.contrast);
  const brightness = around(0, 255 * augmentation.brightness);
  return { mirror, zoom, right, down, contrast, brightness };
}

const unaltered: Alteration = { mirror: false, zoom: 1, right: 0, down: 0, contrast: 1, brightness: 0 };

/**
 * One of a few views of an image that stay the same in every epoch: 0 is the image itself, 1 its mirror image where
 * mirroring is on; of the others, odd ones are mirrored and each has random changes of its own.
 */
export function fixedAlteration(
  augmentation: Augmentation,
  options: {
    readonly seed: number;
    readonly stream: string;
    readonly view: number;
    readonly image: number;
    readonly side: number;
  },
): Alteration {
  const { seed, stream, view, image, side } = options;
  const mirror = augmentation.mirror && view % 2 === 1;
  if (view === 0 || (view === 1 && mirror)) return { ...unaltered, mirror };
  const own = { seed, stream: `${stream}/view/${view}`, epoch: 0, position: image, side };
  return { ...drawAlteration(augmentation, own), mirror };
}

/** Where the pixels of one axis come from: between `low` and `low + 1` or on the edge, `share` of the way. */
interface Axis {
  readonly low: Int32Array;
  readonly high: Int32Array;
  readonly share: Float64Array;
}

function axisOf(side: number, { zoom, shift, mirror }: { zoom: number; shift: number; mirror: boolean }): Axis {
  const last = side - 1;
  const centre = last / 2;
  const axis = { low: new Int32Array(side), high: new Int32Array(side), share: new Float64Array(side) };
  for (let i = 0; i < side; i++) {
    const unmirrored = Math.min(last, Math.max(0, centre + (i - shift - centre) / zoom));
    const from = mirror ? last - unmirrored : unmirrored;
    axis.low[i] = Math.floor(from);
    axis.high[i] = Math.min(last, Math.floor(from) + 1);
    axis.share[i] = from - Math.floor(from);
  }
  return axis;
}

/**
 * Writes one image, altered, as 0..255 floats into `target` from `offset`. Bilinear between pixels, which without zoom gives
 * the source's own values; pixels from outside repeat the edge; values beyond 0..255 are cut.
 */
export function writeAltered(
  target: Float32Array,
  offset: number,
  source: {
    readonly data: Uint8Array;
    readonly side: number;
    readonly channels: number;
    readonly alteration: Alteration;
  },
): void {
  const { data, side, channels, alteration } = source;
  const { zoom, contrast, brightness } = alteration;
  const across = axisOf(side, { zoom, shift: alteration.right, mirror: alteration.mirror });
  const down = axisOf(side, { zoom, shift: alteration.down, mirror: false });
  const light = lightOf(data, { contrast, brightness });
  // Not within the loops: a function made for each value costs more than all that is computed of it.
  const between = (from: number, to: number, share: number): number => {
    const value = data[from] ?? 0;
    return value + share * ((data[to] ?? 0) - value);
  };
  let out = offset;
  for (let y = 0; y < side; y++) {
    const top = (down.low[y] ?? 0) * side;
    const bottom = (down.high[y] ?? 0) * side;
    const shareY = down.share[y] ?? 0;
    for (let x = 0; x < side; x++) {
      const left = across.low[x] ?? 0;
      const right = across.high[x] ?? 0;
      const shareX = across.share[x] ?? 0;
      for (let c = 0; c < channels; c++) {
        const upper = between((top + left) * channels + c, (top + right) * channels + c, shareX);
        const lower = between((bottom + left) * channels + c, (bottom + right) * channels + c, shareX);
        target[out++] = light(upper + shareY * (lower - upper));
      }
    }
  }
}

/** value -> mean + contrast (value - mean) + brightness, cut to 0..255; a neutral change keeps every bit. */
function lightOf(
  data: Uint8Array,
  { contrast, brightness }: Pick<Alteration, 'contrast' | 'brightness'>,
): (value: number) => number {
  if (contrast === 1 && brightness === 0) return (value) => value;
  const mean = data.reduce((sum, value) => sum + value, 0) / data.length;
  const shift = mean + brightness - contrast * mean;
  return (value) => Math.min(255, Math.max(0, contrast * value + shift));
}

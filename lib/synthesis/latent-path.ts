/** Ways between latents. */

/** Between two w: a straight line, t from 0 to 1. */
export function lerp(a: Float32Array, b: Float32Array, t: number): Float32Array {
  return a.map((value, i) => value + t * ((b[i] ?? Number.NaN) - value));
}

/**
 * Between two z: along the great circle, the length between theirs (Shoemake 1985). A straight line would lead through
 * latents much shorter than the network was trained on. Nearly parallel vectors: a straight line.
 */
export function slerp(a: Float32Array, b: Float32Array, t: number): Float32Array {
  const [lengthA, lengthB] = [norm(a), norm(b)];
  const cosine = a.reduce((sum, value, i) => sum + value * (b[i] ?? Number.NaN), 0) / (lengthA * lengthB);
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
  if (Math.sin(angle) < 1e-6) return lerp(a, b, t);
  const length = lengthA + t * (lengthB - lengthA);
  const share = (from: number): number => (Math.sin(from * angle) / Math.sin(angle)) * length;
  const [shareA, shareB] = [share(1 - t) / lengthA, share(t) / lengthB];
  return a.map((value, i) => shareA * value + shareB * (b[i] ?? Number.NaN));
}

const norm = (vector: Float32Array): number => Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));

/** Through all keyframes and back to the first: per keyframe it and `framesBetween` steps to the next. */
export function closedPath(
  keyframes: readonly Float32Array[],
  framesBetween: number,
  between: (a: Float32Array, b: Float32Array, t: number) => Float32Array,
): Float32Array[] {
  return keyframes.flatMap((from, i) => {
    const to = keyframes[(i + 1) % keyframes.length] ?? from;
    return Array.from({ length: framesBetween + 1 }, (_, step) =>
      step === 0 ? from : between(from, to, step / (framesBetween + 1)),
    );
  });
}

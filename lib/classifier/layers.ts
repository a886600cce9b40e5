/**
 * The layers that the Inception networks are written in. A network (network.ts, metrics/inception-2015.ts) is one function
 * over this interface and is read in two ways: with shapes (shape-layers.ts), which lists its variables without allocating any, and with tensors
 * (tensor-layers.ts), which computes. `T` is an activation [N, H, W, C], or [N, C] after pooling over pixels.
 */
export interface Layers<T> {
  /** C of an activation. */
  channels(x: T): number;
  /** Convolution; variables `<layer>/kernel` [kh, kw, Cin, filters] and, with `bias`, `<layer>/bias` [filters]. */
  conv2d(x: T, options: Conv2dOptions): T;
  /** Batch normalisation without gamma, then ReLU; variables `<layer>/beta`, `moving_mean`, `moving_variance`, each [C]. */
  batchNormRelu(x: T, layer: string): T;
  /** 3x3. Stride 2 without padding: [N, H, W, C] -> [N, floor((H - 1) / 2), floor((W - 1) / 2), C]; stride 1: same size. */
  maxPool(x: T, options: { readonly stride: 1 | 2 }): T;
  /** 3x3, stride 1, same size; the mean leaves the padding out. */
  avgPool(x: T): T;
  /** Along channels. */
  concat(xs: readonly T[]): T;
  /** x + scale * up, then ReLU where `relu`. */
  residual(x: T, up: T, options: { readonly scale: number; readonly relu: boolean }): T;
  /** Mean over pixels: [N, H, W, C] -> [N, C]. */
  globalAveragePool(x: T): T;
  /** Fully connected; variables `<layer>/kernel` [C, units] and `<layer>/bias` [units]. [N, C] -> [N, units]. */
  dense(x: T, options: { readonly layer: string; readonly units: number; readonly relu: boolean }): T;
  /** While training, zeroes a share of the values and rescales the rest; identity otherwise. */
  dropout(x: T): T;
}

export interface Conv2dOptions {
  readonly layer: string;
  readonly filters: number;
  /** Height and width, px. */
  readonly kernel: readonly [number, number];
  readonly stride: 1 | 2;
  readonly padding: 'same' | 'valid';
  readonly bias: boolean;
}

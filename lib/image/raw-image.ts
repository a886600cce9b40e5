/** Pixels in memory: rows from the top, channels interleaved, 8 bits each. */
export interface RawImage {
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3;
  /** width * height * channels bytes. */
  readonly data: Uint8Array;
}

/** Whether all bytes are equal: nothing is to be seen. */
export const isBlank = ({ data }: Pick<RawImage, 'data'>): boolean => data.every((value) => value === data[0]);

import { maskedCrc32c } from './crc32c.ts';

/**
 * TensorBoard event files: TFRecords of `tensorflow.Event` protocol buffers (tensorflow/core/util/event.proto,
 * summary.proto). The wall time is always 0: equal trainings write equal bytes, and TensorBoard is read by step.
 */

export interface EventImage {
  readonly png: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3;
}

/** Counts of values in buckets; a bucket reaches from the limit before it to its own. */
export interface EventHistogram {
  readonly min: number;
  readonly max: number;
  readonly count: number;
  readonly sum: number;
  readonly sumOfSquares: number;
  readonly limits: readonly number[];
  readonly counts: readonly number[];
}

export interface TrainingEvent {
  readonly step: number;
  readonly scalars?: Readonly<Record<string, number>>;
  readonly images?: Readonly<Record<string, EventImage>>;
  readonly histograms?: Readonly<Record<string, EventHistogram>>;
}

/** A whole event file, its `brain.Event:2` header first. Values are stored as float32. */
export function encodeEventFile(events: readonly TrainingEvent[]): Uint8Array {
  const header = Buffer.concat([double(1, 0), bytesField(3, Buffer.from('brain.Event:2'))]);
  return new Uint8Array(Buffer.concat([record(header), ...events.map((event) => record(encodeEvent(event)))]));
}

function encodeEvent({ step, scalars = {}, images = {}, histograms = {} }: TrainingEvent): Buffer {
  const values = [
    ...Object.entries(scalars).map(([tag, value]) => Buffer.concat([bytesField(1, Buffer.from(tag)), float(2, value)])),
    ...Object.entries(images).map(([tag, image]) =>
      Buffer.concat([bytesField(1, Buffer.from(tag)), bytesField(4, encodeImage(image))]),
    ),
    ...Object.entries(histograms).map(([tag, histogram]) =>
      Buffer.concat([bytesField(1, Buffer.from(tag)), bytesField(5, encodeHistogram(histogram))]),
    ),
  ];
  const summary = Buffer.concat(values.map((value) => bytesField(1, value)));
  return Buffer.concat([double(1, 0), varintField(2, step), bytesField(5, summary)]);
}

const encodeImage = ({ png, width, height, channels }: EventImage): Buffer =>
  Buffer.concat([varintField(1, height), varintField(2, width), varintField(3, channels), bytesField(4, png)]);

const encodeHistogram = ({ min, max, count, sum, sumOfSquares, limits, counts }: EventHistogram): Buffer =>
  Buffer.concat([
    ...[min, max, count, sum, sumOfSquares].map((value, i) => double(i + 1, value)),
    bytesField(6, doubles(limits)),
    bytesField(7, doubles(counts)),
  ]);

/** TFRecord: length, its masked CRC, data, its masked CRC; little endian. */
function record(data: Buffer): Buffer {
  const head = Buffer.alloc(12);
  head.writeBigUInt64LE(BigInt(data.length), 0);
  head.writeUInt32LE(maskedCrc32c(head.subarray(0, 8)), 8);
  const tail = Buffer.alloc(4);
  tail.writeUInt32LE(maskedCrc32c(data), 0);
  return Buffer.concat([head, data, tail]);
}

const tag = (field: number, wireType: number): Buffer => varint((field << 3) | wireType);

function varint(value: number): Buffer {
  if (!Number.isSafeInteger(value) || value < 0)
    throw new RangeError(`an event file expects integers from 0 to 2^53 - 1, got ${value}`);
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return Buffer.from([...bytes, rest]);
}

const varintField = (field: number, value: number): Buffer => Buffer.concat([tag(field, 0), varint(value)]);
const bytesField = (field: number, data: Uint8Array): Buffer =>
  Buffer.concat([tag(field, 2), varint(data.length), data]);

function double(field: number, value: number): Buffer {
  const data = Buffer.alloc(8);
  data.writeDoubleLE(value);
  return Buffer.concat([tag(field, 1), data]);
}

const doubles = (values: readonly number[]): Buffer => {
  const data = Buffer.alloc(8 * values.length);
  values.forEach((value, i) => data.writeDoubleLE(value, 8 * i));
  return data;
};

function float(field: number, value: number): Buffer {
  const data = Buffer.alloc(4);
  data.writeFloatLE(value);
  return Buffer.concat([tag(field, 5), data]);
}

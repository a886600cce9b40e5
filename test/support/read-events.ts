import { createHash } from 'node:crypto';

/** Reads TensorBoard event files with code that shares nothing with lib/tensorboard. */

/** A scalar, or the hash of an image. */
export type ReadValue = readonly [tag: string, step: number, value: number | string];

interface Field {
  readonly number: number;
  /** Of a varint; 0 for others. */
  readonly integer: number;
  readonly bytes: Buffer;
}

function varint(buffer: Buffer, at: number): readonly [value: number, next: number] {
  let value = 0;
  for (let i = at, scale = 1; ; i++, scale *= 128) {
    const byte = buffer[i] ?? 0;
    value += (byte & 127) * scale;
    if (byte < 128) return [value, i + 1];
  }
}

/** Fields of a protocol buffer in their order. */
function fieldsOf(message: Buffer): Field[] {
  const fields: Field[] = [];
  for (let at = 0; at < message.length;) {
    const [key, start] = varint(message, at);
    const [number, wireType] = [key >>> 3, key & 7];
    const [integer, afterInteger] = wireType === 0 || wireType === 2 ? varint(message, start) : [0, start];
    const length = wireType === 1 ? 8 : wireType === 5 ? 4 : wireType === 2 ? integer : 0;
    fields.push({ number, integer, bytes: message.subarray(afterInteger, afterInteger + length) });
    at = afterInteger + length;
  }
  return fields;
}

/** Values of one event file in their order. */
export function readEvents(file: Buffer): ReadValue[] {
  const values: ReadValue[] = [];
  for (let at = 0; at < file.length;) {
    const length = Number(file.readBigUInt64LE(at));
    const event = fieldsOf(file.subarray(at + 12, at + 12 + length));
    const step = event.find(({ number }) => number === 2)?.integer ?? 0;
    for (const summary of event.filter(({ number }) => number === 5))
      for (const { bytes } of fieldsOf(summary.bytes)) {
        const value = fieldsOf(bytes);
        const tag = value.find(({ number }) => number === 1)?.bytes.toString() ?? '';
        const scalar = value.find(({ number }) => number === 2);
        const other = value.find(({ number }) => number > 2)?.bytes ?? Buffer.alloc(0);
        const hash = createHash('sha256').update(other).digest('hex');
        values.push([tag, step, scalar === undefined ? hash : scalar.bytes.readFloatLE()]);
      }
    at += 12 + length + 4;
  }
  return values;
}

import { crc32 } from 'node:zlib';

/** Text chunks of PNG files (PNG 1.2, 11.3.4): iTXt, UTF-8, uncompressed, in the order given, before the image data. */

const signature = Uint8Array.from([137, 80, 78, 71, 13, 10, 26, 10]);

interface Chunk {
  readonly type: string;
  readonly body: Buffer;
}

/** The same image with text entries after its header. @throws RangeError when `png` is no PNG or a keyword is malformed. */
export function withPngText(png: Uint8Array, entries: Readonly<Record<string, string>>): Uint8Array {
  const [header, ...rest] = readChunks(png);
  if (header?.type !== 'IHDR') throw new RangeError('expected a PNG that starts with IHDR');
  const texts = Object.entries(entries).map(([keyword, text]): Chunk => {
    if (!/^[\x21-\x7e]([\x20-\x7e]{0,77}[\x21-\x7e])?$/.test(keyword))
      throw new RangeError(`expected a keyword of 1-79 printable characters, got ${JSON.stringify(keyword)}`);
    const head = Buffer.concat([Buffer.from(keyword, 'latin1'), Buffer.from([0, 0, 0, 0, 0])]);
    return { type: 'iTXt', body: Buffer.concat([head, Buffer.from(text, 'utf8')]) };
  });
  return new Uint8Array(Buffer.concat([signature, ...[header, ...texts, ...rest].map(writeChunk)]));
}

/** All uncompressed iTXt and tEXt entries. */
export function readPngText(png: Uint8Array): Record<string, string> {
  const entries: Record<string, string> = {};
  for (const { type, body } of readChunks(png)) {
    const end = body.indexOf(0);
    const keyword = body.toString('latin1', 0, end);
    if (type === 'tEXt') entries[keyword] = body.toString('latin1', end + 1);
    if (type !== 'iTXt' || body[end + 1] !== 0) continue;
    const language = body.indexOf(0, end + 3);
    entries[keyword] = body.toString('utf8', body.indexOf(0, language + 1) + 1);
  }
  return entries;
}

function readChunks(png: Uint8Array): Chunk[] {
  const bytes = Buffer.from(png.buffer, png.byteOffset, png.byteLength);
  if (!bytes.subarray(0, 8).equals(signature)) throw new RangeError('expected a PNG, found another signature');
  const chunks: Chunk[] = [];
  for (let at = 8; at + 12 <= bytes.length;) {
    const length = bytes.readUInt32BE(at);
    const type = bytes.toString('latin1', at + 4, at + 8);
    const body = bytes.subarray(at + 8, at + 8 + length);
    if (body.length !== length || crcOf(type, body) !== bytes.readUInt32BE(at + 8 + length))
      throw new RangeError(`expected an intact PNG, found a damaged ${type} chunk`);
    chunks.push({ type, body });
    at += 12 + length;
  }
  return chunks;
}

const crcOf = (type: string, body: Buffer): number => crc32(body, crc32(Buffer.from(type, 'latin1'))) >>> 0;

function writeChunk({ type, body }: Chunk): Buffer {
  const chunk = Buffer.alloc(12 + body.length);
  chunk.writeUInt32BE(body.length, 0);
  chunk.write(type, 4, 'latin1');
  body.copy(chunk, 8);
  chunk.writeUInt32BE(crcOf(type, body), 8 + body.length);
  return chunk;
}

import { mkdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Readable } from 'node:stream';
import { extract } from 'tar-stream';

/** Writes the members of a tar as files of one folder; names are reduced to their last part. Returns how many. */
export async function unpackTar(tar: Uint8Array, dir: string): Promise<number> {
  await mkdir(dir, { recursive: true });
  const archive = Readable.from([Buffer.from(tar)]).pipe(extract());
  let count = 0;
  for await (const member of archive) {
    const chunks: Buffer[] = [];
    for await (const chunk of member) chunks.push(chunk as Buffer); // tar-stream yields buffers
    await writeFile(join(dir, basename(member.header.name)), Buffer.concat(chunks));
    count++;
  }
  return count;
}

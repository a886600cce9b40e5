import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { extract, pack } from 'tar-stream';
import { Readable } from 'node:stream';
import type { LocalShard } from '../../contract/engine.ts';
import type { ShardEntry } from '../../contract/manifests.ts';
import { CorruptObjectError } from '../errors.ts';
import { decodePng } from '../image/png.ts';
import type { RawImage } from '../image/raw-image.ts';

/** Shards: PNG members of one tar (WebDataset layout) and an index of JSON lines with their hashes. Deterministic bytes. */

export interface ShardMember {
  readonly entry: Omit<ShardEntry, 'sha256' | 'bytes'>;
  readonly png: Uint8Array;
}

export interface StoredMember {
  readonly entry: ShardEntry;
  readonly png: Uint8Array;
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Writes the tar and its index; both files appear whole. @throws RangeError when two members have one name. */
export async function writeShard({
  tarFile,
  indexFile,
  members,
}: LocalShard & { readonly members: readonly ShardMember[] }): Promise<LocalShard & { readonly images: number }> {
  const archive = pack();
  const entries: ShardEntry[] = [];
  const names = new Set<string>();
  const written = pipeline(archive, createWriteStream(`${tarFile}.part`));
  for (const { entry, png } of members) {
    if (names.has(entry.member))
      throw new RangeError(`writeShard expects different members, got ${entry.member} twice`);
    names.add(entry.member);
    const stat = { name: entry.member, size: png.length, mode: 0o644, mtime: new Date(0), uid: 0, gid: 0 };
    await new Promise<void>((resolve, reject) => {
      archive.entry(stat, Buffer.from(png), (error) => (error ? reject(error) : resolve()));
    });
    entries.push({ ...entry, sha256: sha256(png), bytes: png.length });
  }
  archive.finalize();
  await written;
  await writeFile(`${indexFile}.part`, entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''));
  await rename(`${tarFile}.part`, tarFile);
  await rename(`${indexFile}.part`, indexFile);
  return { tarFile, indexFile, images: entries.length };
}

/** Reads a shard in tar order. @throws CorruptObjectError when a member is not what the index says. */
export async function readShard({ tarFile, indexFile }: LocalShard): Promise<StoredMember[]> {
  const entries = (await readFile(indexFile, 'utf8'))
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as ShardEntry); // written by writeShard, covered by the index's own hash
  const members: StoredMember[] = [];
  const archive = Readable.from([await readFile(tarFile)]).pipe(extract());
  for await (const member of archive) {
    const chunks: Buffer[] = [];
    for await (const chunk of member) chunks.push(chunk as Buffer); // tar-stream yields buffers
    const png = new Uint8Array(Buffer.concat(chunks));
    const entry = entries[members.length];
    const actual = sha256(png);
    if (entry?.member !== member.header.name || entry.sha256 !== actual)
      throw new CorruptObjectError({
        key: `${tarFile}:${member.header.name}`,
        expectedSha256: entry?.sha256 ?? 'no such member',
        actualSha256: actual,
      });
    members.push({ entry, png });
  }
  if (members.length !== entries.length)
    throw new CorruptObjectError({
      key: tarFile,
      expectedSha256: `${entries.length} members`,
      actualSha256: `${members.length} members`,
    });
  return members;
}

/** Bytes of one member of a tar; null when there is none of that name. */
export async function readMember(tar: Uint8Array, name: string): Promise<Uint8Array | null> {
  for await (const member of Readable.from([tar]).pipe(extract())) {
    const chunks: Buffer[] = [];
    for await (const chunk of member) chunks.push(chunk as Buffer); // tar-stream yields buffers
    if (member.header.name === name) return new Uint8Array(Buffer.concat(chunks));
  }
  return null;
}

/** All images of the shards, decoded, in order. */
export async function loadShardImages(
  shards: readonly LocalShard[],
): Promise<{ readonly images: RawImage[]; readonly entries: ShardEntry[] }> {
  const images: RawImage[] = [];
  const entries: ShardEntry[] = [];
  for (const shard of shards)
    for (const { entry, png } of await readShard(shard)) {
      images.push(await decodePng(png));
      entries.push(entry);
    }
  return { images, entries };
}

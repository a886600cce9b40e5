import { createHash } from 'node:crypto';
import type { LocalShard } from '../../contract/engine.ts';
import type { ClassSide, IngestedShard, RejectedImage } from '../../contract/manifests.ts';
import type { Study } from '../../contract/study.ts';
import { RejectedImageError } from '../errors.ts';
import { perceptualHash, thumbnail } from '../image/perceptual-hash.ts';
import { encodePng } from '../image/png.ts';
import { prepareImage } from '../image/prepare.ts';
import { isBlank } from '../image/raw-image.ts';
import { writeShard, type ShardMember } from './shard.ts';

export interface SourceImage {
  /** Below the import's root, e.g. `benign/benign (1).png`. */
  readonly path: string;
  readonly side: ClassSide;
  readonly bytes: () => Promise<Uint8Array>;
}

export interface IngestedImages {
  readonly shard: LocalShard & { readonly images: number };
  readonly signatures: IngestedShard['signatures'];
  readonly rejected: readonly RejectedImage[];
}

/** Prepares source files one by one into a shard; what cannot be used is listed with its reason, nothing is dropped silently. */
export async function ingestImages({
  sources,
  image,
  minSourcePx,
  onImage,
  ...files
}: LocalShard & {
  readonly sources: readonly SourceImage[];
  readonly image: Study['image'];
  readonly minSourcePx: number;
  readonly onImage?: (done: number) => void;
}): Promise<IngestedImages> {
  const members: ShardMember[] = [];
  const signatures: IngestedShard['signatures'][number][] = [];
  const rejected: RejectedImage[] = [];
  for (const [i, { path, side, bytes }] of sources.entries()) {
    try {
      const prepared = await prepareImage(await bytes(), { ...image, minSourcePx });
      if (isBlank(prepared)) throw new RejectedImageError(`blank: every value is ${prepared.data[0] ?? 0}`);
      const small = thumbnail(prepared);
      members.push({
        entry: { member: safeMember(path), side, source: path, groupId: null, seed: null },
        png: await encodePng(prepared),
      });
      const hash = perceptualHash(small);
      signatures.push({ source: path, side, hash, thumbnail: Buffer.from(small).toString('base64') });
    } catch (error) {
      if (!(error instanceof RejectedImageError)) throw error;
      rejected.push({ source: path, reason: error.message });
    }
    onImage?.(i + 1);
  }
  return { shard: await writeShard({ ...files, members }), signatures, rejected };
}

/** A name for any tool and file system: plain characters, told apart by a hash of the path. */
export function safeMember(path: string): string {
  const plain = path.replace(/\.[A-Za-z0-9]{1,5}$/, '').replace(/[^A-Za-z0-9_-]+/g, '_');
  const hash = createHash('sha256').update(path).digest('hex').slice(0, 8);
  return `${plain.replace(/^_+|_+$/g, '').slice(0, 60)}-${hash}.png`;
}

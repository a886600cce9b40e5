import { join } from 'node:path';
import type { ShardRef } from '../contract/manifests.ts';
import { writeShard, type ShardMember } from '../lib/dataset/shard.ts';
import { uploadShard, type LocalDeps } from './local-inputs.ts';

/** Collects members and stores a shard whenever `shardImages` are together, so that memory stays bounded. */
export interface ShardWriter {
  readonly add: (member: ShardMember) => Promise<void>;
  /** Stores the rest and names all shards in order. */
  readonly finish: () => Promise<readonly ShardRef[]>;
}

export function createShardWriter(
  { store }: LocalDeps,
  { dir, name, shardImages }: { readonly dir: string; readonly name: string; readonly shardImages: number },
): ShardWriter {
  const shards: ShardRef[] = [];
  let members: ShardMember[] = [];
  const flush = async (): Promise<void> => {
    if (members.length === 0) return;
    const file = (extension: string): string => join(dir, `${name}-${shards.length}.${extension}`);
    const written = await writeShard({ tarFile: file('tar'), indexFile: file('jsonl'), members });
    shards.push(await uploadShard(store, written));
    members = [];
  };
  return {
    add: async (member) => {
      members.push(member);
      if (members.length >= shardImages) await flush();
    },
    finish: async () => {
      await flush();
      return shards;
    },
  };
}

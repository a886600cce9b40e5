import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ClassSide, ShardEntry } from '../../../contract/manifests.ts';
import { ingestImages, safeMember } from '../../../lib/dataset/ingest.ts';
import { auditLeakage, type AuditedImage } from '../../../lib/dataset/leakage.ts';
import { groupNearDuplicates } from '../../../lib/dataset/near-duplicates.ts';
import { planIngest } from '../../../lib/dataset/plan-ingest.ts';
import { loadShardImages, readShard, writeShard } from '../../../lib/dataset/shard.ts';
import {
  countSplits,
  countUsable,
  splitGroups,
  type GroupedImage,
  type SplitInput,
} from '../../../lib/dataset/split.ts';
import { CorruptObjectError, DatasetError } from '../../../lib/errors.ts';
import { perceptualHash, thumbnail } from '../../../lib/image/perceptual-hash.ts';
import { encodePng } from '../../../lib/image/png.ts';
import type { RawImage } from '../../../lib/image/raw-image.ts';
import { createRng } from '../../../lib/random.ts';

let dir = '';
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'echoforge-dataset-'));
});
afterAll(async () => rm(dir, { recursive: true }));

/** Smooth random texture: pictures of different names are not alike. */
function picture(name: string, noise = 0): RawImage {
  const rng = createRng(1, `picture/${name}`);
  const waves = Array.from({ length: 6 }, () => [rng() * 0.4 - 0.2, rng() * 0.4 - 0.2, rng() * 6.28] as const);
  const jitter = createRng(2, `jitter/${name}`);
  const data = Uint8Array.from({ length: 64 * 64 }, (_, i) => {
    const sum = waves.reduce((s, [u, v, p]) => s + Math.sin(u * (i % 64) + v * Math.floor(i / 64) + p), 0);
    return Math.max(0, Math.min(255, Math.round(127 + 20 * sum + noise * (jitter() - 0.5))));
  });
  return { width: 64, height: 64, channels: 1, data };
}
const mirrorOf = (image: RawImage): RawImage => ({
  ...image,
  data: image.data.map((_, i) => image.data[i - (i % 64) + 63 - (i % 64)] ?? 0),
});
const signature = (source: string, image: RawImage, side: ClassSide = 'negative') => {
  const small = thumbnail(image);
  return { source, side, hash: perceptualHash(small), thumbnail: Buffer.from(small).toString('base64') };
};
const image = { resolution: 32, channels: 1, fit: 'crop' } as const;

describe('planIngest', () => {
  it('sorts by path, leaves other folders out and cuts ranges', () => {
    const blob = { sha256: 'a', bytes: 1 };
    const files = ['m/2.png', 'b/3.png', 'b/1.png', 'normal/x.png', 'b/2.png'].map((path) => ({ path, blob }));
    const ranges = planIngest(files, { classes: { negative: 'b', positive: 'm' }, shardImages: 2 });
    expect(ranges.map(({ side, files }) => [side, ...files.map(({ path }) => path)])).toEqual([
      ['negative', 'b/1.png', 'b/2.png'],
      ['negative', 'b/3.png'],
      ['positive', 'm/2.png'],
    ]);
  });
});

describe('ingestImages', () => {
  it('keeps order, names what it rejected, and writes equal bytes twice', async () => {
    const png = Buffer.from(await encodePng(picture('a')));
    const black = Buffer.from(await encodePng({ ...picture('a'), data: new Uint8Array(64 * 64) }));
    const sources = [
      { path: 'b/black.png', side: 'negative' as const, bytes: () => Promise.resolve(black) },
      { path: 'b/benign (1).png', side: 'negative' as const, bytes: () => Promise.resolve(png) },
      { path: 'b/broken.png', side: 'negative' as const, bytes: () => Promise.resolve(Buffer.from('x')) },
      { path: 'b/ünicode.png', side: 'negative' as const, bytes: () => Promise.resolve(png) },
    ];
    const run = async (name: string) =>
      await ingestImages({
        sources,
        image,
        minSourcePx: 16,
        tarFile: join(dir, `${name}.tar`),
        indexFile: join(dir, `${name}.jsonl`),
      });
    const first = await run('one');
    await run('two');
    expect(first.shard.images).toBe(2);
    expect(first.rejected).toEqual([
      { source: 'b/black.png', reason: 'blank: every value is 0' },
      { source: 'b/broken.png', reason: expect.stringMatching(/not readable/) as string },
    ]);
    expect(first.signatures.map(({ source }) => source)).toEqual(['b/benign (1).png', 'b/ünicode.png']);
    expect(await readFile(join(dir, 'one.tar'))).toEqual(await readFile(join(dir, 'two.tar')));
    const { images, entries } = await loadShardImages([first.shard]);
    expect(images.map(({ width }) => width)).toEqual([32, 32]);
    expect(entries[0]?.member).toMatch(/^b_benign_1-[0-9a-f]{8}\.png$/);
  });
  it('lets an unreachable store pass as what it is', async () => {
    const sources = [{ path: 'b/1.png', side: 'negative' as const, bytes: () => Promise.reject(new Error('store')) }];
    const files = { tarFile: join(dir, 'x.tar'), indexFile: join(dir, 'x.jsonl') };
    await expect(ingestImages({ sources, image, minSourcePx: 16, ...files })).rejects.toThrow('store');
  });
  it('gives different paths different safe names', () => {
    expect(safeMember('b/a b.png')).not.toBe(safeMember('b/a_b.png'));
    expect(safeMember('b/../../etc/passwd')).toMatch(/^b_etc_passwd-[0-9a-f]{8}\.png$/);
  });
});

describe('shards', () => {
  it('refuse bytes that are not what the index says', async () => {
    const files = { tarFile: join(dir, 'c.tar'), indexFile: join(dir, 'c.jsonl') };
    const entry = { member: 'a.png', side: 'negative' as const, source: 'a', groupId: null, seed: null };
    await writeShard({ ...files, members: [{ entry, png: await encodePng(picture('c')) }] });
    const tar = await readFile(files.tarFile);
    tar[600] = (tar[600] ?? 0) ^ 1;
    await writeFile(files.tarFile, tar);
    await expect(readShard(files)).rejects.toThrow(CorruptObjectError);
  });
  it('refuse two members of one name', async () => {
    const files = { tarFile: join(dir, 'd.tar'), indexFile: join(dir, 'd.jsonl') };
    const entry = { member: 'a.png', side: 'negative' as const, source: 'a', groupId: null, seed: null };
    const member = { entry, png: await encodePng(picture('d')) };
    await expect(writeShard({ ...files, members: [member, member] })).rejects.toThrow(/a\.png twice/);
  });
});

describe('groupNearDuplicates', () => {
  const options = { ncc: 0.97, hashDistance: 24 };
  it('joins copies, noisy copies and mirrored copies, and nothing else', async () => {
    const signatures = [
      signature('a', picture('a')),
      signature('a-noisy', picture('a', 12)),
      signature('a-mirrored', mirrorOf(picture('a'))),
      ...Array.from({ length: 30 }, (_, i) => signature(`other-${i}`, picture(`other-${i}`))),
    ];
    const groups = await groupNearDuplicates(signatures, options);
    expect(groups.filter(({ sources }) => sources.length > 1)).toEqual([
      { groupId: expect.stringMatching(/^g[0-9a-f]{12}$/) as string, sources: ['a', 'a-mirrored', 'a-noisy'] },
    ]);
    expect(groups).toHaveLength(31);
  });
  it('does not depend on the order of the images', async () => {
    const signatures = ['a', 'b', 'c', 'd'].map((name) => signature(name, picture(name)));
    expect(await groupNearDuplicates([...signatures].reverse(), options)).toEqual(
      await groupNearDuplicates(signatures, options),
    );
  });
});

const classes = { negative: 'benign', positive: 'malignant' };
const grouped = (side: ClassSide, count: number, perGroup = 1): GroupedImage[] =>
  Array.from({ length: count }, (_, i) => ({
    source: `${classes[side]}/${String(i).padStart(3, '0')}`,
    side,
    groupId: `${side}-${Math.floor(i / perGroup)}`,
  }));
const splitOf = (images: readonly GroupedImage[], extra: Partial<SplitInput> = {}) =>
  splitGroups({
    images,
    split: { unit: 'group', validation: 0.15, test: 0.2 },
    crossClass: 'drop',
    minImagesPerClass: 20,
    classes,
    seed: 1,
    ...extra,
  });

describe('splitGroups', () => {
  it('meets the shares exactly with single images and is stable', () => {
    const images = [...grouped('negative', 100), ...grouped('positive', 40)];
    const divided = splitOf(images);
    const { assignment } = divided;
    expect(countSplits(images, divided)).toEqual({
      train: { negative: 65, positive: 26 },
      validation: { negative: 15, positive: 6 },
      test: { negative: 20, positive: 8 },
    });
    expect(splitOf([...images].reverse()).assignment).toEqual(assignment);
    expect(splitOf(images, { seed: 2 }).assignment).not.toEqual(assignment);
  });
  it('draws validation from the training images, which stay there, where the study asks for it', () => {
    const images = [...grouped('negative', 100), ...grouped('positive', 40, 2)];
    const split = { unit: 'group', validation: 0.1, test: 0.4, validationFrom: 'training' } as const;
    const divided = splitOf(images, { split });
    const counts = {
      train: { negative: 60, positive: 24 },
      validation: { negative: 6, positive: 2 },
      test: { negative: 40, positive: 16 },
    };
    expect(countSplits(images, divided)).toEqual(counts);
    expect(countUsable({ counts, validationFrom: 'training' }, 'negative')).toBe(100);
    expect(countUsable({ counts }, 'negative')).toBe(106);
    for (const source of divided.alsoValidation) expect(divided.assignment.get(source)).toBe('train');
    // The test set is the one of a split that holds validation out.
    const test = (of: ReturnType<typeof splitOf>) => [...of.assignment].filter(([, where]) => where === 'test');
    expect(test(divided)).toEqual(test(splitOf(images, { split: { ...split, validationFrom: 'held-out' } })));
    expect(splitOf(images).alsoValidation.size).toBe(0);
    const groups = images.filter(({ source }) => divided.alsoValidation.has(source) && source.startsWith('malignant'));
    expect(new Set(groups.map(({ groupId }) => groupId)).size).toBe(1);
  });
  it('never parts a group, except by image', () => {
    const images = [...grouped('negative', 60, 4), ...grouped('positive', 60, 3)];
    const parted = ({ assignment }: ReturnType<typeof splitOf>): number => {
      const splits = new Map<string, Set<unknown>>();
      for (const { source, groupId } of images)
        splits.set(groupId, (splits.get(groupId) ?? new Set()).add(assignment.get(source)));
      return [...splits.values()].filter(({ size }) => size > 1).length;
    };
    expect(parted(splitOf(images))).toBe(0);
    expect(parted(splitOf(images, { split: { unit: 'image', validation: 0.15, test: 0.2 } }))).toBeGreaterThan(5);
  });
  it('sets groups of both classes aside, or keeps them together', () => {
    const shared = [
      { source: 'benign/dup', side: 'negative' as const, groupId: 'both' },
      { source: 'malignant/dup', side: 'positive' as const, groupId: 'both' },
    ];
    const images = [...grouped('negative', 30), ...grouped('positive', 30), ...shared];
    const dropped = splitOf(images);
    expect(dropped.setAside.map(({ source }) => source)).toEqual(['benign/dup', 'malignant/dup']);
    expect(dropped.assignment.has('benign/dup')).toBe(false);
    const kept = splitOf(images, { crossClass: 'keep' });
    expect(kept.setAside).toEqual([]);
    expect(kept.assignment.get('benign/dup')).toBe(kept.assignment.get('malignant/dup'));
  });
  it('refuses a class with too few images, by name', () => {
    const images = [...grouped('negative', 30), ...grouped('positive', 19)];
    expect(() => splitOf(images)).toThrow(DatasetError);
    expect(() => splitOf(images)).toThrow(/"malignant" has 19 usable images .* at least 20/);
  });
  it('refuses groups that cannot be divided', () => {
    const images = [...grouped('negative', 30), ...grouped('positive', 30, 30)];
    expect(() => splitOf(images)).toThrow(/"malignant" has no image for/);
  });
});

describe('auditLeakage', () => {
  const audited = (member: string, image: RawImage, extra: Partial<ShardEntry> = {}): AuditedImage => ({
    thumbnail: thumbnail(image),
    entry: {
      member,
      sha256: member,
      bytes: 1,
      side: 'negative',
      source: member,
      groupId: member,
      seed: null,
      ...extra,
    },
  });
  const training = Array.from({ length: 8 }, (_, i) => audited(`train-${i}`, picture(`train-${i}`)));
  const test = Array.from({ length: 4 }, (_, i) => audited(`test-${i}`, picture(`test-${i}`)));
  const synthetic = Array.from({ length: 4 }, (_, i) =>
    audited(`seed-${i}`, picture(`seed-${i}`), { source: null, groupId: null, seed: i + 1 }),
  );
  type Sets = Record<'training' | 'test' | 'synthetic' | 'validating' | 'fakesValidating', readonly AuditedImage[]>;
  const failed = async (change: Partial<Sets>): Promise<string[]> => {
    const sets = { training, test, synthetic, validating: [], fakesValidating: [], ...change };
    const { passed, checks } = await auditLeakage({
      real: { train: sets.training, validation: sets.validating },
      test: sets.test,
      synthetic: { train: sets.synthetic, validation: sets.fakesValidating },
      ncc: 0.97,
    });
    const names = checks.filter((check) => !check.passed).map(({ name }) => name);
    expect(passed).toBe(names.length === 0);
    return names;
  };
  it('passes clean sets', async () => expect(await failed({})).toEqual([]));
  it('finds equal bytes', async () => {
    const leaked = audited('x', picture('x'), { sha256: 'train-0' });
    expect(await failed({ test: [...test, leaked] })).toEqual([expect.stringMatching(/byte-equal/)]);
  });
  it('finds a validation image that was trained on, real or not, and looks for test images among them', async () => {
    const held = audited('held', picture('held'));
    expect(await failed({ validating: [held] })).toEqual([]);
    for (const change of [{ validating: [held, training[2]!] }, { fakesValidating: [synthetic[0]!] }])
      expect(await failed(change)).toEqual(['no validation image was trained on']);
    const leaked = audited('x', picture('x'), { sha256: 'held' });
    expect(await failed({ validating: [held], test: [...test, leaked] })).toEqual([
      expect.stringMatching(/byte-equal/),
    ]);
  });
  it('finds a group on both sides', async () => {
    const leaked = audited('x', picture('x'), { groupId: 'train-0' });
    expect(await failed({ test: [...test, leaked] })).toEqual([expect.stringMatching(/group/)]);
  });
  it('finds a mirrored training image', async () => {
    const leaked = audited('x', mirrorOf(picture('train-3')));
    expect(await failed({ test: [...test, leaked] })).toEqual([expect.stringMatching(/resembles a training/)]);
  });
  it('finds a fake that reproduces a test image', async () => {
    const copied = audited('seed-9', picture('test-1', 8), { source: null, groupId: null, seed: 9 });
    expect(await failed({ synthetic: [...synthetic, copied] })).toEqual([
      expect.stringMatching(/synthetic image resembles/),
    ]);
  });
  it('finds a real image among the fakes', async () => {
    expect(await failed({ synthetic: [...synthetic, audited('r', picture('r'))] })).toEqual([
      expect.stringMatching(/generated images only/),
    ]);
  });
});

import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openFeatureFile, tableOfFiles, writeFeatureFile } from '../../../lib/classifier/feature-file.ts';
import { checkSpace, featureBytes, imagesPerPart } from '../../../lib/classifier/feature-space.ts';
import { ConfigurationError } from '../../../lib/errors.ts';
import { defaults } from '../../../contract/presets.ts';

let dir = '';
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'echoforge-feature-file-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const size = 3;
/** Row n is n, n + 0.25, n + 0.5. */
const rowsFrom = (first: number, rows: number): Float32Array =>
  Float32Array.from({ length: rows * size }, (_, i) => first + Math.floor(i / size) + (i % size) / 4);

async function fileOf(name: string, first: number, rows: number): Promise<{ file: string; described: Described }> {
  const file = join(dir, name);
  const described = { key: name, rows, size };
  await writeFeatureFile(file, described, rowsFrom(first, rows));
  return { file, described };
}
type Described = Parameters<typeof openFeatureFile>[1];

describe('a file of features', () => {
  it('gives, as a table with others, each row by itself', async () => {
    const parts = [await fileOf('first', 0, 4), await fileOf('second', 4, 4), await fileOf('last', 8, 1)];
    const files = await Promise.all(parts.map(({ file, described }) => openFeatureFile(file, described)));
    const table = tableOfFiles(files, { rowsPerFile: 4, size, views: 2 });
    for (const row of [8, 0, 4, 3, 7]) {
      const target = new Float32Array(2 * size).fill(-1);
      table.read(row, target, size);
      expect([...target]).toEqual([-1, -1, -1, row, row + 0.25, row + 0.5]);
    }
    expect(() => table.read(12, new Float32Array(size), 0)).toThrow('expected a row below 12, got 12');
  });

  it('is refused under another key, with another shape, and cut off or longer', async () => {
    const { file, described } = await fileOf('whole', 0, 4);
    await expect(openFeatureFile(file, { ...described, key: 'other' })).rejects.toThrow(/key other: .*its key whole/);
    await expect(openFeatureFile(file, { ...described, rows: 2, size: 6 })).rejects.toThrow(/\[2, 6\].* \[4, 3\]/);
    const bytes = await readFile(file);
    await truncate(file, bytes.length - 1);
    await expect(openFeatureFile(file, described)).rejects.toThrow(`the file at ${bytes.length - 1}`);
    await writeFile(file, Buffer.concat([bytes, Buffer.alloc(1)]));
    await expect(openFeatureFile(file, described)).rejects.toThrow('has 1 bytes after features, expected none');
  });

  it('that is cut off after it was opened says so', async () => {
    const { file, described } = await fileOf('cut', 0, 4);
    const table = tableOfFiles([await openFeatureFile(file, described)], { rowsPerFile: 4, size, views: 1 });
    await truncate(file, (await readFile(file)).length - 4);
    expect(() => table.read(3, new Float32Array(size), 0)).toThrow(/cut ends at byte \d+, expected 4 more/);
  });
});

describe('the space that features take', () => {
  const recipe = { ...defaults.classifier, weights: 'w', headEpochs: 0, freeze: 'nakata', bn: 'frozen' } as const;

  it('is 364 kB per image and view before the last projection at 256 px, 6 kB after pooling, and nothing without a cache', () => {
    expect(featureBytes({ ...recipe, featureCache: 2 }, 256, 28_000)).toBe(28_000 * 2 * 4 * 6 * 6 * (448 + 2080));
    const head = { ...defaults.classifier, weights: 'w', headEpochs: 5, featureCache: 2 };
    expect(featureBytes(head, 256, 28_000)).toBe(28_000 * 2 * 4 * 1536);
    expect(featureBytes(recipe, 256, 28_000)).toBe(0);
  });

  it('is at most 64 MB of one file, and never less than one image', () => {
    expect(imagesPerPart(2, 36 * 2528)).toBe(87);
    expect(imagesPerPart(2, 1536)).toBe(1024);
    expect(imagesPerPart(64, 1000 * 2528)).toBe(1);
  });

  it('is refused where the disk does not have it', () => {
    const given = { needed: 20.4e9, views: 2, workDir: '/work' };
    expect(() => checkSpace({ ...given, free: 20.5e9 })).not.toThrow();
    expect(() => checkSpace({ ...given, free: 5e9 })).toThrow(ConfigurationError);
    expect(() => checkSpace({ ...given, free: 5e9 })).toThrow(
      /need 20\.4 GB in \/work, 5\.0 GB are free there; .*featureCache \(2\)/,
    );
  });
});

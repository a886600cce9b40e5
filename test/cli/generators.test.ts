import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exportGenerator, importGenerator } from '../../cli/generators.ts';
import { stepKey, studyKey } from '../../contract/keys.ts';
import type { GeneratorManifest } from '../../contract/manifests.ts';
import { resolveStudyFile } from '../../contract/resolve-study.ts';
import { ToolInputError } from '../../contract/tools.ts';
import { readTensorFile } from '../../lib/engine/tensor-file.ts';
import { putBlobFile, putManifest } from '../../lib/storage/blobs.ts';
import { createMemoryStore } from '../../lib/storage/memory.ts';
import type { ObjectStore } from '../../lib/storage/object-store.ts';
import { createPointer } from '../../lib/storage/pointer.ts';
import { createToolWorld, type ToolWorld } from '../lib/synthesis/tool-world.ts';

/** Generators out of the store to PyTorch's names, and from them into it. */

const published = fileURLToPath(new URL('../lib/generator/fixtures/public-16px.safetensors', import.meta.url));
const said: string[] = [];
const say = (line: string): void => void said.push(line);
let dir = '';
let world: ToolWorld;
let store: ObjectStore;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'echoforge-cli-generators-'));
  world = await createToolWorld();
  store = createMemoryStore();
  const { resolution, channels } = world.generator.image;
  const study = resolveStudyFile({
    ...{ studyId: 's1', preset: 'demo', dataset: { name: 'd' }, image: { resolution: 16, channels } },
    classes: { negative: 'benign', positive: 'malignant' },
  });
  const small = { ...study, generator: world.generator.config, image: { ...study.image, resolution } };
  await createPointer(store, studyKey('s1'), { study: small, source: null });
  const weights = await putBlobFile(store, world.generator.weightsFile);
  const metric = { name: 'fd', weights: '', value: 1, reals: 1, fakes: 1 };
  const manifest = { kind: 'generator', snapshots: [{ nimg: 64, weights, metric }] } as unknown as GeneratorManifest; // what is read of it
  const ref = await putManifest(store, manifest);
  await createPointer(store, stepKey('s1', 'generator/malignant'), { identity: '', manifest: ref });
});
afterAll(async () => {
  await world.dispose();
  await rm(dir, { recursive: true, force: true });
});

const exported = async (format: 'torch' | 'safetensors', className = 'malignant'): Promise<string> => {
  const out = join(dir, `${format}.safetensors`);
  await exportGenerator({ store, studyId: 's1', className, nimg: null, format, out, say });
  return out;
};

describe('export-generator and import-generator', () => {
  it('bring a snapshot out and back as the same bytes', async () => {
    const key = await importGenerator({ store, file: await exported('torch'), say });
    expect(key).toMatch(/^weights\/[0-9a-f]{64}\/torch\.safetensors$/);
    const stored = Buffer.from(await store.get(key));
    expect(stored.equals(await readFile(world.generator.weightsFile))).toBe(true);
    expect(stored.equals(await readFile(await exported('safetensors')))).toBe(true);
    expect(said).toContain(`${join(dir, 'torch.safetensors')}: class malignant, snapshot 64 (lowest)`);
  });

  it('export noise maps as PyTorch wants them, one per layer', async () => {
    const { tensors } = await readTensorFile(await exported('torch'));
    const map = tensors.get('noises.noise_2');
    expect(map?.shape).toEqual([1, 1, 8, 8]);
    expect(new Set(map?.values).size).toBe(64);
  });

  it('say the sizes of an imported generator', async () => {
    await importGenerator({ store, file: published, say });
    expect(said.join('\n')).toContain('a generator of 16 px, 3 channels, "generator": {"fmapBase":32,"fmapMax":8,');
  });

  it('refuse what is not there', async () => {
    await expect(exported('torch', 'benign')).rejects.toThrow(ToolInputError);
    await expect(exported('torch', 'cyst')).rejects.toThrow(/input of export-generator refused/);
    await expect(importGenerator({ store, file: world.generator.weightsFile, say })).rejects.toThrow(/does not|has no/);
  });
});

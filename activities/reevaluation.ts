import { join } from 'node:path';
import type { CpuActivities } from '../contract/activities.ts';
import { importHeadKey } from '../contract/keys.ts';
import { type ClassSide, type DatasetImport, type PerClass, type RefTo, type ShardRef } from '../contract/manifests.ts';
import { ingestImages, type SourceImage } from '../lib/dataset/ingest.ts';
import { DatasetError } from '../lib/errors.ts';
import { getBlob, getManifest } from '../lib/storage/blobs.ts';
import { readPointer } from '../lib/storage/pointer.ts';
import { beating, withWorkDir } from './activity-support.ts';
import { readReleased } from './evaluation.ts';
import { uploadShard, type LocalDeps } from './local-inputs.ts';
import { readStudy } from './study-record.ts';

/** Prepares a bucket prefix exactly as the study of the released models prepared its data set. */
export function createReevaluationActivities(deps: LocalDeps): Pick<CpuActivities, 'prepareReevaluation'> {
  const { store, workDir } = deps;
  return {
    prepareReevaluation: async ({ models, prefix }) =>
      await beating(
        async () =>
          await withWorkDir(workDir, async (dir) => {
            const released = await readReleased(store, models);
            const { study } = await readStudy(store, models);
            const files = await listSources(deps, prefix);
            let rejected = 0;
            const prepare = async (side: ClassSide): Promise<readonly ShardRef[]> => {
              const folder = study.classes[side];
              const sources = files.filter(({ path }) => path.startsWith(`${folder}/`));
              if (sources.length === 0) return [];
              const ingested = await ingestImages({
                sources: sources.map((file) => ({ ...file, side })),
                image: study.image,
                minSourcePx: study.prepare.minSourcePx,
                tarFile: join(dir, `${side}.tar`),
                indexFile: join(dir, `${side}.jsonl`),
              });
              rejected += ingested.rejected.length;
              return ingested.shard.images === 0 ? [] : [await uploadShard(store, ingested.shard)];
            };
            const test = { negative: await prepare('negative'), positive: await prepare('positive') };
            const images = { negative: countOf(test, 'negative'), positive: countOf(test, 'positive') };
            if (images.negative + images.positive === 0)
              throw new DatasetError(
                `no usable image below ${prefix}: expected folders "${study.classes.negative}" and ` +
                  `"${study.classes.positive}" as in study ${models}, found ${describeFound(files)}`,
              );
            const { precision, execution, queues } = study;
            return {
              ...{ test, images, models: released.models, channels: study.image.channels, rejected },
              ...{ precision, execution, queue: queues.evaluateModels },
            };
          }),
      ),
  };
}

const countOf = (test: PerClass<readonly ShardRef[]>, side: ClassSide): number =>
  test[side].reduce((sum, { images }) => sum + images, 0);

function describeFound(files: readonly { readonly path: string }[]): string {
  const folders = [...new Set(files.map(({ path }) => path.split('/')[0] ?? ''))].slice(0, 5);
  return files.length === 0 ? 'nothing' : `${files.length} files in ${folders.join(', ')}`;
}

/** `imports/<name>/` is an import of `echoforge import --name`; anything else lies in the bucket as plain objects. */
async function listSources({ store }: LocalDeps, prefix: string): Promise<readonly Omit<SourceImage, 'side'>[]> {
  const name = /^imports\/([a-z0-9-]+)\/?$/.exec(prefix)?.[1];
  const head = name === undefined ? null : await readPointer<RefTo<DatasetImport>>(store, importHeadKey(name));
  if (head) {
    const { files } = await getManifest<DatasetImport>(store, head.value);
    return files.map(({ path, blob }) => ({ path, bytes: () => getBlob(store, blob) }));
  }
  const root = prefix.endsWith('/') ? prefix : `${prefix}/`;
  const found: Omit<SourceImage, 'side'>[] = [];
  for await (const { key } of store.list(root))
    found.push({ path: key.slice(root.length), bytes: () => store.get(key) });
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}

import { classSides, type ClassSide, type DatasetImport } from '../../contract/manifests.ts';
import type { Study } from '../../contract/study.ts';

export interface IngestRange {
  readonly side: ClassSide;
  readonly files: DatasetImport['files'];
}

/** Divides the source files of both class folders, sorted by path, into ranges of at most `shardImages`. */
export function planIngest(
  files: DatasetImport['files'],
  { classes, shardImages }: { readonly classes: Study['classes']; readonly shardImages: number },
): IngestRange[] {
  return classSides.flatMap((side) => {
    const own = files
      .filter(({ path }) => path.startsWith(`${classes[side]}/`))
      .sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
    const ranges: IngestRange[] = [];
    for (let start = 0; start < own.length; start += shardImages)
      ranges.push({ side, files: own.slice(start, start + shardImages) });
    return ranges;
  });
}

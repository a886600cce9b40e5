import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { classSides } from '../../contract/manifests.ts';
import type { Study } from '../../contract/study.ts';
import { encodePng } from '../image/png.ts';
import { simulatePhantom } from './simulate.ts';

/** Writes `<dir>/<class>/phantom-0001.png` and so on, ready for `echoforge import`. Equal arguments, equal bytes. */
export async function writePhantomDataset({
  dir,
  classes,
  imagesPerClass,
  seed,
  resolution,
}: {
  readonly dir: string;
  readonly classes: Study['classes'];
  readonly imagesPerClass: number;
  readonly seed: number;
  /** px */
  readonly resolution: number;
}): Promise<void> {
  for (const side of classSides) {
    const folder = join(dir, classes[side]);
    await mkdir(folder, { recursive: true });
    for (let index = 1; index <= imagesPerClass; index++) {
      const png = await encodePng(simulatePhantom({ side, index, seed, resolution }));
      await writeFile(join(folder, `phantom-${String(index).padStart(4, '0')}.png`), png);
    }
  }
}

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { NamedFile, ToolTask } from '../../contract/engine.ts';
import { encodePng } from '../image/png.ts';
import type { RawImage } from '../image/raw-image.ts';
import { withPngText } from '../png-metadata/png-text.ts';

/** A PNG in the work directory that says its class, `text` and where it comes from. */
export async function writePng(
  { className, provenance }: ToolTask,
  options: {
    readonly dir: string;
    readonly name: string;
    readonly image: RawImage;
    readonly text: Readonly<Record<string, string>>;
  },
): Promise<NamedFile> {
  const { dir, name, image, text } = options;
  const file = join(dir, name);
  await writeFile(file, withPngText(await encodePng(image), { class: className, ...text, ...provenance }));
  return { name, file };
}

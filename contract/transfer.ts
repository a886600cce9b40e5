import { z } from 'zod';
import { startWeightsOf } from './keys.ts';

/** Transfer learning of a generator: what it starts from, and how much of that its discriminator keeps (stylegan2.md 5.3). */
export const transferSchema = z.strictObject({
  resumeFrom: z
    .string()
    .nullable()
    .describe(
      'weights that both networks start from: the sha256 of a snapshot, the key of a checkpoint (echoforge checkpoints) or of an imported file (echoforge import-weights); null starts from random ones. With it emaRampup is off and adaKimg 100 where null. Default: null',
    ),
  freezeD: z
    .int()
    .min(0)
    .max(8)
    .describe(
      'blocks of D, counted from the full resolution, that stay as resumeFrom has them (FreezeD); 3 are the 10 layers of the reference. Default: 0',
    ),
});
export type TransferConfig = z.output<typeof transferSchema>;

/** A resolved generator that starts from random weights has none of these fields: its artefacts are those from before there were any. */
export function withoutIdleTransfer<G extends TransferConfig>(
  generator: G,
): Omit<G, keyof TransferConfig> & Partial<TransferConfig> {
  const { resumeFrom, freezeD, ...rest } = generator;
  return { ...rest, ...(resumeFrom !== null && { resumeFrom }), ...(freezeD > 0 && { freezeD }) };
}

/** What cannot work, by field. */
export function transferProblems(
  { resumeFrom = null, freezeD = 0 }: Partial<TransferConfig>,
  resolution: number,
): { readonly field: keyof TransferConfig; readonly message: string }[] {
  const problems: { field: keyof TransferConfig; message: string }[] = [];
  if (resumeFrom !== null && startWeightsOf(resumeFrom) === null)
    problems.push({
      field: 'resumeFrom',
      message: `expected the sha256 of a snapshot, studies/<id>/training/generator/<class>/files/<sha256> of a checkpoint, or weights/<sha256>/<file> of an import, found "${resumeFrom}"; echoforge checkpoints STUDY lists the first two`,
    });
  if (freezeD > 0 && resumeFrom === null)
    problems.push({ field: 'freezeD', message: 'freezing an untrained discriminator needs generator.resumeFrom' });
  const blocks = Math.log2(resolution) - 2;
  if (freezeD > blocks)
    problems.push({
      field: 'freezeD',
      message: `expected at most the ${blocks} blocks of D above 4 px at ${resolution} px, found ${freezeD}`,
    });
  return problems;
}

import { z } from 'zod';

/** A choice of the R1 weight: short trainings with each of a list, the one with the lowest snapshot metric is kept. */
export const gammaSweepSchema = z.strictObject({
  gammaSweep: z
    .array(z.number().gt(0))
    .min(2)
    .max(16)
    .nullable()
    .describe(
      'values of r1Gamma that are tried in short trainings of their own; the class trains from the start with the one whose snapshots come nearest to the reals. null takes r1Gamma. Default: null',
    ),
  gammaSweepKimg: z
    .number()
    .gt(0)
    .nullable()
    .describe('length of each of these trainings, thousands of images; needed with gammaSweep. Default: null'),
});
export type GammaSweepConfig = z.output<typeof gammaSweepSchema>;

/** A resolved generator without a sweep has none of its fields: its artefacts are those from before there were any. */
export function withoutIdleSweep<G extends GammaSweepConfig>(
  generator: G,
): Omit<G, keyof GammaSweepConfig> & Partial<GammaSweepConfig> {
  const { gammaSweep, gammaSweepKimg, ...rest } = generator;
  return {
    ...rest,
    ...(gammaSweep !== null && { gammaSweep }),
    ...(gammaSweepKimg !== null && { gammaSweepKimg }),
  };
}

interface Swept extends Partial<GammaSweepConfig> {
  readonly r1Gamma: number | null;
  readonly totalKimg: number;
  readonly batchSize: number;
}

/** What cannot work, by field. */
export function gammaSweepProblems({
  gammaSweep = null,
  gammaSweepKimg = null,
  ...generator
}: Swept): { readonly field: keyof GammaSweepConfig; readonly message: string }[] {
  const { r1Gamma, totalKimg, batchSize } = generator;
  if (gammaSweep === null)
    return gammaSweepKimg === null
      ? []
      : [{ field: 'gammaSweepKimg', message: 'belongs to gammaSweep, which is not set; leave it out, or list gammas' }];
  const problems: { field: keyof GammaSweepConfig; message: string }[] = [];
  if (new Set(gammaSweep).size < gammaSweep.length)
    problems.push({ field: 'gammaSweep', message: `expected each gamma once, found ${gammaSweep.join(', ')}` });
  if (r1Gamma !== null)
    problems.push({ field: 'gammaSweep', message: `chooses r1Gamma, which is ${r1Gamma}; set r1Gamma to null` });
  if (gammaSweepKimg === null || gammaSweepKimg >= totalKimg || Math.round(gammaSweepKimg * 1000) < batchSize)
    problems.push({
      field: 'gammaSweepKimg',
      message: `expected from one minibatch of ${batchSize} images to less than totalKimg ${totalKimg}, found ${gammaSweepKimg ?? 'none'}`,
    });
  return problems;
}

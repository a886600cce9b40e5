import { z } from 'zod';

/** One network for both classes instead of one per class (stylegan2.md 2.2, 2.7). */
export const conditionalSchema = z.strictObject({
  conditional: z
    .boolean()
    .describe(
      'one training on the images of both classes with their labels, instead of one per class; each class then takes its own snapshot of it. Default: false',
    ),
});
export type ConditionalConfig = z.output<typeof conditionalSchema>;

/** A resolved generator of one class has no such field: its artefacts are those from before there was one. */
export function withoutIdleConditional<G extends ConditionalConfig>(
  generator: G,
): Omit<G, keyof ConditionalConfig> & Partial<ConditionalConfig> {
  const { conditional, ...rest } = generator;
  return conditional ? { ...rest, conditional } : rest;
}

/** Why a study cannot train both classes in one network; empty when it can, or does not ask for it. */
export function conditionalProblems(
  generator: Partial<ConditionalConfig> & { readonly gammaSweep?: unknown },
  trainGeneratorQueue: unknown,
): string[] {
  if (generator.conditional !== true) return [];
  const problems: string[] = [];
  if ((generator.gammaSweep ?? null) !== null)
    problems.push('gammaSweep chooses r1Gamma per class; give r1Gamma, or train one network per class');
  if (typeof trainGeneratorQueue !== 'string')
    problems.push('one training needs one queue, found one per class in queues.trainGenerator');
  return problems;
}

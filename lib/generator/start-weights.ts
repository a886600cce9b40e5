import { assignTensors, readTensorFile, type StoredTensor } from '../engine/tensor-file.ts';
import { WeightsError } from '../errors.ts';
import { planStart } from './start-plan.ts';
import type { TrainingState } from './state.ts';

/**
 * Fills the networks of a fresh training from a file of trained weights, as `planStart` says. The optimisers stay fresh.
 * @throws WeightsError when the file holds other networks, or a value that is not finite: no update would ever be
 */
export async function takeStartWeights(file: string, state: TrainingState, freezeD: number): Promise<void> {
  const { tensors } = await readTensorFile(file);
  const shapes = new Map([...tensors].map(([name, { shape }]) => [name, shape] as const));
  const { sources } = planStart(shapes, { shape: state.shape, freezeD, file });
  const taken = new Map<string, StoredTensor>();
  for (const [variable, source] of sources) {
    const tensor = tensors.get(source);
    if (tensor === undefined) continue;
    const { values } = tensor;
    const bad = values.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0)
      throw new WeightsError(
        `generator.resumeFrom: expected finite values, found ${source}[${bad}] = ${values[bad] ?? ''}; convert the weights again, or start from others`,
      );
    taken.set(variable, tensor);
  }
  const variables = state.variables.filter(({ name }) => sources.has(name));
  assignTensors(variables, taken, file);
}

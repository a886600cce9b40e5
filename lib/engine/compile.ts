import type { EngineSettings } from '../../contract/engine.ts';
import { ConfigurationError } from '../errors.ts';
import { nativeBackend } from './native-backend.ts';
import { tf } from './tf.ts';

/** One training or inference step: run op by op, or recorded once and executed as one TensorFlow function. */
export interface CompiledStep {
  /** The caller owns the returned tensors; everything else is disposed. */
  run(inputs: Readonly<Record<string, tf.Tensor>>): Record<string, tf.Tensor>;
  dispose(): void;
}

export interface StepOptions {
  readonly name: string;
  /** All variables that the step reads or assigns. */
  readonly variables: readonly tf.Variable[];
  readonly inputs: Readonly<Record<string, { readonly shape: readonly number[]; readonly dtype: 'float32' | 'int32' }>>;
  /**
   * May assign listed variables and is otherwise pure: no reading of values, no control flow on them, no randomness but
   * random-ops, fixed shapes. What changes from step to step is an input or a variable, never a JavaScript number.
   */
  readonly step: (inputs: Record<string, tf.Tensor>) => Record<string, tf.Tensor>;
}

/** @throws ConfigurationError when bf16 is asked of a step that runs op by op */
export function compileStep(options: StepOptions & { readonly settings: EngineSettings }): CompiledStep {
  const { settings } = options;
  if (settings.precision !== 'fp32')
    throw new ConfigurationError(`expected precision fp32 with op-by-op execution, found ${settings.precision}`);
  return checked(options, eagerStep(options));
}

/** What `execution` asks for where the engine can do it: compiled functions need our build of the addon. */
export function executionOf(settings: EngineSettings): EngineSettings['execution'] {
  const canCompile = typeof nativeBackend()?.binding.createFunction === 'function';
  return canCompile ? settings.execution : 'eager';
}

function eagerStep({ step }: StepOptions): CompiledStep {
  return { run: (inputs) => tf.tidy(() => step({ ...inputs })), dispose: () => undefined };
}

/** Refuses inputs other than the declared ones: a compiled step could not, and would compute something else. */
function checked({ name, inputs: declared }: StepOptions, step: CompiledStep): CompiledStep {
  return {
    run(inputs) {
      for (const [input, { shape, dtype }] of Object.entries(declared)) {
        const given = inputs[input];
        if (given === undefined) throw new RangeError(`${name} expects the input ${input}, got none`);
        if (given.dtype !== dtype || given.shape.join() !== shape.join())
          throw new RangeError(
            `${name} expects ${input} as ${dtype} [${shape.join(', ')}], got ${given.dtype} [${given.shape.join(', ')}]`,
          );
      }
      for (const input of Object.keys(inputs))
        if (!(input in declared)) throw new RangeError(`${name} has no input ${input}`);
      return step.run(inputs);
    },
    dispose: () => step.dispose(),
  };
}

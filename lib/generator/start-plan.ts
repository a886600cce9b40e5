import type { StartWeights } from '../../contract/manifests.ts';
import { WeightsError } from '../errors.ts';
import { discriminatorVariables, generatorVariables, type NetworkShape, type VariableSpec } from './architecture.ts';

/**
 * Which tensors of a file a training starts from (transfer learning, stylegan2.md 5.3: G, D and the averaged G by name).
 * Read off names and shapes alone, so that a study can be refused before anything is computed.
 *
 * A checkpoint, or a file under its names (`G/...`, `D/...`, `Gs/...`, `wAvg`, `plMean`), gives all of them; the moments of
 * its optimisers start anew. Where one of G and Gs is missing it is the other. A snapshot, or a file under the names of the
 * network (`mapping/...`, `synthesis/...`, `wAvg`), gives the averaged generator: G starts as its copy, D from random
 * weights.
 */
export interface StartPlan {
  /** Name in the file by the name of the variable that takes it. */
  readonly sources: ReadonlyMap<string, string>;
  readonly discriminator: StartWeights['discriminator'];
}

type Shapes = ReadonlyMap<string, readonly number[]>;

const shownDifferences = 5;

/** Prefix in the file of a network, the first one that it has any variable of. */
function prefixOf(stored: Shapes, candidates: readonly string[]): string | null {
  return candidates.find((prefix) => [...stored.keys()].some((name) => name.startsWith(prefix))) ?? null;
}

const bare = ['mapping/', 'synthesis/'];
/** Under these a file may hold nothing but what a network has. */
const networks = [...bare, 'G/', 'D/', 'Gs/'];

function differencesOf(
  stored: Shapes,
  wanted: readonly (readonly [source: string, shape: readonly number[]])[],
): string[] {
  return wanted.flatMap(([name, shape]) => {
    const found = stored.get(name);
    if (found === undefined) return [`${name} is missing`];
    return found.join() === shape.join()
      ? []
      : [`${name} has shape [${found.join(', ')}], expected [${shape.join(', ')}]`];
  });
}

/** Side of the images of the generator in the file, px: its highest block. Null when there is none. */
function storedResolution(stored: Shapes): number | null {
  const sides = [...stored.keys()].flatMap((name) => /(?:^|\/)synthesis\/b(\d+)\//.exec(name)?.[1] ?? []).map(Number);
  return sides.length === 0 ? null : Math.max(...sides);
}

/**
 * @throws WeightsError when the file holds other networks, naming the first differences, or no discriminator although some of
 *   it is to be frozen
 */
export function planStart(
  stored: Shapes,
  { shape, freezeD, file }: { readonly shape: NetworkShape; readonly freezeD: number; readonly file: string },
): StartPlan {
  const isBare = prefixOf(stored, bare) !== null;
  const g = isBare ? '' : prefixOf(stored, ['G/', 'Gs/']);
  const gs = isBare ? '' : prefixOf(stored, ['Gs/', 'G/']);
  const d = prefixOf(stored, ['D/']);
  if (g === null || gs === null)
    throw new WeightsError(
      `${file} holds no generator: expected variables G/..., Gs/..., or mapping/... and synthesis/...`,
    );
  if (d === null && freezeD > 0)
    throw new WeightsError(
      `${file} holds no discriminator, so generator.freezeD would freeze random weights; start from a checkpoint, or leave freezeD out`,
    );
  const sources = new Map<string, string>();
  const wanted: [string, readonly number[]][] = [];
  const take = (prefix: string, from: string, specs: readonly VariableSpec[]): void => {
    for (const spec of specs) {
      sources.set(`${prefix}${spec.name}`, `${from}${spec.name}`);
      wanted.push([`${from}${spec.name}`, spec.shape]);
    }
  };
  take('G/', g, generatorVariables(shape));
  take('D/', 'D/', d === null ? [] : discriminatorVariables(shape));
  if (gs !== g) take('Gs/', gs, generatorVariables(shape));
  else for (const { name } of generatorVariables(shape)) sources.set(`Gs/${name}`, `${gs}${name}`);
  take('', '', [{ name: 'wAvg', shape: [shape.latentSize], std: 0 }]);
  if (stored.has('plMean')) take('', '', [{ name: 'plMean', shape: [], std: 0 }]);
  refuseDifferences(stored, { wanted, shape, file });
  return { sources, discriminator: d === null ? 'fresh' : 'taken' };
}

function refuseDifferences(
  stored: Shapes,
  options: {
    readonly wanted: readonly (readonly [string, readonly number[]])[];
    readonly shape: NetworkShape;
    readonly file: string;
  },
): void {
  const { wanted, shape, file } = options;
  const known = new Set(wanted.map(([name]) => name));
  const unexpected = [...stored.keys()].filter(
    (name) => !known.has(name) && networks.some((prefix) => name.startsWith(prefix)),
  );
  const all = [...differencesOf(stored, wanted), ...unexpected.map((name) => `${name} is not expected`)];
  if (all.length === 0) return;
  const found = storedResolution(stored);
  const size = found === null || found === shape.resolution ? '' : `is of ${found} px, expected ${shape.resolution}; `;
  const more = all.length > shownDifferences ? `; and ${all.length - shownDifferences} more` : '';
  throw new WeightsError(
    `${file} does not fit this study's networks: ${size}${all.slice(0, shownDifferences).join('; ')}${more}`,
  );
}

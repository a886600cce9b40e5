import { configDifference, defaults, presets } from './presets.ts';
import { refusalOf } from './refusal.ts';
import { studySchema, type Study } from './study.ts';

/** A field of the study file that was refused. `path` reads like `generator.batchSize`. */
export interface StudyProblem {
  readonly path: string;
  readonly message: string;
}

/** Thrown by {@link resolveStudyFile}: the study file is refused; `problems` lists every refused field. */
export class StudyFileError extends Error {
  readonly problems: readonly StudyProblem[];
  constructor(problems: readonly StudyProblem[]) {
    super(`study file refused:\n${problems.map((p) => `  ${p.path || '(file)'}: ${p.message}`).join('\n')}`);
    this.name = 'StudyFileError';
    this.problems = problems;
  }
}

const isPlainObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** `over` over `base`, objects merged key by key, everything else replaced. */
function merge(base: unknown, over: unknown): unknown {
  if (over === undefined) return base;
  if (!isPlainObject(base) || !isPlainObject(over)) return over;
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) merged[key] = merge(base[key], value);
  return merged;
}

/**
 * The complete study of a user's file: defaults, then the differences of the preset and of config-f, then the file.
 * @throws StudyFileError naming every refused field.
 */
export function resolveStudyFile(file: unknown): Study {
  if (!isPlainObject(file))
    throw new StudyFileError([
      {
        path: '',
        message: `expected a JSON object, got ${file === null ? 'null' : Array.isArray(file) ? 'an array' : typeof file}`,
      },
    ]);
  const preset = file['preset'] ?? 'sound';
  if (typeof preset !== 'string' || !Object.hasOwn(presets, preset))
    throw new StudyFileError([
      { path: 'preset', message: `expected ${Object.keys(presets).join(', ')}, got ${JSON.stringify(preset)}` },
    ]);
  const known = preset as Study['preset']; // own key, checked above
  const config = isPlainObject(file['generator']) ? file['generator']['config'] : undefined;
  const differences = merge(presets[known], configDifference(config, known));
  const complete = merge(merge(defaults, differences), file);
  const parsed = studySchema.safeParse(complete);
  if (parsed.success) return parsed.data;
  throw new StudyFileError(parsed.error.issues.map((issue) => refusalOf(issue, complete)));
}

/** Settings that change no artefact: another owner, queue, gate or reuse continues the same study. */
export const operationalFields = ['owner', 'queues', 'gates', 'reuse'] as const satisfies readonly (keyof Study)[];

/** The part of a study that decides its bytes. */
export function identityOf(study: Study): Omit<Study, (typeof operationalFields)[number] | 'studyId'> {
  const { owner, queues, gates, reuse, studyId, ...identity } = study;
  return identity;
}

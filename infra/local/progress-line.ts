import type { StepProgress, StudyProgress } from '../../contract/progress.ts';

/** What `temporal workflow query -o json` prints for `progress`. The command writes empty arrays as null. */
export function parseProgress(text: string): StudyProgress {
  // The workflow's own answer, wrapped by the command.
  const { queryResult } = JSON.parse(text) as {
    queryResult: [Omit<StudyProgress, 'steps'> & { steps: StudyProgress['steps'] | null }];
  };
  return { ...queryResult[0], steps: queryResult[0].steps ?? [] };
}

/** Usual share of a demo's time by kind of step; only for the estimate of the time left. */
const shares: Readonly<Record<string, number>> = {
  dataset: 2,
  classifier: 10,
  generator: 34,
  synthesis: 2,
  filter: 3,
  evaluation: 2,
  report: 1,
};
const total = 2 + 2 * 10 + 2 * 34 + 2 * 2 + 3 + 2 + 1;

const finished = ({ state }: StepProgress): boolean => state === 'done' || state === 'reused';

/** What runs, how far it is, and how long the rest may take. */
export function describeProgress({ stage, steps, paused, awaiting }: StudyProgress, elapsedSeconds: number): string {
  const weight = (step: StepProgress): number => shares[step.step.split('/')[0] ?? ''] ?? 0;
  const partOf = (step: StepProgress): number =>
    finished(step) ? 1 : step.total > 0 ? Math.min(1, step.done / step.total) : 0;
  const share = steps.reduce((sum, step) => sum + weight(step) * partOf(step), 0) / total;
  const current = steps.find((step) => !finished(step));
  const what = current
    ? `${current.step} ${round(current.done)}/${round(current.total)} ${current.unit}${current.detail === '' ? '' : ` (${current.detail})`}`
    : stage;
  const waiting = current?.idleQueue ? `; no worker polls queue ${current.idleQueue}` : '';
  const held = paused === null ? (awaiting === null ? '' : `; waits for ${awaiting}`) : `; paused: ${paused}`;
  const left = share > 0.03 ? `, about ${clock((elapsedSeconds / share) * (1 - share))} left` : '';
  return `${String(Math.round(100 * share)).padStart(3)}%  ${what}${waiting}${held}  ${clock(elapsedSeconds)}${left}`;
}

const round = (value: number): string => String(Math.round(100 * value) / 100);
const clock = (seconds: number): string =>
  `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`;

import type { Fingerprint } from '../../contract/manifests.ts';
import { markup, trustedHtml, type SafeHtml } from './html.ts';
import { pageStyle } from './page-style.ts';

/** Content of `run.json`: when, where and in how many attempts a study ran. Kept out of the report, whose bytes repeat. */
export interface RunRecord {
  readonly studyId: string;
  readonly entries: readonly RunEntry[];
}

export interface RunEntry {
  readonly activity: string;
  readonly workflowId: string;
  readonly attempt: number;
  readonly host: string;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly endedAt: string;
  readonly outcome: 'completed' | 'failed' | 'cancelled';
  readonly detail: string | null;
  readonly fingerprint: Fingerprint | null;
}

interface StepTimes {
  readonly workflowId: string;
  readonly activities: number;
  readonly repeated: number;
  readonly seconds: number;
  readonly startedAt: string;
  readonly endedAt: string;
  readonly hosts: readonly string[];
}

const secondsOf = (entry: RunEntry): number =>
  Math.max(0, (Date.parse(entry.endedAt) - Date.parse(entry.startedAt)) / 1000) || 0;

const formatSeconds = (seconds: number): string =>
  seconds < 120
    ? `${seconds.toFixed(1)} s`
    : seconds < 7200
      ? `${(seconds / 60).toFixed(1)} min`
      : `${(seconds / 3600).toFixed(1)} h`;

const describeFingerprint = (fingerprint: Fingerprint): string =>
  `${fingerprint.device}, ${fingerprint.instructionSet}, ${fingerprint.threads} threads, TensorFlow ${fingerprint.tensorflow ?? 'not loaded'}, Node ${fingerprint.node}, ${fingerprint.precision ?? '-'}, ${fingerprint.execution ?? '-'}`;

function summarizeSteps(entries: readonly RunEntry[]): readonly StepTimes[] {
  const byStep = new Map<string, RunEntry[]>();
  for (const entry of entries) byStep.set(entry.workflowId, [...(byStep.get(entry.workflowId) ?? []), entry]);
  return [...byStep].map(([workflowId, own]) => ({
    workflowId,
    activities: own.length,
    repeated: own.filter((entry) => entry.attempt > 1).length,
    seconds: own.reduce((total, entry) => total + secondsOf(entry), 0),
    startedAt: own.map((entry) => entry.startedAt).reduce((a, b) => (a < b ? a : b)),
    endedAt: own.map((entry) => entry.endedAt).reduce((a, b) => (a > b ? a : b)),
    hosts: [...new Set(own.map((entry) => entry.host))].sort(),
  }));
}

/** Activities of one kind in one workflow that ran on another fingerprint than the one before. */
function findChanges(entries: readonly RunEntry[]): readonly string[] {
  const last = new Map<string, string>();
  return entries.flatMap((entry) => {
    if (entry.fingerprint === null) return [];
    const key = `${entry.workflowId} ${entry.activity}`;
    const now = describeFingerprint(entry.fingerprint);
    const before = last.get(key);
    last.set(key, now);
    return before === undefined || before === now ? [] : [`${key}: from ${before} to ${now}`];
  });
}

function stepTable(steps: readonly StepTimes[]): SafeHtml {
  return markup`<div class="scroll" tabindex="0" role="region" aria-label="Times per step"><table>
<thead><tr><th scope="col">Workflow</th><th scope="col">Activities</th><th scope="col">Retries</th><th scope="col">Busy time</th><th scope="col">First start (UTC)</th><th scope="col">Last end (UTC)</th><th scope="col">Hosts</th></tr></thead>
<tbody>${steps.map(
    (step) =>
      markup`<tr><th scope="row">${step.workflowId}</th><td>${step.activities}</td><td>${step.repeated}</td><td>${formatSeconds(step.seconds)}</td><td>${step.startedAt}</td><td>${step.endedAt}</td><td>${step.hosts.join(', ')}</td></tr>\n`,
  )}</tbody></table></div>`;
}

function entryTable(entries: readonly RunEntry[]): SafeHtml {
  return markup`<div class="scroll" tabindex="0" role="region" aria-label="All activities"><table>
<thead><tr><th scope="col">Activity</th><th scope="col">Workflow</th><th scope="col">Attempt</th><th scope="col">Host</th><th scope="col">Started (UTC)</th><th scope="col">Took</th><th scope="col">Outcome</th><th scope="col">Detail</th></tr></thead>
<tbody>${entries.map(
    (entry) =>
      markup`<tr${entry.outcome === 'completed' ? null : trustedHtml(' class="bad"')}><th scope="row">${entry.activity}</th><td>${entry.workflowId}</td><td>${entry.attempt}</td><td>${entry.host}</td><td>${entry.startedAt}</td><td>${formatSeconds(secondsOf(entry))}</td><td>${entry.outcome}</td><td>${entry.detail}</td></tr>\n`,
  )}</tbody></table></div>`;
}

/** `run.html`: times, hosts, attempts and fingerprint changes of one study's activities. */
export function renderRunPage(run: RunRecord): string {
  const changes = findChanges(run.entries);
  const retries = run.entries.filter((entry) => entry.attempt > 1).length;
  const busy = run.entries.reduce((total, entry) => total + secondsOf(entry), 0);
  const page = markup`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Run of ${run.studyId}</title><style>${trustedHtml(pageStyle)}</style></head><body>
<header><div class="bar"><p class="kicker">Run record</p><h1>${run.studyId}</h1>
<p class="lead">${run.entries.length} activities, ${formatSeconds(busy)} of work, ${retries} repeated attempts. The results are in <a href="report.html">report.html</a>; this page holds what may differ between two runs of the same study.</p></div></header>
<main>
<section><h2>Steps</h2>${stepTable(summarizeSteps(run.entries))}</section>
<section><h2>Fingerprint changes</h2>${
    changes.length === 0
      ? markup`<p>None: in each workflow every kind of activity ran on one set of software, device and settings.</p>`
      : markup`<ul class="warnings">${changes.map((change) => markup`<li class="caution">${change}</li>`)}</ul>`
  }</section>
<section><h2>Activities</h2>${entryTable(run.entries)}</section>
</main></body></html>
`;
  return page.safeHtml;
}

import { createHash } from 'node:crypto';
import { canonicalJson } from '../../contract/canonical-json.ts';
import { defaults } from '../../contract/presets.ts';
import type { Fingerprint } from '../../contract/manifests.ts';
import { identityOf, operationalFields } from '../../contract/resolve-study.ts';
import type { Study } from '../../contract/study.ts';
import { markup, type SafeHtml } from './html.ts';
import { listLimits } from './limits.ts';
import { folded, hash, section, table } from './page-parts.ts';
import { findRecipeFaults } from './recipe-faults.ts';
import type { ReportInputs } from './report-inputs.ts';
import { listFingerprintChanges, listFingerprints } from './warnings.ts';

const fields: readonly (readonly [keyof Fingerprint, string])[] = [
  ['release', 'echoforge'],
  ['tensorflow', 'TensorFlow'],
  ['backend', 'Engine'],
  ['device', 'Device'],
  ['instructionSet', 'Instruction set'],
  ['threads', 'Threads'],
  ['precision', 'Precision'],
  ['execution', 'Execution'],
  ['node', 'Node'],
  ['icu', 'ICU'],
  ['sharp', 'sharp'],
  ['vips', 'libvips'],
];

/** Hashes of what every step produced, and what ran it. */
export function provenanceSection(inputs: ReportInputs): SafeHtml {
  const changes = listFingerprintChanges(inputs);
  const steps = Object.entries(inputs.sha256s).sort(([a], [b]) => (a < b ? -1 : 1));
  return section(
    'provenance',
    'Provenance and fingerprints',
    markup`<p>Every product is stored under the SHA-256 of its bytes. The same study file and decisions give the same bytes on the same fingerprint, and agree within tolerances on others. Times, hosts and attempts are in <a href="run.html">run.html</a>.</p>`,
    table({
      label: 'Manifests',
      head: ['Step', 'SHA-256 of its manifest'],
      rows: steps.map(([step, sha256]) => [step, markup`<code>${sha256}</code>`]),
    }),
    markup`<h3>Fingerprints</h3>${
      changes.length === 0
        ? markup`<p>No training changed its fingerprint on the way.</p>`
        : markup`<ul class="warnings">${changes.map((change) => markup`<li class="caution">${change}</li>`)}</ul>`
    }`,
    table({
      label: 'Fingerprints',
      head: ['Step', ...fields.map(([, title]) => title)],
      rows: listFingerprints(inputs).map(({ step, fingerprint }) => [
        step,
        ...fields.map(([field]) => fingerprint[field] ?? '-'),
      ]),
    }),
  );
}

/** What not to conclude, and which faults of the reference recipe this study shares. */
export function limitsSection(inputs: ReportInputs): SafeHtml {
  return section(
    'limits',
    'Limits',
    markup`<ul>${listLimits(inputs).map((limit) => markup`<li>${limit}</li>`)}</ul>
<h3>Known faults of the reference recipe</h3>
<p>Preset <code>${inputs.study.preset}</code>. The published recipe that preset <code>nakata</code> follows has these faults; the table says which of them this study has.</p>`,
    table({
      label: 'Known faults of the reference recipe',
      head: ['Fault', 'Here', 'What it means'],
      rows: findRecipeFaults(inputs).map(({ name, present, detail }) => [
        name,
        present ? markup`<strong class="bad">present</strong>` : markup`<span class="good">absent</span>`,
        detail,
      ]),
    }),
  );
}

/** Hash of what decides a study's bytes. */
const hashOf = (study: Study): string =>
  createHash('sha256')
    .update(canonicalJson(identityOf(study)))
    .digest('hex');

const isTree = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** `generator.batchSize` -> value, for every leaf. */
function flatten(value: unknown, path = ''): (readonly [path: string, text: string])[] {
  if (isTree(value))
    return Object.entries(value).flatMap(([key, v]) => flatten(v, path === '' ? key : `${path}.${key}`));
  return [[path, JSON.stringify(value)]];
}

/** The complete configuration that decided the bytes, with what differs from the defaults in bold. */
export function configurationSection({ study }: ReportInputs): SafeHtml {
  const usual = new Map(flatten(defaults));
  const rows = flatten(identityOf(study));
  return section(
    'configuration',
    'Configuration',
    markup`<p>The resolved study, without what changes no result (${operationalFields.join(', ')}). Values that differ from the defaults are bold.</p>`,
    folded(
      `All ${rows.length} settings`,
      table({
        label: 'Configuration',
        head: ['Setting', 'Value', 'Default'],
        rows: rows.map(([path, text]) => {
          const standard = usual.get(path);
          return [
            markup`<code>${path}</code>`,
            standard === text ? markup`<code>${text}</code>` : markup`<strong><code>${text}</code></strong>`,
            standard === undefined ? '-' : markup`<code>${standard}</code>`,
          ];
        }),
      }),
    ),
    markup`<p class="soft">SHA-256 of this configuration: ${hash(hashOf(study))}.</p>`,
  );
}

import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { defaults } from '../../contract/presets.ts';
import { studySchema } from '../../contract/study.ts';

/**
 * docs/study-file.md from the schema: every field with meaning, bounds and the default that a file gets. After a change of
 * the schema: npx tsx test/support/study-file-doc.ts
 */
interface Node {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly anyOf?: readonly Node[];
  readonly enum?: readonly unknown[];
  readonly const?: string | number;
  readonly type?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
  readonly pattern?: string;
  readonly prefixItems?: readonly Node[];
  readonly items?: Node;
}

export interface StudyField {
  readonly path: string;
  readonly description: string;
  readonly bounds: string;
  /** Undefined for the fields that a file must have. */
  readonly value: unknown;
}

/** The leaves of the schema, in its order; a field of two forms (`queues.trainGenerator`) is one leaf. */
export function studyFields(): StudyField[] {
  const schema = z.toJSONSchema(studySchema, { unrepresentable: 'any', io: 'input' }) as Node;
  return leavesOf(schema, [], defaults);
}

function leavesOf(node: Node, path: readonly string[], value: unknown): StudyField[] {
  if (node.properties === undefined)
    return [{ path: path.join('.'), description: node.description ?? '', bounds: boundsOf(node), value }];
  return Object.entries(node.properties).flatMap(([name, inner]) =>
    leavesOf(
      { ...(inner.properties ? {} : node.description ? { description: node.description } : {}), ...inner },
      [...path, name],
      (value as Record<string, unknown> | undefined)?.[name],
    ),
  );
}

function boundsOf(node: Node): string {
  if (node.anyOf)
    return node.anyOf
      .map(boundsOf)
      .filter((text) => text !== '')
      .join(' or ');
  if (node.enum) return node.enum.map(String).join(', ');
  if (node.const !== undefined) return String(node.const);
  if (node.type === 'null') return 'null';
  if (node.prefixItems) return node.prefixItems.map(boundsOf).join(' and ');
  if (node.type === 'array') return node.items ? `list of ${boundsOf(node.items)}` : 'list';
  if (node.pattern !== undefined) return `\`${node.pattern.replaceAll('|', '\\|')}\``;
  if (node.type !== 'integer' && node.type !== 'number') return node.type ?? '';
  const above =
    node.exclusiveMinimum === undefined ? `from ${node.minimum ?? '-inf'}` : `above ${node.exclusiveMinimum}`;
  const below =
    node.exclusiveMaximum === undefined ? ` to ${node.maximum ?? 'any'}` : ` below ${node.exclusiveMaximum}`;
  const bounded = node.maximum === undefined && node.exclusiveMaximum === undefined;
  const largest = node.maximum === Number.MAX_SAFE_INTEGER;
  return `${node.type === 'integer' ? 'integer ' : ''}${above}${bounded || largest ? '' : below}`;
}

/** What descriptions claim as default, beside the default. */
export function studyFieldDescriptions(): {
  readonly path: string;
  readonly claimed: string;
  readonly actual: string;
}[] {
  const inWords = (value: unknown): string =>
    value === '' ? 'empty' : Array.isArray(value) ? value.join(', ') || 'none' : String(value);
  return studyFields().flatMap(({ path, description, value }) => {
    const claimed = /Default: ([^;]*?)(;|$)/.exec(description)?.[1];
    return claimed === undefined ? [] : [{ path, claimed, actual: inWords(value) }];
  });
}

export function studyFileDoc(): string {
  const rows = studyFields().map(({ path, description, bounds, value }) => {
    const meaning = description.replace(/\.? ?Default: .*$/, '');
    const missing = path === 'studyId' ? 'from the workflow id' : 'required';
    return `| \`${path}\` | ${meaning} | ${bounds} | ${value === undefined ? missing : `\`${JSON.stringify(value)}\``} |`;
  });
  return [
    '# The study file',
    '',
    'JSON, checked by `contract/study.ts` before anything starts; unknown keys are refused by their path. `preset` is laid over',
    'these defaults (which are `sound`), the file over both; the presets are the differences in `contract/presets.ts`. `studyId`',
    'may be left out: it is the part of the workflow id after `study/`. Lengths are pixels, budgets are counts.',
    'This file is generated: `npx tsx test/support/study-file-doc.ts`.',
    '',
    '| field | meaning | bounds | default |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  await writeFile(new URL('../../docs/study-file.md', import.meta.url), studyFileDoc());

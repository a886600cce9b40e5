import { createHash } from 'node:crypto';
import { canonicalJson } from '../contract/canonical-json.ts';
import type { NamedFile } from '../contract/engine.ts';
import { toolKey } from '../contract/keys.ts';
import type { Fingerprint } from '../contract/manifests.ts';
import type { ToolFile, ToolManifest, ToolPlan, ToolResult } from '../contract/tools.ts';
import { ConfigurationError } from '../lib/errors.ts';
import { hashBytes, hashFile } from '../lib/storage/blobs.ts';
import type { ObjectStore } from '../lib/storage/object-store.ts';

/** What a tool leaves below its prefix: files under plain names, and last the manifest, the commit point. */

const manifestName = 'manifest.json';

/** Names the output of a plan on one engine in the keys: the same request finds its own files, another never touches them. */
export function requestOf({ tool, side, snapshot, request }: ToolPlan, fingerprint: Fingerprint): string {
  const identity = canonicalJson([tool, side, snapshot, request, fingerprint]);
  return createHash('sha256').update(identity).digest('hex').slice(0, 16);
}

/** Of an output that several activities make: which request, on which engine. */
interface OutputPart {
  readonly request: string;
  readonly fingerprint: Fingerprint;
}

/**
 * What the parts of one output have in common.
 * @throws ConfigurationError when workers of several kinds made them
 */
export function commonOf(parts: readonly OutputPart[], queue: string): OutputPart {
  const [first] = parts;
  if (first === undefined) throw new RangeError('expected at least one part of the output, got none');
  const { request, fingerprint } = first;
  if (parts.every((part) => part.request === request)) return { request, fingerprint };
  throw new ConfigurationError(
    `expected one kind of engine behind queue ${queue}, found parts of several: their results ` +
      'agree to a tolerance only. Leave workers of one kind on the queue and start the tool again.',
  );
}

export interface ToolTarget {
  readonly studyId: string;
  readonly tool: string;
  readonly request: string;
}

export async function storeToolFiles(
  store: ObjectStore,
  target: ToolTarget,
  files: readonly NamedFile[],
): Promise<ToolFile[]> {
  const stored: ToolFile[] = [];
  for (const { name, file } of files) {
    const ref = await hashFile(file);
    await store.putFile(toolKey(target, name), file, { sha256: ref.sha256 });
    stored.push({ name, ...ref });
  }
  return stored;
}

export async function storeToolBytes(
  store: ObjectStore,
  target: ToolTarget,
  { name, bytes }: { readonly name: string; readonly bytes: Uint8Array },
): Promise<ToolFile> {
  await store.put(toolKey(target, name), bytes);
  return { name, ...hashBytes(bytes) };
}

/** Writes the manifest and answers for the workflow. */
export async function finishTool(
  store: ObjectStore,
  plan: ToolPlan,
  output: {
    readonly request: string;
    readonly notes: readonly string[];
    readonly files: readonly ToolFile[];
    readonly fingerprint: Fingerprint;
  },
): Promise<ToolResult> {
  const { tool, study, side, snapshot, chosenBy } = plan;
  const target = { studyId: study.studyId, tool, request: output.request };
  const manifest: ToolManifest = {
    kind: 'toolOutput',
    tool,
    side,
    className: study.classes[side],
    snapshot: { nimg: snapshot.nimg, sha256: snapshot.weights.sha256 },
    request: plan.request,
    notes: output.notes,
    files: output.files,
    fingerprint: output.fingerprint,
  };
  await store.put(toolKey(target, manifestName), Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`));
  return {
    prefix: toolKey(target, ''),
    manifest: toolKey(target, manifestName),
    files: output.files.length,
    nimg: snapshot.nimg,
    chosenBy,
  };
}

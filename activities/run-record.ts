import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { Context } from '@temporalio/activity';
import type { Fingerprint } from '../contract/manifests.ts';
import { runEntryKey } from '../contract/keys.ts';
import type { RunEntry } from '../lib/report/run-page.ts';
import type { ObjectStore } from '../lib/storage/object-store.ts';

type Implementation = (input: never) => Promise<unknown>;

/**
 * The same activities, each attempt leaving one entry for `run.json`: what ran where, when, as which attempt. A killed
 * attempt leaves none; the attempt number of the next one tells.
 */
export function recording<A extends { readonly [K in keyof A]: Implementation }>(
  activities: A,
  { store, fingerprint }: { readonly store: ObjectStore; readonly fingerprint: () => Fingerprint | null },
): A {
  const wrap =
    (work: Implementation): Implementation =>
    async (input) => {
      const { activityType, attempt, workflowExecution } = Context.current().info;
      const workflowId = workflowExecution?.workflowId ?? '';
      const studyId = /^study\/([^/]+)/.exec(workflowId)?.[1];
      const startedAt = new Date().toISOString();
      const write = async (outcome: RunEntry['outcome'], detail: string | null): Promise<void> => {
        if (studyId === undefined) return;
        const endedAt = new Date().toISOString();
        const entry: RunEntry = {
          activity: activityType,
          workflowId,
          attempt,
          host: hostname(),
          startedAt,
          endedAt,
          outcome,
          detail,
          fingerprint: fingerprint(),
        };
        const name = `${endedAt.replaceAll(/[:.]/g, '')}-${randomBytes(4).toString('hex')}`;
        // The record is a courtesy: a store that is down must not turn a finished activity into a failed one.
        await store.put(runEntryKey(studyId, name), Buffer.from(JSON.stringify(entry))).catch(() => undefined);
      };
      try {
        const result = await work(input);
        await write('completed', null);
        return result;
      } catch (error) {
        const cancelled = Context.current().cancellationSignal.aborted;
        await write(cancelled ? 'cancelled' : 'failed', error instanceof Error ? error.message : String(error));
        throw error;
      }
    };
  const entries = Object.entries<Implementation>(activities).map(([name, work]) => [name, wrap(work)] as const);
  return Object.fromEntries(entries) as A; // same names, same signatures
}

import { readdirSync } from 'node:fs';
import { homedir, hostname } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, Worker } from '@temporalio/worker';
import { DeterminismViolationError } from '@temporalio/workflow';
import { beforeAll, describe, expect, it } from 'vitest';
import { workflowTypes } from '../../contract/names.ts';
import { readHistory, toReplay, type RecordedHistory } from '../support/history-file.ts';
import { neutralHistory, neutralIdentity, textsOf } from '../support/neutral-history.ts';

/** Histories of real runs, one folder per release (test/support/record-histories.ts): studies that run go on after an update. */
const root = fileURLToPath(new URL('../histories/', import.meta.url));
const files = readdirSync(root, { recursive: true })
  .map(String)
  .filter((file) => file.endsWith('.json'))
  .sort();
const read = (file: string): RecordedHistory => readHistory(join(root, file));
const typeOf = ({ events }: RecordedHistory): string | undefined =>
  events[0]?.workflowExecutionStartedEventAttributes?.workflowType.name;

describe('recorded histories', () => {
  let bundle: { code: string };
  beforeAll(async () => {
    bundle = await bundleWorkflowCode({
      workflowsPath: fileURLToPath(new URL('../../workflows/index.ts', import.meta.url)),
    });
  });
  const replay = (history: RecordedHistory): Promise<void> =>
    Worker.runReplayHistory(
      { workflowBundle: bundle },
      toReplay(history),
      history.events[0]?.workflowExecutionStartedEventAttributes?.workflowId,
    );

  it('hold every type of workflow, every update, a cancelled study and one that ended', () => {
    const histories = files.map(read);
    expect(new Set(histories.map(typeOf))).toEqual(new Set(Object.values(workflowTypes)));
    const texts = histories.flatMap(textsOf);
    for (const update of ['pause', 'resume', 'approveSnapshot', 'extendTraining', 'stopTraining'])
      expect(texts).toContain(update);
    const ends = histories.map(({ events }) => events.at(-1)?.eventType);
    expect(ends).toContain('EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED');
    expect(ends).toContain('EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED');
  });

  it.each(files)('%s replays on the present workflows', async (file) => {
    await replay(read(file));
  });

  it.each(files)('%s names no host, person, address or path', (file) => {
    const history = read(file);
    expect(neutralHistory(history)).toEqual(history);
    const strange = /127\.0\.0\.1|localhost|\/home\/|\/root\/|\/tmp\/|\bfile:|node_modules|\b\d+@\w/;
    for (const text of textsOf(history)) {
      expect(text).not.toMatch(strange);
      expect(text).not.toContain(homedir());
      if (hostname().length > 3) expect(text).not.toContain(hostname());
    }
    expect(textsOf(history)).toContain(neutralIdentity);
  });

  it('would not replay if a workflow took another step than it took then', async () => {
    const file = files.find((name) => typeOf(read(name)) === workflowTypes.evaluateModels) ?? '';
    const text = JSON.stringify(read(file)).replaceAll('"predictTestSet"', '"predictAnotherSet"');
    await expect(replay(JSON.parse(text) as RecordedHistory)).rejects.toThrow(DeterminismViolationError);
  });
});

import { Client, Connection } from '@temporalio/client';
import { bundleWorkflowCode, NativeConnection, Worker } from '@temporalio/worker';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { queues } from '../../contract/names.ts';
import { createFakeWorld, type FakeWorld } from '../support/fake-activities.ts';

/** The tools' workflows on real Temporal with fake activities. */
const target = { study: 'fake', class: 'benign' };

describe('tools', () => {
  let connection: Connection;
  let native: NativeConnection;
  let client: Client;
  let bundle: { code: string };
  let world: FakeWorld;
  let counter = 0;

  beforeAll(async () => {
    const address = inject('temporalAddress');
    connection = await Connection.connect({ address });
    native = await NativeConnection.connect({ address });
    client = new Client({ connection });
    bundle = await bundleWorkflowCode({
      workflowsPath: fileURLToPath(new URL('../../workflows/index.ts', import.meta.url)),
    });
  });
  afterAll(async () => {
    await connection?.close();
    await native?.close();
  });

  beforeEach(async () => {
    world = createFakeWorld(() => Promise.resolve());
    const common = { connection: native };
    const control = { taskQueue: queues.control, workflowBundle: bundle, activities: { ...world.control } };
    const workers = await Promise.all([
      Worker.create({ ...common, ...control }),
      Worker.create({ ...common, taskQueue: queues.cpu, activities: { ...world.cpu } }),
      Worker.create({ ...common, taskQueue: queues.gpu, activities: { ...world.gpu } }),
    ]);
    const runs = workers.map((worker) => worker.run());
    return async () => {
      for (const worker of workers) worker.shutdown();
      await Promise.all(runs);
    };
  });

  const workflowId = (): string => `tool/${process.pid}-${counter}`;
  const execute = (tool: string, input: unknown): Promise<unknown> => {
    counter++;
    return client.workflow.execute(tool, { workflowId: workflowId(), taskQueue: queues.control, args: [input] });
  };

  it('generateImages cuts the seed list into chunks and publishes them together', async () => {
    const result = await execute('generateImages', { ...target, seeds: '1-600,1000', nimg: 128 });
    expect(result).toMatchObject({ files: world.generatedSeeds.length, nimg: 128, chosenBy: 'asked' });
    expect(world.generatedSeeds.length).toBeGreaterThan(1);
    const sorted = world.generatedSeeds.flat().sort((a, b) => a - b);
    expect(sorted).toEqual([...Array.from({ length: 600 }, (_, i) => i + 1), 1000]);
    expect(world.calls.filter((name) => name === 'publishImages')).toHaveLength(1);
  });

  it('shows study, class and tool in search attributes', async () => {
    await execute('generateImages', { ...target, seeds: '1' });
    const { typedSearchAttributes } = await client.workflow.getHandle(workflowId()).describe();
    const value = (name: string): unknown => typedSearchAttributes.get({ name, type: 'KEYWORD' });
    expect([value('Study'), value('Stage'), value('ClassName')]).toEqual(['fake', 'generateImages', 'benign']);
  });

  it.each([
    ['styleMixing', { ...target, rowSeeds: '1', columnSeeds: '2' }, 'mixStyles'],
    ['truncationSweep', { ...target, seeds: '1', psi: [1] }, 'sweepTruncation'],
    ['interpolateLatents', { ...target, seeds: '1,2' }, 'interpolateLatents'],
  ])('%s is one activity', async (tool, input, activity) => {
    expect(await execute(tool, input)).toMatchObject({ prefix: `${tool}/`, nimg: 64, chosenBy: 'lowest' });
    expect(world.calls).toEqual(['resolveTool', activity]);
  });

  it.each([
    ['generateImages', { ...target, seeds: '5-3' }, /seeds: expected .*found \\?"5-3/],
    ['generateImages', undefined, /study/],
    ['styleMixing', { ...target, rowSeeds: '1' }, /columnSeeds/],
    ['truncationSweep', { ...target, seeds: '1-600', psi: [0, 1] }, /at most 1024 pairs/],
    ['interpolateLatents', { ...target, seeds: '1' }, /at least two/],
  ])('%s refuses %j by field, before any work', async (tool, input, text) => {
    const failure = await execute(tool, input).then(
      () => null,
      (error: unknown) => error as { cause?: { cause?: Error } },
    );
    expect(failure?.cause?.cause?.message).toMatch(text);
    expect(world.calls).toEqual(['resolveTool']);
  });
});

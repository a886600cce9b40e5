import { describe, expect, it } from 'vitest';
import { queues } from '../../contract/names.ts';
import { useWorkflowWorld } from '../support/workflow-world.ts';

/** The tools' workflows on real Temporal with fake activities. */
const target = { study: 'fake', class: 'benign' };

describe('tools', () => {
  const world = useWorkflowWorld();
  let counter = 0;

  const workflowId = (): string => `tool/${process.pid}-${counter}`;
  const execute = (tool: string, input: unknown): Promise<unknown> => {
    counter++;
    return world.client.workflow.execute(tool, { workflowId: workflowId(), taskQueue: queues.control, args: [input] });
  };

  it('generateImages cuts the seed list into chunks and publishes them together', async () => {
    const result = await execute('generateImages', { ...target, seeds: '1-600,1000', nimg: 128 });
    expect(result).toMatchObject({ files: world.fakes.generatedSeeds.length, nimg: 128, chosenBy: 'asked' });
    expect(world.fakes.generatedSeeds.length).toBeGreaterThan(1);
    const sorted = world.fakes.generatedSeeds.flat().sort((a, b) => a - b);
    expect(sorted).toEqual([...Array.from({ length: 600 }, (_, i) => i + 1), 1000]);
    expect(world.fakes.calls.filter((name) => name === 'publishImages')).toHaveLength(1);
  });

  it('generateImages makes chunks of more than a shard where there would be too many for a history', async () => {
    await execute('generateImages', { ...target, seeds: '1-10000' });
    expect(world.fakes.generatedSeeds.length).toBeLessThanOrEqual(64); // 97 shards
    expect(world.fakes.generatedSeeds.flat().sort((a, b) => a - b)).toEqual(
      Array.from({ length: 10_000 }, (_, i) => i + 1),
    );
  });

  it('shows study, class and tool in search attributes', async () => {
    await execute('generateImages', { ...target, seeds: '1' });
    const { typedSearchAttributes } = await world.client.workflow.getHandle(workflowId()).describe();
    const value = (name: string): unknown => typedSearchAttributes.get({ name, type: 'KEYWORD' });
    expect([value('Study'), value('Stage'), value('ClassName')]).toEqual(['fake', 'generateImages', 'benign']);
  });

  it.each([
    ['styleMixing', { ...target, rowSeeds: '1', columnSeeds: '2' }, 'mixStyles'],
    ['truncationSweep', { ...target, seeds: '1', psi: [1] }, 'sweepTruncation'],
    ['interpolateLatents', { ...target, seeds: '1,2' }, 'interpolateLatents'],
  ])('%s is one activity', async (tool, input, activity) => {
    expect(await execute(tool, input)).toMatchObject({ prefix: `${tool}/`, nimg: 64, chosenBy: 'lowest' });
    expect(world.fakes.calls).toEqual(['resolveTool', activity]);
  });

  it('projectImage is cut into segments that go on from each other', async () => {
    expect(await execute('projectImage', { ...target, image: 'benign/1.png', steps: 600 })).toMatchObject({ files: 3 });
    const state = (name: string): string => Buffer.from(name).toString('hex').padEnd(64, '0');
    expect(world.fakes.projected).toEqual([
      [null, 250],
      [state('after250'), 500],
      [state('after500'), 600],
    ]);
  });

  it('measureSnapshots is one activity per snapshot, the floor first, then the table', async () => {
    expect(await execute('measureSnapshots', target)).toMatchObject({ files: 3, chosenBy: 'lowest' });
    const weights = [null, 'w0', 'w64', 'w128'].map(
      (name) => name && Buffer.from(name).toString('hex').padEnd(64, '0'),
    );
    expect(world.fakes.measured[0]).toBeNull();
    expect([...world.fakes.measured].sort()).toEqual(weights.sort());
    expect(world.fakes.calls).toEqual([
      'resolveTool',
      ...weights.map(() => 'measureSnapshotQuality'),
      'publishMeasurements',
    ]);
  });

  it.each([
    ['generateImages', { ...target, seeds: '5-3' }, /seeds: expected .*found \\?"5-3/],
    ['generateImages', undefined, /study/],
    ['styleMixing', { ...target, rowSeeds: '1' }, /columnSeeds/],
    ['measureSnapshots', { ...target, fakes: 1 }, /fakes/],
    ['projectImage', { ...target, image: 'a', object: 'b' }, /either image, .* or object/],
    ['truncationSweep', { ...target, seeds: '1-600', psi: [0, 1] }, /at most 1024 pairs/],
    ['interpolateLatents', { ...target, seeds: '1' }, /at least two/],
  ])('%s refuses %j by field, before any work', async (tool, input, text) => {
    const failure = await execute(tool, input).then(
      () => null,
      (error: unknown) => error as { cause?: { cause?: Error } },
    );
    expect(failure?.cause?.cause?.message).toMatch(text);
    expect(world.fakes.calls).toEqual(['resolveTool']);
  });
});

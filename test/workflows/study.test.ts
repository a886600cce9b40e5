import { Context } from '@temporalio/activity';
import { WorkflowFailedError, type WorkflowHandle } from '@temporalio/client';
import { describe, expect, it } from 'vitest';
import { queues } from '../../contract/names.ts';
import type { StepReport, StudyProgress, StudyResult } from '../../contract/progress.ts';
import { useWorkflowWorld } from '../support/workflow-world.ts';

/** Four segments of one tick, a snapshot each: 0, 64, 128, 192, 256 images. */
const file = {
  preset: 'demo',
  dataset: { name: 'fake' },
  classes: { negative: 'benign', positive: 'malignant' },
  generator: { totalKimg: 0.256, batchSize: 16, microBatchSize: 16, tickNimg: 64, snapshotTicks: 1, segmentTicks: 1 },
  synthesis: { imagesPerClass: 16, batchSize: 8, shardImages: 8 },
  filter: { maxCandidates: null },
  reuse: false,
};

describe('study workflow', () => {
  const world = useWorkflowWorld(interruption);
  let counter = 0;

  const start = async (over: object = {}): Promise<WorkflowHandle> => {
    const studyId = `fake-${++counter}-${process.pid}`;
    return await world.client.workflow.start('study', {
      workflowId: `study/${studyId}`,
      taskQueue: queues.control,
      args: [{ ...file, studyId, ...over }],
    });
  };
  const progressOf = (handle: Awaited<ReturnType<typeof start>>): Promise<StudyProgress> => handle.query('progress');

  it('runs every step once, in order, and returns where the report lies', async () => {
    const handle = await start();
    const result = (await handle.result()) as StudyResult;
    expect(result.report).toBe(`studies/${result.studyId}/report/report.html`);
    const once = [
      'splitDataset',
      'publishClassifier',
      'publishGenerator',
      'publishGenerator',
      'publishSyntheticSet',
      'publishSyntheticSet',
      'selectSynthetic',
      'publishClassifier',
      'predictTestSet',
      'predictTestSet',
      'compareClassifiers',
      'renderReport',
      'placeReport',
      'releaseModels',
    ];
    expect(world.fakes.calls.filter((name) => once.includes(name))).toEqual(once);
    expect([...world.fakes.filteredBy]).toEqual(['real']);
    // Another limit of likeness is another leakage audit.
    const evaluated = [...world.fakes.finished.keys()].filter((key) => key.startsWith('["evaluation"'));
    expect(evaluated.map((key) => key.includes('"nearDuplicateNcc":0.97'))).toEqual([true]);
    const progress = await progressOf(handle);
    expect(progress.stage).toBe('finished');
    expect(progress.steps.every(({ state }) => state === 'done')).toBe(true);
  });

  it('trains every repeat as a child of its own, before the step that needs it, and scores the test set with all', async () => {
    const handle = await start({ repeats: 2, filter: { maxCandidates: null, rule: 'ensemble' } });
    await handle.result();
    const { steps } = await progressOf(handle);
    expect(steps.map(({ step }) => step).filter((step) => step.startsWith('classifier/'))).toEqual([
      ...['classifier/real', 'classifier/real/1', 'classifier/synthetic', 'classifier/synthetic/1'],
    ]);
    const { status, type } = await world.client.workflow
      .getHandle(`${handle.workflowId}/classifier/synthetic/1`)
      .describe();
    expect([status.name, type]).toEqual(['COMPLETED', 'trainClassifier']);
    // An ensemble filters with all that were trained on reals; the test set comes last.
    expect([...world.fakes.filteredBy]).toEqual(['real real/1']);
    expect(world.fakes.predicted).toEqual(['real', 'synthetic', 'real/1', 'synthetic/1']);
    expect(world.fakes.calls.indexOf('predictTestSet')).toBeGreaterThan(
      world.fakes.calls.lastIndexOf('publishClassifier'),
    );
  });

  it('chooses the snapshot with the lowest metric', async () => {
    const handle = await start();
    await handle.result();
    const synthesis = [...world.fakes.finished.values()].find(({ kind }) => kind === 'syntheticSet');
    expect(Buffer.from(synthesis?.sha256 ?? '', 'hex').toString()).toMatch(/^w64/);
  });

  it('is told of each snapshot once, not of all of them in every signal', async () => {
    const handle = await start();
    await handle.result();
    const { events } = await handle.fetchHistory();
    const told = (events ?? []).flatMap(({ workflowExecutionSignaledEventAttributes: signal }) => {
      const [payload] = signal?.input?.payloads ?? [];
      const report = payload?.data ? (JSON.parse(Buffer.from(payload.data).toString()) as StepReport) : null;
      return report?.step === 'generator/benign' ? [report.snapshots?.map(({ nimg }) => nimg) ?? []] : [];
    });
    expect(told.length).toBeGreaterThan(2); // one before and one after each segment
    expect(told.flat()).toEqual([0, 64, 128, 192, 256]);
    const step = (await progressOf(handle)).steps.find((other) => other.step === 'generator/benign');
    expect(step?.snapshots.map(({ nimg }) => nimg)).toEqual([0, 64, 128, 192, 256]);
  });

  it('waits at the snapshot gate for an approval of each class, and takes the approved ones', async () => {
    const handle = await start({ gates: ['snapshot'] });
    await expect
      .poll(() => progressOf(handle), { timeout: 30_000 })
      .toMatchObject({
        awaiting: expect.stringContaining('benign and malignant') as string,
      });
    const { steps } = await progressOf(handle);
    const last = steps.find(({ step }) => step === 'generator/benign')?.snapshots.at(-1)?.sha256;
    await expect(
      handle.executeUpdate('approveSnapshot', { args: [{ class: 'benign', sha256: 'unknown', by: 'x' }] }),
    ).rejects.toThrow();
    for (const name of ['benign', 'malignant'])
      await handle.executeUpdate('approveSnapshot', { args: [{ class: name, sha256: last, by: 'radiologist' }] });
    await handle.result();
    const sets = [...world.fakes.finished.values()].filter(({ kind }) => kind === 'syntheticSet');
    expect(sets.map(({ sha256 }) => sha256)).toEqual([last, last]);
    expect(world.fakes.decisions.map(({ type }) => type)).toEqual(['approveSnapshot', 'approveSnapshot']);
  });

  it('takes approvals after it was cancelled at the snapshot gate and found its generators finished', async () => {
    const gated = { ...file, gates: ['snapshot'] };
    const handle = await start(gated);
    const atGate = async (): Promise<string | null> => (await progressOf(handle)).awaiting;
    await expect.poll(atGate, { timeout: 30_000 }).toContain('benign and malignant');
    await handle.cancel();
    await expect(handle.result()).rejects.toBeInstanceOf(WorkflowFailedError);
    const again = await world.client.workflow.start('study', {
      workflowId: handle.workflowId,
      taskQueue: queues.control,
      args: [{ ...gated, studyId: handle.workflowId.replace('study/', '') }],
    });
    await expect.poll(async () => (await progressOf(again)).awaiting, { timeout: 30_000 }).toContain('benign');
    const step = (await progressOf(again)).steps.find((other) => other.step === 'generator/benign');
    expect(step).toMatchObject({ state: 'done', detail: 'finished earlier' });
    expect(step?.snapshots.map(({ nimg, metric }) => [nimg, metric?.value])).toEqual([
      ...[[0, 50], ...[64, 128, 192, 256].map((nimg) => [nimg, 10 + nimg / 1000])],
    ]);
    const sha256 = step?.snapshots.at(-1)?.sha256;
    for (const name of ['benign', 'malignant'])
      await again.executeUpdate('approveSnapshot', { args: [{ class: name, sha256, by: 'radiologist' }] });
    await again.result();
    expect(world.fakes.calls.filter((name) => name === 'publishGenerator')).toHaveLength(2);
    const sets = [...world.fakes.finished.values()].filter(({ kind }) => kind === 'syntheticSet');
    expect(sets.map((set) => set.sha256)).toEqual([sha256, sha256]);
  });

  describe('when an approved snapshot was lost by a roll-back', () => {
    const gone = 'e'.repeat(64);
    const lost = { type: 'approveSnapshot', side: 'negative', sha256: gone } as const;

    it('waits at the gate for another one, and says why', async () => {
      world.fakes.decisions.push(lost);
      const handle = await start({ gates: ['snapshot'] });
      await expect
        .poll(async () => (await progressOf(handle)).awaiting, { timeout: 30_000 })
        .toBe('approveSnapshot for benign (the approved one is gone) and malignant');
      const { steps } = await progressOf(handle);
      const sha256 = steps.find(({ step }) => step === 'generator/benign')?.snapshots.at(-1)?.sha256;
      for (const name of ['malignant', 'benign'])
        await handle.executeUpdate('approveSnapshot', { args: [{ class: name, sha256, by: 'radiologist' }] });
      await handle.result();
      const sets = [...world.fakes.finished.values()].filter(({ kind }) => kind === 'syntheticSet');
      expect(sets.map((set) => set.sha256)).toEqual([sha256, sha256]);
    });

    it('without a gate takes the lowest metric, and says so', async () => {
      world.fakes.decisions.push(lost);
      const handle = await start();
      await handle.result();
      const details = (await progressOf(handle)).steps.filter(({ step }) => step.startsWith('generator/'));
      expect(details.map(({ detail }) => detail)).toEqual([
        `the approved snapshot ${gone} is gone; the one with the lowest metric was taken`,
        '',
      ]);
    });
  });

  it('opens the test set only after resume when the study file asks for that gate', async () => {
    const handle = await start({ gates: ['test-set'] });
    await expect.poll(async () => (await progressOf(handle)).awaiting, { timeout: 30_000 }).toBe('test-set');
    await handle.executeUpdate('pause', { args: [{ reason: 'maintenance' }] });
    const lifted = await handle.executeUpdate<StudyProgress, []>('resume');
    expect([lifted.paused, lifted.awaiting]).toEqual([null, 'test-set']);
    expect(world.fakes.calls).not.toContain('predictTestSet');
    const opened = await handle.executeUpdate<StudyProgress, []>('resume');
    expect(opened.awaiting).toBeNull();
    await handle.result();
    expect(world.fakes.calls).toContain('predictTestSet');
  });

  it('pauses inside a segment, keeps what was trained, and goes on after resume', async () => {
    let release = (): void => undefined;
    world.fakes.holdTraining = new Promise((resolve) => (release = resolve));
    const handle = await start();
    await expect.poll(() => world.fakes.calls.includes('trainGeneratorSegment'), { timeout: 30_000 }).toBe(true);
    await handle.executeUpdate('pause', { args: [{ reason: 'maintenance' }] });
    await expect
      .poll(async () => (await progressOf(handle)).steps.find(({ step }) => step === 'generator/benign')?.state, {
        timeout: 30_000,
      })
      .toBe('paused');
    world.fakes.holdTraining = null;
    release();
    await handle.executeUpdate('resume');
    await handle.result();
    await expect(handle.executeUpdate('pause', { args: [{ reason: '' }] })).rejects.toThrow();
  });

  it('pauses inside synthesis, in all its activities, and says that it goes on after resume', async () => {
    let release = (): void => undefined;
    world.fakes.holdSynthesis = new Promise((resolve) => (release = resolve));
    const activities = (): number => world.fakes.calls.filter((name) => name === 'synthesizeShards').length;
    // Six shards of a class are two activities.
    const handle = await start({ synthesis: { ...file.synthesis, imagesPerClass: 48 } });
    const synthesis = async (): Promise<unknown> =>
      (await progressOf(handle)).steps.find(({ step }) => step === 'synthesis/benign');
    await expect.poll(activities, { timeout: 60_000 }).toBe(2);
    await handle.executeUpdate('pause', { args: [{ reason: 'maintenance' }] });
    await expect.poll(synthesis, { timeout: 30_000 }).toMatchObject({ state: 'paused', detail: 'maintenance' });
    await handle.executeUpdate('resume');
    await expect.poll(synthesis, { timeout: 30_000 }).toMatchObject({ state: 'running', done: 0 });
    await expect.poll(activities, { timeout: 30_000 }).toBe(4);
    expect(await synthesis()).toMatchObject({ state: 'running' });
    release();
    await handle.result();
    expect(activities()).toBe(6);
    expect(await synthesis()).toMatchObject({ state: 'done', done: 48, total: 48 });
  });

  it('extends a running training by an update on its child', async () => {
    let release = (): void => undefined;
    world.fakes.holdTraining = new Promise((resolve) => (release = resolve));
    const handle = await start();
    await expect.poll(() => world.fakes.calls.includes('trainGeneratorSegment'), { timeout: 30_000 }).toBe(true);
    const child = world.client.workflow.getHandle(`${handle.workflowId}/generator/benign`);
    await expect(child.executeUpdate('extendTraining', { args: [{ totalKimg: 0.1 }] })).rejects.toThrow();
    expect(await child.executeUpdate('extendTraining', { args: [{ totalKimg: 0.32 }] })).toEqual({ totalKimg: 0.32 });
    world.fakes.holdTraining = null;
    release();
    await handle.result();
    expect(world.fakes.calls.filter((name) => name === 'trainGeneratorSegment')).toHaveLength(5 + 4);
  });

  it('extended on the way to an end off the grid, forgets that end; a stop then comes at the end of the next segment', async () => {
    let release = (): void => undefined;
    world.fakes.holdTraining = new Promise((resolve) => (release = resolve));
    world.fakes.heldSide = 'negative';
    const handle = await start({ generator: { ...file.generator, totalKimg: 0.096 } });
    const child = world.client.workflow.getHandle(`${handle.workflowId}/generator/benign`);
    await expect.poll(() => world.fakes.segments.length, { timeout: 30_000 }).toBe(1);
    // The next one, to the end, is held, too.
    release();
    world.fakes.holdTraining = new Promise((resolve) => (release = resolve));
    await expect.poll(() => world.fakes.segments.at(-1), { timeout: 30_000 }).toEqual(['negative', null, 96]);
    await child.executeUpdate('extendTraining', { args: [{ totalKimg: 0.512 }] });
    const stop = await child.executeUpdate('stopTraining', { args: [{ reason: 'good enough' }] });
    expect(stop).toEqual({ stopsAtNimg: 128 });
    release();
    await handle.result();
    const [benign, malignant] = world.fakes.published;
    expect(benign?.metrics.map(({ nimg }) => nimg)).toEqual([0, 64, 128]);
    expect(malignant?.metrics.map(({ nimg }) => nimg)).toEqual([0, 64, 96]);
  });

  it('stops a training at the end of its running segment', async () => {
    let release = (): void => undefined;
    world.fakes.holdTraining = new Promise((resolve) => (release = resolve));
    const handle = await start();
    await expect.poll(() => world.fakes.calls.includes('trainGeneratorSegment'), { timeout: 30_000 }).toBe(true);
    const child = world.client.workflow.getHandle(`${handle.workflowId}/generator/benign`);
    expect(await child.executeUpdate('stopTraining', { args: [{ reason: 'good enough' }] })).toEqual({
      stopsAtNimg: 64,
    });
    const late: unknown = await child
      .executeUpdate('extendTraining', { args: [{ totalKimg: 0.512 }] })
      .catch((error: unknown) => error);
    expect(String((late as { cause?: Error }).cause?.message)).toBe('the training is stopping');
    world.fakes.holdTraining = null;
    release();
    await handle.result();
    expect(world.fakes.calls.filter((name) => name === 'trainGeneratorSegment')).toHaveLength(1 + 4);
  });

  describe('a training that diverged again and again', () => {
    const awaitsApproval = async (workflowId: string): Promise<boolean | undefined> => {
      const { typedSearchAttributes } = await world.client.workflow.getHandle(workflowId).describe();
      return typedSearchAttributes.get({ name: 'AwaitingApproval', type: 'BOOL' });
    };
    const startDiverging = async (over: object = {}) => {
      world.fakes.divergesBefore = 128;
      const handle = await start(over);
      const id = `${handle.workflowId}/generator/benign`;
      const asked = expect.stringMatching(`resumeTraining or stopTraining of ${id}(?: .*)?: TrainD diverged`) as string;
      await expect.poll(() => progressOf(handle), { timeout: 30_000 }).toMatchObject({ awaiting: asked });
      return { handle, id, child: world.client.workflow.getHandle(id) };
    };

    it('waits for a person, says so everywhere, and goes on when it may', async () => {
      const { handle, id, child } = await startDiverging();
      const step = (await progressOf(handle)).steps.find((other) => other.step === 'generator/benign');
      expect(step).toMatchObject({ state: 'paused', done: 0.064 });
      expect(step?.detail).toContain('went back twice');
      for (const workflowId of [handle.workflowId, id])
        await expect.poll(() => awaitsApproval(workflowId), { timeout: 30_000 }).toBe(true);
      await expect(handle.executeUpdate('resume')).rejects.toThrow();
      await expect(child.executeUpdate('resumeTraining', { args: [{ reason: '' }] })).rejects.toThrow();
      const answer = await child.executeUpdate('resumeTraining', { args: [{ reason: 'once more' }] });
      expect(answer).toEqual({ resumesAtNimg: 64 });
      await handle.result();
      await expect(child.executeUpdate('resumeTraining', { args: [{ reason: 'again' }] })).rejects.toThrow();
      expect(world.fakes.decisions).toEqual([
        { type: 'resumeTraining', side: 'negative', number: 1, reason: 'once more' },
      ]);
      // 64, in vain to 128, 128, 192, 256; and the other class.
      expect(world.fakes.calls.filter((name) => name === 'trainGeneratorSegment')).toHaveLength(5 + 4);
      expect(world.fakes.calls.filter((name) => name === 'measureSnapshot')).toHaveLength(2 * (1 + 5));
      expect((await progressOf(handle)).awaiting).toBeNull();
      expect(await awaitsApproval(handle.workflowId)).toBe(false);
    });

    it('of both classes waits where it runs, in the step of the negative class; the other step says which', async () => {
      let release = (): void => undefined;
      world.fakes.holdTraining = new Promise((resolve) => (release = resolve));
      world.fakes.heldSide = 'positive';
      const { handle, child } = await startDiverging({ generator: { ...file.generator, conditional: true } });
      expect((await progressOf(handle)).awaiting).toContain('(both classes are trained there)');
      const other = world.client.workflow.getHandle(`${handle.workflowId}/generator/malignant`);
      const resume = { args: [{ reason: 'once more' }] as [object] };
      await expect(other.executeUpdate('resumeTraining', resume)).rejects.toThrow(/not found/);
      expect(await child.executeUpdate('resumeTraining', resume)).toEqual({ resumesAtNimg: 64 });
      const steps = async (): Promise<string[]> => (await progressOf(handle)).steps.map(({ step }) => step);
      await expect.poll(steps, { timeout: 30_000 }).toContain('generator/malignant');
      const refusal: unknown = await other.executeUpdate('resumeTraining', resume).catch((error: unknown) => error);
      expect(String((refusal as { cause?: Error }).cause?.message)).toBe(
        'both classes are trained by generator/benign, which has ended',
      );
      release();
      await handle.result();
      expect((await progressOf(handle)).awaiting).toBeNull();
      // One decision; the second class's step knows of it and registers its generator under it, too.
      expect(world.fakes.decisions).toMatchObject([{ type: 'resumeTraining', side: 'negative', number: 1 }]);
      const trained = [...world.fakes.finished.keys()].filter((key) => key.startsWith('["generator/'));
      expect(trained.map((key) => key.includes('"resumes":1'))).toEqual([true, true]);
    });

    it('of both classes is steered in the step of the positive class when the other was taken from another study', async () => {
      world.fakes.reused.add('generator/benign');
      world.fakes.divergingSide = 'positive';
      world.fakes.divergesBefore = 128;
      const handle = await start({ generator: { ...file.generator, conditional: true } });
      const id = `${handle.workflowId}/generator/malignant`;
      const asked = expect.stringContaining(`stopTraining of ${id}`) as string;
      await expect.poll(() => progressOf(handle), { timeout: 30_000 }).toMatchObject({ awaiting: asked });
      const child = world.client.workflow.getHandle(id);
      const extend = { args: [{ totalKimg: 0.32 }] as [object] };
      expect(await child.executeUpdate('extendTraining', extend)).toEqual({ totalKimg: 0.32 });
      const resume = { args: [{ reason: 'once more' }] as [object] };
      expect(await child.executeUpdate('resumeTraining', resume)).toEqual({ resumesAtNimg: 64 });
      await handle.result();
      expect(world.fakes.published.map(({ side, config }) => [side, config.totalKimg])).toEqual([['positive', 0.32]]);
    });

    it('ends at its last good checkpoint when a person stops it', async () => {
      const { handle, child } = await startDiverging();
      const answer = await child.executeUpdate('stopTraining', { args: [{ reason: 'enough' }] });
      expect(answer).toEqual({ stopsAtNimg: 64 });
      await handle.result();
      expect(world.fakes.decisions).toMatchObject([{ type: 'stopTraining', atNimg: 64 }]);
      expect(world.fakes.calls.filter((name) => name === 'trainGeneratorSegment')).toHaveLength(2 + 4);
    });
  });

  it('names an idle queue in progress while it waits for a worker', async () => {
    let release = (): void => undefined;
    world.fakes.holdDescribe = new Promise((resolve) => (release = resolve));
    world.fakes.idleQueues = ['cpu'];
    const handle = await start();
    const dataset = async (): Promise<string | null | undefined> =>
      (await progressOf(handle)).steps.find(({ step }) => step === 'dataset')?.idleQueue;
    await expect.poll(dataset, { timeout: 30_000 }).toBe('cpu');
    world.fakes.holdDescribe = null;
    release();
    await handle.result();
    expect(await dataset()).toBeNull();
  });

  it('names a queue that lost its worker while a step runs, until somebody serves it again', async () => {
    let release = (): void => undefined;
    world.fakes.holdTraining = new Promise((resolve) => (release = resolve));
    const handle = await start();
    await expect.poll(() => world.fakes.calls.includes('trainGeneratorSegment'), { timeout: 30_000 }).toBe(true);
    const training = async (): Promise<string | null | undefined> =>
      (await progressOf(handle)).steps.find(({ step }) => step === 'generator/benign')?.idleQueue;
    expect(await training()).toBeNull();
    world.fakes.idleQueues = ['gpu'];
    await expect.poll(training, { timeout: 30_000 }).toBe('gpu');
    world.fakes.idleQueues = [];
    await expect.poll(training, { timeout: 30_000 }).toBeNull();
    world.fakes.holdTraining = null;
    release();
    await handle.result();
  });

  it('shows the plan of the preflight in its details and in progress', async () => {
    const handle = await start({ gates: ['test-set'] });
    await expect.poll(async () => (await progressOf(handle)).awaiting, { timeout: 30_000 }).toBe('test-set');
    expect((await progressOf(handle)).plan).toMatchObject({ images: { negative: 20, positive: 21 } });
    const { currentDetails } = (await handle.query('__temporal_workflow_metadata')) as { currentDetails: string };
    expect(currentDetails).toContain('20 + 21 source images, about 2.5 GB in the store');
    expect(currentDetails).toContain('**Warning:** no worker polls queue gpu-b');
    expect(currentDetails).toContain('| dataset | cpu | 32 px |');
    await handle.executeUpdate('resume');
    await handle.result();
  });

  it('cancels promptly and, started again, does not repeat finished steps', async () => {
    world.fakes.holdTraining = new Promise(() => undefined);
    const handle = await start();
    await expect.poll(() => world.fakes.calls.includes('trainGeneratorSegment'), { timeout: 30_000 }).toBe(true);
    await handle.cancel();
    await expect(handle.result()).rejects.toBeInstanceOf(WorkflowFailedError);
    world.fakes.holdTraining = null;
    const studyId = handle.workflowId.replace('study/', '');
    const again = await world.client.workflow.start('study', {
      workflowId: handle.workflowId,
      taskQueue: queues.control,
      args: [{ ...file, studyId }],
    });
    await again.result();
    expect(world.fakes.calls.filter((name) => name === 'splitDataset')).toHaveLength(1);
  });

  it('ends in a report without a synthetic classifier when no fake was accepted', async () => {
    world.fakes.degenerate = 'no image of class benign was accepted';
    const handle = await start({ repeats: 2 });
    await handle.result();
    expect(world.fakes.calls.filter((name) => name === 'publishClassifier')).toHaveLength(2);
    expect(world.fakes.calls).not.toContain('predictTestSet');
    expect(world.fakes.calls).toContain('renderReport');
    expect(world.fakes.calls).not.toContain('releaseModels');
  });

  it('tries further seeds when none was accepted at all, until there are enough to train on', async () => {
    world.fakes.acceptedFromSeed = 25;
    const handle = await start({ filter: { maxCandidates: 48 } });
    await handle.result();
    // Per class one activity for the study's own two shards, then one for seeds 17-24, in vain, and one for 25-32.
    expect(world.fakes.calls.filter((name) => name === 'synthesizeShards')).toHaveLength(2 * (1 + 2));
    expect(world.fakes.searchEnded).toEqual({ negative: 'enough accepted', positive: 'enough accepted' });
  });

  it('says that all candidates were tried when none was accepted', async () => {
    world.fakes.acceptedFromSeed = 49;
    const handle = await start({ filter: { maxCandidates: 48 } });
    await handle.result();
    expect(world.fakes.searchEnded).toEqual({ negative: 'maxCandidates tried', positive: 'maxCandidates tried' });
  });

  it('trains both classes once when asked for one conditional network, and steers that training in one place', async () => {
    let release = (): void => undefined;
    world.fakes.holdTraining = new Promise((resolve) => (release = resolve));
    const handle = await start({ generator: { ...file.generator, conditional: true }, gates: ['test-set'] });
    await expect.poll(() => world.fakes.calls.includes('trainGeneratorSegment'), { timeout: 30_000 }).toBe(true);
    const child = world.client.workflow.getHandle(`${handle.workflowId}/generator/benign`);
    await child.executeUpdate('stopTraining', { args: [{ reason: 'good enough' }] });
    world.fakes.holdTraining = null;
    release();
    await expect.poll(async () => (await progressOf(handle)).awaiting, { timeout: 30_000 }).toBe('test-set');
    // The second class's step is told of the decision, asks for that training once and measures it for its own class.
    expect(world.fakes.published.map(({ side, stopped }) => [side, stopped])).toEqual([
      ['negative', 'good enough'],
      ['positive', 'good enough'],
    ]);
    expect(world.fakes.calls.filter((name) => name === 'trainGeneratorSegment')).toHaveLength(2);
    await handle.executeUpdate('resume');
    await handle.result();
  });

  describe('with a sweep of the R1 weight', () => {
    const generator = { ...file.generator, gammaSweep: [8, 0.5, 2], gammaSweepKimg: 0.128 };

    it('tries each value in a child of its own, trains on with the best, and says so; a value that diverges has lost', async () => {
      world.fakes.diverging.add('positive/gamma-8');
      const handle = await start({ generator });
      await handle.result();
      const trainings = world.fakes.published.map(({ className, variant }) => `${className} ${variant ?? 'itself'}`);
      const trials = ['gamma-0.5', 'gamma-2', 'itself'];
      expect(trainings).toEqual([
        ...['gamma-8', ...trials].map((name) => `benign ${name}`),
        ...trials.map((name) => `malignant ${name}`),
      ]);
      expect(world.fakes.published[1]?.config).toMatchObject({ r1Gamma: 0.5, totalKimg: 0.128 });
      // Each trained with its own weight for the length of the sweep, then the class with the chosen one for its own.
      expect(world.fakes.segments.filter(([training]) => training.startsWith('negative'))).toEqual([
        ...generator.gammaSweep.flatMap((gamma) => [64, 128].map((end) => [`negative/gamma-${gamma}`, gamma, end])),
        ...[64, 128, 192, 256].map((end) => ['negative', 2, end]),
      ]);
      const benign = world.fakes.published[3];
      expect(benign?.config).toMatchObject({ r1Gamma: 2, totalKimg: 0.256 });
      expect(benign?.config).not.toHaveProperty('gammaSweep');
      expect(benign?.gammaSweep).toMatchObject({ kimg: 0.128, chosen: 2 });
      const values = benign?.gammaSweep?.trials.map(({ gamma, nimg, metric }) => [gamma, nimg, metric?.value]);
      expect(values?.[0]).toEqual([8, 64, 16.064]);
      expect(values?.[2]).toEqual([2, 64, 10.064]);
      const malignant = world.fakes.published.at(-1)?.gammaSweep;
      expect(malignant?.trials[0]).toEqual({
        ...{ gamma: 8, nimg: null, metric: null },
        failure: 'TrainD diverged',
      });
      const { steps } = await progressOf(handle);
      expect(steps.find(({ step }) => step === 'generator/malignant')?.gammaSweep).toEqual({
        ...{ trials: malignant?.trials, chosen: 2 },
      });
      const trial = world.client.workflow.getHandle(`${handle.workflowId}/generator/benign/gamma-0.5`);
      expect((await trial.describe()).status.name).toBe('COMPLETED');
      expect(
        [...world.fakes.finished.keys()].filter((key) => key.startsWith('["generator/benign/gamma-0.5"')),
      ).toHaveLength(1);
    });

    it('pauses and resumes a trial with the study; what was decided of the class is no business of its trials', async () => {
      world.fakes.decisions.push({ type: 'extendTraining', side: 'negative', totalKimg: 0.32 });
      let release = (): void => undefined;
      world.fakes.holdTraining = new Promise((resolve) => (release = resolve));
      const handle = await start({ generator });
      await expect.poll(() => world.fakes.calls.includes('trainGeneratorSegment'), { timeout: 30_000 }).toBe(true);
      const trial = world.client.workflow.getHandle(`${handle.workflowId}/generator/benign/gamma-8`);
      await expect(trial.executeUpdate('extendTraining', { args: [{ totalKimg: 9 }] })).rejects.toThrow();
      await handle.executeUpdate('pause', { args: [{ reason: 'maintenance' }] });
      const training = async (): Promise<unknown> =>
        (await progressOf(handle)).steps.find(({ step }) => step === 'generator/benign');
      await expect
        .poll(training, { timeout: 30_000 })
        .toMatchObject({ state: 'paused', detail: 'trying r1Gamma 8: maintenance' });
      world.fakes.holdTraining = null;
      release();
      await handle.executeUpdate('resume');
      await handle.result();
      expect(world.fakes.published).toHaveLength(8);
      const ends = (training: string): number[] =>
        world.fakes.segments.flatMap(([name, , untilNimg]) => (name === training ? [untilNimg] : []));
      expect([Math.max(...ends('negative/gamma-8')), Math.max(...ends('negative'))]).toEqual([128, 320]);
    });

    it('fails with a trial that fails for another reason than its value', async () => {
      world.fakes.failing.add('negative/gamma-8');
      const handle = await start({ generator });
      await expect(handle.result()).rejects.toBeInstanceOf(WorkflowFailedError);
      expect(world.fakes.segments).toHaveLength(1);
    });

    it('fails when every value diverges, naming them', async () => {
      for (const gamma of generator.gammaSweep) world.fakes.diverging.add(`negative/gamma-${gamma}`);
      const handle = await start({ generator });
      const failure: unknown = await handle.result().catch((error: unknown) => error);
      const reason = String((failure as { cause?: { cause?: { message: string } } }).cause?.cause?.message);
      expect(reason).toMatch(/every r1Gamma of generator\.gammaSweep failed: 8: TrainD diverged; 0\.5: .*; 2: /);
    });
  });

  it('flags a regression in reevaluate', async () => {
    const result: unknown = await world.client.workflow.execute('reevaluate', {
      workflowId: `reevaluate/${process.pid}`,
      taskQueue: queues.control,
      args: [{ models: 'fake', prefix: 'incoming/', timeouts: 'test' }],
    });
    expect(result).toMatchObject({ regression: true });
    expect(world.fakes.predictedWith).toBe('bf16/eager');
    const { typedSearchAttributes } = await world.client.workflow.getHandle(`reevaluate/${process.pid}`).describe();
    expect(typedSearchAttributes.get({ name: 'Regression', type: 'BOOL' })).toBe(true);
  });
});

/** Settles when the running activity is asked to stop. */
async function interruption(): Promise<void> {
  const context = Context.current();
  const beat = setInterval(() => context.heartbeat(), 100);
  try {
    await context.cancelled.catch(() => undefined);
  } finally {
    clearInterval(beat);
  }
}

import type { Client } from '@temporalio/client';
import { describe, expect, it } from 'vitest';
import { findIdleQueues } from '../../workers/idle-queues.ts';

const secondsAgo = (seconds: number): { seconds: number } => ({ seconds: Math.floor(Date.now() / 1000) - seconds });
const running = 1;
const shutDown = 3;

interface Server {
  /** Seconds since the last poll of each queue. */
  readonly polls: Readonly<Record<string, number>>;
  /** Workers that the server lists; null when it lists none for anybody. */
  readonly workers: readonly { readonly taskQueue: string; readonly ago: number; readonly status: number }[] | null;
}

/** Only the two calls that are made. */
const clientOf = ({ polls, workers }: Server): Client =>
  ({
    options: { namespace: 'default' },
    workflowService: {
      describeTaskQueue: ({ taskQueue }: { taskQueue: { name: string } }) => {
        const ago = polls[taskQueue.name];
        return Promise.resolve({ pollers: ago === undefined ? [] : [{ lastAccessTime: secondsAgo(ago) }] });
      },
      listWorkers: () =>
        workers === null
          ? Promise.reject(new Error('12 UNIMPLEMENTED'))
          : Promise.resolve({
              workersInfo: workers.map(({ taskQueue, ago, status }) => ({
                workerHeartbeat: { taskQueue, status, heartbeatTime: secondsAgo(ago) },
              })),
            }),
    },
  }) as unknown as Client;

const idle = (server: Partial<Server>): Promise<string[]> =>
  findIdleQueues(clientOf({ polls: {}, workers: [], ...server }), ['cpu', 'gpu']);

describe('findIdleQueues', () => {
  it('names queues that were never polled, or not for minutes', async () => {
    expect(await idle({})).toEqual(['cpu', 'gpu']);
    expect(await idle({ polls: { cpu: 30, gpu: 240 } })).toEqual(['gpu']);
  });

  it('does not name the queue of a worker that trains: it beats but does not poll', async () => {
    const workers = [{ taskQueue: 'gpu', ago: 40, status: running }];
    expect(await idle({ polls: { cpu: 1, gpu: 900 }, workers })).toEqual([]);
  });

  it('names the queue of a worker that fell silent or was shut down', async () => {
    const workers = [
      { taskQueue: 'cpu', ago: 300, status: running },
      { taskQueue: 'gpu', ago: 10, status: shutDown },
    ];
    expect(await idle({ workers })).toEqual(['cpu', 'gpu']);
  });

  it('goes by polls on a server that does not list workers', async () => {
    expect(await idle({ polls: { gpu: 5 }, workers: null })).toEqual(['cpu']);
  });
});

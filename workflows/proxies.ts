import { ActivityCancellationType, proxyActivities } from '@temporalio/workflow';
import type { ControlActivities, CpuActivities, GpuActivities } from '../contract/activities.ts';
import { queues } from '../contract/names.ts';
import {
  nonRetryableErrorTypes,
  timeoutProfiles,
  type ActivityTimeouts,
  type TimeoutProfileName,
} from '../contract/timeouts.ts';

function optionsOf(taskQueue: string, timeouts: ActivityTimeouts): Parameters<typeof proxyActivities>[0] {
  return {
    taskQueue,
    startToCloseTimeout: timeouts.startToCloseMs,
    ...(timeouts.heartbeatMs === null ? {} : { heartbeatTimeout: timeouts.heartbeatMs }),
    // A cancelled training answers with what it saved; waiting for that answer is what makes cancel leave a checkpoint.
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    // Attempts are not counted: outages and shutdowns use them up. What no retry mends is listed by type.
    retry: {
      initialInterval: timeouts.retryInitialMs,
      maximumInterval: timeouts.retryMaximumMs,
      nonRetryableErrorTypes: [...nonRetryableErrorTypes],
    },
  };
}

export const controlActivities = (profile: TimeoutProfileName): ControlActivities =>
  proxyActivities<ControlActivities>(optionsOf(queues.control, timeoutProfiles[profile].control));

export const cpuActivities = (profile: TimeoutProfileName, queue: string): CpuActivities =>
  proxyActivities<CpuActivities>(optionsOf(queue, timeoutProfiles[profile].cpu));

export const gpuActivities = (profile: TimeoutProfileName, queue: string): GpuActivities =>
  proxyActivities<GpuActivities>(optionsOf(queue, timeoutProfiles[profile].gpu));

/** Segments of a training, which may take days on a slow machine. */
export const trainingActivities = (
  profile: TimeoutProfileName,
  queue: string,
): Pick<GpuActivities, 'trainGeneratorSegment' | 'trainClassifierSegment'> =>
  proxyActivities<GpuActivities>(optionsOf(queue, timeoutProfiles[profile].training));

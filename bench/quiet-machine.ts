import { readFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';

/** Whether the machine was ours while something was measured. */

/** Share of the CPU above which the work of others spoils a measurement. */
export const maxOthersShare = 0.04;

interface CpuTimes {
  /** Clock ticks of the whole machine, idle included. */
  readonly total: number;
  /** Ticks not idle, time stolen by other virtual machines included. */
  readonly busy: number;
  /** Ticks of the measured processes. */
  readonly own: number;
}

/** Ticks of a process with all its threads and reaped children; 0 when it is gone. */
function ticksOf(pid: number | 'self'): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // from field 3, state
    return [11, 12, 13, 14].reduce((sum, i) => sum + Number(fields[i]), 0); // utime, stime, cutime, cstime
  } catch {
    return 0;
  }
}

function cpuTimes(pids: readonly number[]): CpuTimes {
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n');
  const ticks = line.trim().split(/\s+/).slice(1, 9).map(Number); // user nice system idle iowait irq softirq steal
  const total = ticks.reduce((a, b) => a + b, 0);
  const own = ticksOf('self') + pids.reduce((sum, pid) => sum + ticksOf(pid), 0);
  return { total, busy: total - (ticks[3] ?? 0) - (ticks[4] ?? 0), own };
}

/** Starts watching; the returned function gives the share of the CPU that others have used since. */
export function watchOthers(pids: readonly number[] = []): () => number {
  const start = cpuTimes(pids);
  return () => {
    const now = cpuTimes(pids);
    return Math.max(0, now.busy - start.busy - (now.own - start.own)) / Math.max(1, now.total - start.total);
  };
}

/** Looks for two seconds. @throws Error when others use more than 4% of the CPU and that was not allowed */
export async function requireQuietMachine(allowBusy: boolean): Promise<void> {
  const others = watchOthers();
  await new Promise((resolve) => setTimeout(resolve, 2000));
  checkShare(others(), allowBusy);
}

/** @throws Error as above, for a share measured meanwhile */
export function checkShare(share: number, allowBusy: boolean): void {
  if (share <= maxOthersShare || allowBusy) return;
  throw new Error(
    `other processes use ${percent(share)} of the CPU, more than ${percent(maxOthersShare)}: no figure; stop them, or look at a spoiled one with --allow-busy`,
  );
}

export const percent = (share: number): string => `${(share * 100).toFixed(1)}%`;

/** Neutral description of the machine for a table of measurements. */
export function describeMachine(): string {
  const flags = readFileSync('/proc/cpuinfo', 'utf8');
  const sets = ['avx2', 'avx512f', 'avx512_bf16', 'amx_bf16'].filter((flag) => new RegExp(`\\b${flag}\\b`).test(flags));
  return `${availableParallelism()} cores of ${cpus()[0]?.model.trim() ?? 'an unknown CPU'} (${sets.join(' ')}), Node ${process.version}`;
}

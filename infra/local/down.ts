import { setTimeout as sleep } from 'node:timers/promises';
import { homeDir } from '../setup/tools.mjs';
import { findSupervisors, killStackProcesses, signalQuietly } from './processes.ts';
import { longestStopMs } from './stack.ts';
import { removeStackFile } from './stack-file.ts';

/** Trainings end at their next iteration and save; then the servers end. State stays. */
const home = homeDir();
const supervisors = await findSupervisors(home);
for (const pid of supervisors) signalQuietly(pid, 'SIGTERM');
const began = Date.now();
let told = false;
while (Date.now() - began < longestStopMs && (await findSupervisors(home)).length > 0) {
  if (!told && Date.now() - began > 5_000) {
    console.log(`Trainings end their iteration and save, which may take ${longestStopMs / 60_000} minutes ...`);
    told = true;
  }
  await sleep(200);
}
for (const pid of await findSupervisors(home)) signalQuietly(pid, 'SIGKILL');
const left = await killStackProcesses(home);
await removeStackFile(home);
console.log(
  supervisors.length > 0
    ? 'The stack is down; its state stays.'
    : left > 0
      ? `Ended ${left} left-over processes.`
      : 'No stack was running.',
);

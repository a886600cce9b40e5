import { setTimeout as sleep } from 'node:timers/promises';
import { homeDir } from '../setup/tools.mjs';
import { killStackProcesses, signalQuietly } from './processes.ts';
import { readStackFile, removeStackFile } from './stack-file.ts';

/** Trainings end at their next iteration and save; then the servers end. State stays. */
const home = homeDir();
const stack = await readStackFile(home);
if (stack) {
  signalQuietly(stack.supervisor, 'SIGTERM');
  for (let i = 0; i < 600 && signalQuietly(stack.supervisor, 0); i++) await sleep(100);
  if (signalQuietly(stack.supervisor, 0)) signalQuietly(stack.supervisor, 'SIGKILL');
}
const left = await killStackProcesses(home);
await removeStackFile(home);
console.log(
  stack
    ? 'The stack is down; its state stays.'
    : left > 0
      ? `Ended ${left} left-over processes.`
      : 'No stack was running.',
);

import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { homeDir, resolveTools } from '../setup/tools.mjs';
import { findSupervisors } from './processes.ts';
import { removeStackFile, writeStackFile } from './stack-file.ts';
import { startStack } from './stack.ts';

/** The process behind `npm run up`: keeps the stack alive until SIGTERM. Its output is a log. */
const home = homeDir();
await mkdir(home, { recursive: true });
const say = (line: string): void => console.log(`${new Date().toISOString()} ${line}`);
const [first] = await findSupervisors(home);
if (first !== undefined && first !== process.pid) {
  say(`process ${first} has this stack already`); // two would end each other's parts and share their files
  process.exit(1);
}
const tools = await resolveTools();
const stack = await startStack({ home, tools, say });
const { ports, env } = stack;
const url = (port: number): string => `http://127.0.0.1:${port}`;
await writeStackFile(home, {
  supervisor: process.pid,
  env,
  ui: url(ports.ui),
  console: url(ports.console),
  bin: dirname(tools.temporal),
});
say('the stack is up');

let stopping = false;
const stop = (): void => {
  if (stopping) return;
  stopping = true;
  say('stopping');
  void removeStackFile(home)
    .then(() => stack.stop())
    .finally(() => process.exit(0));
};
process.on('SIGTERM', stop);
process.on('SIGINT', stop);

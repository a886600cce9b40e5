import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { homeDir, resolveTools } from '../setup/tools.mjs';
import { removeStackFile, writeStackFile } from './stack-file.ts';
import { startStack } from './stack.ts';

/** The process behind `npm run up`: keeps the stack alive until SIGTERM. Its output is a log. */
const home = homeDir();
await mkdir(home, { recursive: true });
const say = (line: string): void => console.log(`${new Date().toISOString()} ${line}`);
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

const stop = (): void => {
  say('stopping');
  void removeStackFile(home)
    .then(() => stack.stop())
    .finally(() => process.exit(0));
};
process.once('SIGTERM', stop);
process.once('SIGINT', stop);

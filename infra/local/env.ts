import { homeDir } from '../setup/tools.mjs';
import { readStackFile } from './stack-file.ts';

/** Lines for `eval`: the stack's environment, and the `temporal` command on PATH. */
const stack = await readStackFile(homeDir());
if (!stack) {
  console.error('No stack is running; start it with: npm run up');
  process.exit(1);
}
const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
for (const [name, value] of Object.entries(stack.env)) console.log(`export ${name}=${quote(value)}`);
console.log(`export PATH=${quote(stack.bin)}:"$PATH"`);

import { root } from './paths.mjs';
import { setup } from './setup.mjs';
import { attempt } from './shell.mjs';
import { vitest } from './static-checks.mjs';

try {
  await setup();
  const args = ['run', '--project', 'long', ...process.argv.slice(2)];
  process.exitCode = (await attempt(vitest, args, { cwd: root, inherit: true })).code;
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}

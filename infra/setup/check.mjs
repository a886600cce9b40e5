import { nodeModules } from './node-modules.mjs';
import { root } from './paths.mjs';
import { provide } from './setup.mjs';
import { attempt } from './shell.mjs';
import { staticChecks, vitest } from './static-checks.mjs';

/** The quick look before a commit: needs no servers and no TensorFlow library. */
async function check() {
  await provide(nodeModules, console.log);
  const parts = [...staticChecks, ['unit tests', vitest, ['run', '--project', 'unit']]];
  const results = await Promise.all(parts.map(timed));
  for (const { name, code, output } of results) if (code !== 0) console.log(`\n--- ${name}\n${output.trim()}`);
  console.log('');
  for (const { name, code, seconds } of results)
    console.log(`${name.padEnd(14)} ${code === 0 ? 'passed' : 'FAILED'} ${seconds.toFixed(1).padStart(8)} s`);
  return results.every(({ code }) => code === 0);
}

async function timed([name, program, args]) {
  const start = performance.now();
  const { code, output } = await attempt(program, args, { cwd: root });
  return { name, code, output, seconds: (performance.now() - start) / 1000 };
}

try {
  process.exitCode = (await check()) ? 0 : 1;
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from './paths.mjs';
import { setup } from './setup.mjs';
import { attempt } from './shell.mjs';
import { staticChecks, vitest } from './static-checks.mjs';

const counts = { passed: 0, failed: 0 };
const times = [];

/** Everything: set-up, static checks, all projects but `long`. The last line is `N passed, N failed`. */
async function test() {
  const ready = await timed('set-up', async () => {
    await setup();
    return true;
  });
  if (ready) {
    for (const [name, program, args] of staticChecks)
      await timed(name, async () => (await attempt(program, args, { cwd: root, inherit: true })).code === 0);
    for (const project of ['unit', 'training', 'workflow', 'integration'])
      await timed(project, () => runProject(project));
  }
  console.log('');
  for (const { name, seconds, good } of times)
    console.log(`${name.padEnd(14)} ${good ? 'passed' : 'FAILED'} ${seconds.toFixed(1).padStart(8)} s`);
  const total = times.reduce((sum, { seconds }) => sum + seconds, 0);
  console.log(`${'total'.padEnd(21)} ${total.toFixed(1).padStart(8)} s`);
}

/** Runs a part; one that fails without a failed test of its own counts as one failure. */
async function timed(name, work) {
  console.log(`\n--- ${name}`);
  const start = performance.now();
  const failedBefore = counts.failed;
  let good = false;
  try {
    good = await work();
  } catch (error) {
    console.error(error.message);
  }
  if (!good && counts.failed === failedBefore) counts.failed += 1;
  times.push({ name, seconds: (performance.now() - start) / 1000, good });
  return good;
}

async function runProject(project) {
  const dir = await mkdtemp(join(tmpdir(), 'echoforge-test-'));
  const file = join(dir, 'results.json');
  try {
    const args = ['run', '--project', project, '--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
    const { code } = await attempt(vitest, args, { cwd: root, inherit: true });
    const text = await readFile(file, 'utf8').catch(() => null);
    if (text === null) return false; // it crashed before it could write
    const { numPassedTests, numFailedTests } = JSON.parse(text);
    counts.passed += numPassedTests;
    counts.failed += numFailedTests;
    return code === 0;
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

await test();
console.log(`${counts.passed} passed, ${counts.failed} failed`);
process.exitCode = counts.failed > 0 ? 1 : 0;

import { addon, wasmOnly } from './addon.mjs';
import { isAtLeast, minio, temporal } from './go-tools.mjs';
import { nodeModules } from './node-modules.mjs';
import { isMain, versions } from './paths.mjs';
import { readableSize, sizeOf } from './shell.mjs';
import { tensorflow } from './tensorflow.mjs';

const progressMs = 20_000;

/**
 * Provides everything that the project needs; what is there already is left alone. Safe to run again, at any time and
 * beside another run.
 * @throws Error with one message for each part that could not be had
 */
export async function setup({ log = console.log } = {}) {
  checkMachine();
  const modules = provide(nodeModules, log);
  const library = wasmOnly() ? skip(tensorflow, log) : provide(tensorflow, log);
  const built = Promise.all([modules, library]).then(
    () => (wasmOnly() ? skip(addon, log) : provide(addon, log)),
    () => undefined, // told by the part that failed
  );
  const results = await Promise.allSettled([modules, library, built, provide(temporal, log), provide(minio, log)]);
  const failures = results.filter(({ status }) => status === 'rejected').map(({ reason }) => reason.message);
  if (failures.length > 0) throw new Error(failures.join('\n'));
}

/** One part, one line: state, seconds, size and where it lies. */
export async function provide(part, log) {
  const start = performance.now();
  const seconds = () => ((performance.now() - start) / 1000).toFixed(1);
  let doing = 'looking';
  const timer = setInterval(() => log(`  ${part.name}: ${doing}, ${seconds()} s so far`), progressMs);
  timer.unref();
  const tell = (text) => {
    doing = text;
    log(`  ${part.name}: ${text}`);
  };
  try {
    const { state = 'found', where, note } = (await part.inspect()) ?? (await part.provide({ log: tell }));
    log(
      row(part.name, state, `${seconds()} s`, readableSize(await sizeOf(where)), note ? `${where}  (${note})` : where),
    );
  } finally {
    clearInterval(timer);
  }
}

export const row = (name, state, time, size, where) =>
  `${name.padEnd(14)} ${state.padEnd(9)} ${time.padStart(9)} ${size.padStart(9)}  ${where}`;

async function skip(part, log) {
  const why =
    process.env.ECHOFORGE_ENGINE === 'wasm' ? 'ECHOFORGE_ENGINE=wasm' : 'no C++ compiler: apt-get install g++';
  log(row(part.name, 'wasm only', '', '', why));
}

function checkMachine() {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new Error(`expected Linux on x86_64, found ${process.platform} on ${process.arch}`);
  if (!isAtLeast(process.versions.node, versions.node))
    throw new Error(`expected Node ${versions.node} or newer, found ${process.versions.node}`);
}

if (isMain(import.meta)) {
  const start = performance.now();
  try {
    await setup();
    console.log(`set-up complete in ${((performance.now() - start) / 1000).toFixed(0)} s`);
  } catch (error) {
    console.error(`set-up failed\n${error.message}`);
    process.exitCode = 1;
  }
}

import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const beatMs = 5_000;
const silentMs = 60_000;

/**
 * Runs `work` while this process alone holds the lock `name` in `dir`. The lock is a directory with its owner's file in
 * it; the owner touches the file, so that a holder on another host, or a pid used again, is known to be gone.
 */
export async function withLock(dir, name, work, { log = () => undefined, pollMs = 200 } = {}) {
  await mkdir(dir, { recursive: true });
  const lock = join(dir, `${name}.lock`);
  const token = randomUUID();
  await acquire(dir, lock, token, log, pollMs);
  const beat = setInterval(() => {
    const now = new Date();
    utimes(join(lock, 'owner.json'), now, now).catch(() => undefined);
  }, beatMs);
  beat.unref();
  try {
    return await work();
  } finally {
    clearInterval(beat);
    const owner = await readOwner(lock);
    if (owner?.token === token) await release(lock, token);
  }
}

/** Moved away first: a waiter may take over a lock directory as soon as it is empty, in the middle of a removal. */
async function release(lock, token) {
  const released = `${lock}.released-${token}`;
  await rename(lock, released);
  await rm(released, { recursive: true, force: true });
}

async function acquire(dir, lock, token, log, pollMs) {
  const mine = `${lock}.${token}`;
  await mkdir(mine);
  await writeFile(join(mine, 'owner.json'), JSON.stringify({ pid: process.pid, host: hostname(), token }));
  let told = false;
  for (;;) {
    try {
      await rename(mine, lock); // fails while the lock exists: it is never empty
      break;
    } catch (error) {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    }
    const owner = await readOwner(lock);
    if (owner && isStale(owner, Date.now())) await setAside(lock, owner.token);
    else {
      if (owner && !told) log(`waiting for another set-up (process ${owner.pid} on ${owner.host})`);
      told = told || owner !== null;
      await sleep(pollMs);
    }
  }
  await sweep(dir);
}

/** Two processes may find the same stale lock: the target is named by its token, so only one rename succeeds. */
async function setAside(lock, token) {
  await rename(lock, `${lock}.stale-${token}`).catch(() => undefined);
}

/** Whether the holder has died (same host) or has been silent for too long. */
export function isStale({ pid, host, beatAt }, now) {
  if (now - beatAt > silentMs) return true;
  return host === hostname() && !isAlive(pid);
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

async function readOwner(lock) {
  const file = join(lock, 'owner.json');
  try {
    const [text, { mtimeMs }] = await Promise.all([readFile(file, 'utf8'), stat(file)]);
    return { ...JSON.parse(text), beatAt: mtimeMs };
  } catch {
    return null; // released meanwhile
  }
}

async function sweep(dir) {
  for (const name of await readdir(dir)) {
    if (!name.includes('.lock.')) continue;
    const path = join(dir, name);
    const age = await stat(path).then(
      ({ mtimeMs }) => Date.now() - mtimeMs,
      () => 0,
    );
    if (age > 3_600_000) await rm(path, { recursive: true, force: true });
  }
}

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { homedir, hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { download } from '../../infra/setup/download.mjs';
import { isServerNewEnough, minio } from '../../infra/setup/go-tools.mjs';
import { isStale, withLock } from '../../infra/setup/lock.mjs';
import { cacheDir, deviceKind, homeDir, root, versions } from '../../infra/setup/paths.mjs';
import { firstOf, PartError } from '../../infra/setup/sources.mjs';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'echoforge-setup-'));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(dir, { recursive: true, force: true });
});

describe('versions.json', () => {
  const exact = /^\d+\.\d+\.\d+(\.\d+)?$/;
  const sha256 = /^[0-9a-f]{64}$/;

  it('pins every wheel and archive by version and checksum', () => {
    const { cpu, gpu } = versions.tensorflow;
    expect(cpu.wheels.map(({ name }) => name)).toEqual(['tensorflow-cpu']);
    expect(gpu.wheels[0]?.name).toBe('tensorflow');
    expect(gpu.wheels.filter(({ name }) => name.startsWith('nvidia-')).length).toBeGreaterThan(8);
    for (const wheel of [...cpu.wheels, ...gpu.wheels]) {
      expect(wheel.version).toMatch(exact);
      expect(wheel.sha256).toMatch(sha256);
    }
    for (const archive of [cpu.archive, gpu.archive, versions.temporal.archive]) {
      expect(archive.url).toMatch(/^https:\/\//);
      expect(archive.sha256).toMatch(sha256);
    }
    expect(cpu.wheels[0]?.version).toBe(versions.tensorflow.version);
    expect(gpu.wheels[0]?.version).toBe(versions.tensorflow.version);
  });

  it('pins the Go modules to the versions that name their cache folders', () => {
    expect(versions.temporal.module).toMatch(new RegExp(`@v${versions.temporal.version}$`));
    expect(versions.minio.module).toMatch(new RegExp(`@v${versions.minio.version}$`));
  });
});

describe('folders', () => {
  it('takes ECHOFORGE_CACHE, then XDG_CACHE_HOME, then ~/.cache, each with the layout', () => {
    const layout = versions.cacheLayout;
    expect(cacheDir({ ECHOFORGE_CACHE: '/a', XDG_CACHE_HOME: '/b' })).toBe(join('/a', layout));
    expect(cacheDir({ XDG_CACHE_HOME: '/b' })).toBe(join('/b/echoforge', layout));
    expect(cacheDir({ HOME: '/c' })).toBe(join('/c/.cache/echoforge', layout));
    expect(cacheDir({})).toBe(join(homedir(), '.cache/echoforge', layout));
  });

  it('keeps stack data in the clone, or where ECHOFORGE_HOME says, always absolute', () => {
    expect(homeDir({})).toBe(join(root, '.echoforge'));
    expect(homeDir({ ECHOFORGE_HOME: 'here' })).toBe(join(root, 'here'));
    expect(homeDir({ ECHOFORGE_HOME: '/there' })).toBe('/there');
  });
});

describe('choices', () => {
  it('takes the CUDA library when a driver is found or asked for', () => {
    expect(deviceKind({}, false)).toBe('cpu');
    expect(deviceKind({}, true)).toBe('gpu');
    expect(deviceKind({ ECHOFORGE_DEVICE: 'cpu' }, true)).toBe('cpu');
    expect(deviceKind({ ECHOFORGE_DEVICE: 'gpu' }, false)).toBe('gpu');
    expect(() => deviceKind({ ECHOFORGE_DEVICE: 'tpu' }, false)).toThrow('found "tpu"');
  });

  it('takes a temporal on PATH only with a server that is new enough', () => {
    expect(isServerNewEnough('temporal version 0.0.0-DEV (Server 1.29.1, UI 2.42.1)')).toBe(true);
    expect(isServerNewEnough('temporal version 1.9.1 (Server 1.32.0, UI 2.50.0)')).toBe(true);
    expect(isServerNewEnough('temporal version 1.3.0 (Server 1.27.1, UI 2.36.0)')).toBe(false);
    expect(isServerNewEnough('something else')).toBe(false);
  });
});

describe('sources', () => {
  it('takes the first that works', async () => {
    const failing = () => Promise.reject(new Error('unreachable'));
    const sources = [
      { source: 'one', get: failing },
      { source: 'two', get: () => Promise.resolve(2) },
      { source: 'three', get: failing },
    ];
    await expect(firstOf('Part', sources, '')).resolves.toEqual({ source: 'two', value: 2 });
  });

  it('names the part, what was tried and the command that mends it', async () => {
    vi.stubEnv('PATH', dir);
    vi.stubEnv('ECHOFORGE_CACHE', dir);
    const error = await minio.provide({ log: () => undefined }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(PartError);
    const { message } = error as PartError;
    expect(message).toMatch(/^MinIO: no source worked/);
    expect(message).toContain(`go install ${versions.minio.module}: go is not installed`);
    expect(message).toMatch(/to mend it: install Go .*npm run setup/);
  });

  describe('download', () => {
    let server: Server;
    let address: string;
    const body = 'library';
    beforeEach(async () => {
      server = createServer((request, response) => {
        if (request.url === '/silent') return;
        response.writeHead(request.url === '/missing' ? 404 : 200).end(body);
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      address = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
    });
    afterEach(() => {
      server.closeAllConnections();
      server.close();
    });

    it('refuses another checksum, an error page and a silent server', async () => {
      const file = join(dir, 'file');
      const sha256 = createHash('sha256').update(body).digest('hex');
      await download(`${address}/good`, file, sha256);
      await expect(readFile(file, 'utf8')).resolves.toBe(body);
      await expect(download(`${address}/good`, file, '0'.repeat(64))).rejects.toThrow(`found ${sha256}`);
      await expect(download(`${address}/missing`, file, sha256)).rejects.toThrow('answered 404');
      await expect(download(`${address}/silent`, file, sha256)).rejects.toThrow('did not answer within');
    });
  });
});

describe('lock', () => {
  /** A process that logs when it holds the lock `part` and when it lets go; `body` is its work. */
  const holder = (body: string) => {
    const script = `
      import { appendFileSync } from 'node:fs';
      import { withLock } from ${JSON.stringify(join(root, 'infra/setup/lock.mjs'))};
      const note = (word) => appendFileSync(${JSON.stringify(join(dir, 'notes'))}, word + ' ' + process.pid + '\\n');
      await withLock(${JSON.stringify(dir)}, 'part', async () => { ${body} }, { pollMs: 5 });`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' });
    return new Promise<void>((resolve) => child.once('exit', () => resolve()));
  };

  it('lets racing runs in one after the other', async () => {
    const work = `note('in'); await new Promise((resolve) => setTimeout(resolve, 100)); note('out');`;
    await Promise.all([holder(work), holder(work), holder(work)]);
    const notes = (await readFile(join(dir, 'notes'), 'utf8')).trim().split('\n');
    expect(notes).toHaveLength(6);
    for (let i = 0; i < notes.length; i += 2) expect(notes[i + 1]).toBe(notes[i]!.replace('in', 'out'));
  });

  it('takes over from a killed holder, by one of those who wait only', async () => {
    await holder(`process.kill(process.pid, 'SIGKILL'); await new Promise(() => setInterval(() => {}, 1000));`);
    let inside = 0;
    let most = 0;
    const work = async () => {
      most = Math.max(most, ++inside);
      await new Promise((resolve) => setTimeout(resolve, 30));
      inside -= 1;
    };
    await Promise.all([1, 2, 3, 4].map(() => withLock(dir, 'part', work, { pollMs: 1 })));
    expect(most).toBe(1);
  });

  it('knows a stale holder by its process or its silence', () => {
    const now = 1_000_000;
    const alive = { pid: process.pid, host: hostname(), beatAt: now - 1000 };
    expect(isStale(alive, now)).toBe(false);
    expect(isStale({ ...alive, pid: 2 ** 22 + 1 }, now)).toBe(true);
    expect(isStale({ ...alive, pid: 2 ** 22 + 1, host: 'another' }, now)).toBe(false);
    expect(isStale({ ...alive, beatAt: now - 61_000 }, now)).toBe(true);
  });
});

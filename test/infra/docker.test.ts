import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { searchAttributes } from '../../contract/names.ts';
import { temporalArguments } from '../../infra/local/temporal-server.ts';
import { root, versions } from '../../infra/setup/paths.mjs';

/**
 * The Docker form against the rest of the project: what is written down twice must be the same twice. That the files are
 * well-formed is the business of the compose schema and hadolint (docs/operating.md, "Production with Docker").
 */
interface Service {
  readonly image: string;
  readonly build?: { readonly context: string; readonly dockerfile: string; readonly target?: string };
  readonly restart: string;
  readonly healthcheck?: object;
  readonly secrets?: readonly string[];
  readonly volumes?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly deploy?: { readonly resources: { readonly reservations: { readonly devices: readonly object[] } } };
}
interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, null>>;
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
}

const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const compose = parse(read('docker-compose.yml'), { merge: true }) as Compose; // checked against the compose schema
const services = Object.entries(compose.services);
const workerFile = read('infra/docker/worker.Dockerfile');

describe('docker-compose.yml', () => {
  it('builds the MinIO that set-up builds', () => {
    expect(read('infra/docker/minio.Dockerfile')).toContain(`go install -ldflags "-s -w" ${versions.minio.module}`);
    expect(compose.services['minio']?.image).toBe(`echoforge/minio:${versions.minio.version}`);
  });

  it('tags the images of the workers with the version of the package', () => {
    const { version } = JSON.parse(read('package.json')) as { version: string };
    const own = services.filter(([, { image }]) => image.includes('-worker'));
    expect(own.map(([name]) => name).sort()).toEqual(['control', 'cpu', 'gpu', 'store-init']);
    for (const [, { image }] of own) expect(image.split(':')[1]).toBe(version);
  });

  it('registers the search attributes of contract/names.ts and keeps finished studies for 30 days', () => {
    const script = read('infra/docker/temporal-init.sh');
    const registered = [...script.matchAll(/\b(\w+)=(Keyword|Int|Double|Bool)\b/g)].map(([, name, type]) => [
      name,
      type,
    ]);
    expect(registered).toEqual(Object.entries(searchAttributes));
    expect(script.match(/--retention 30d/g)).toHaveLength(2);
  });

  it('switches on what the local stack switches on in the server', () => {
    const values = parse(read('infra/docker/temporal-dynamic-config.yaml')) as Record<string, { value: unknown }[]>;
    const docker = Object.entries(values).map(([key, [entry]]) => `${key}=${String(entry?.value)}`);
    const args = temporalArguments({ ports: { temporal: 1, ui: 2, minio: 3, console: 4 }, dbFile: null });
    expect(docker).toEqual(args.filter((_, i) => args[i - 1] === '--dynamic-config-value'));
  });

  it('lets everything that stays up be seen to be well', () => {
    const up = services.filter(([, { restart }]) => restart === 'unless-stopped');
    expect(up.map(([name]) => name).sort()).toEqual(
      ['control', 'cpu', 'gpu', 'minio', 'postgres', 'temporal', 'temporal-ui'].sort(),
    );
    for (const [name, { healthcheck }] of up) expect(healthcheck, name).toBeDefined();
  });

  it('keeps state in named volumes, and gives a GPU to one training at a time', () => {
    const mounted = services.flatMap(([, { volumes = [] }]) => volumes.map((volume) => volume.split(':')[0] ?? ''));
    expect(mounted.filter((name) => !name.startsWith('./')).sort()).toEqual(Object.keys(compose.volumes).sort());
    const gpu = compose.services['gpu'];
    expect(gpu?.environment?.['ECHOFORGE_ENGINE_PROCESSES']).toBe('1');
    expect(gpu?.deploy?.resources.reservations.devices).toMatchObject([{ driver: 'nvidia', capabilities: ['gpu'] }]);
  });

  it('has a file for every secret, written by make-secrets.mjs once and into a closed folder', () => {
    const dir = mkdtempSync(join(tmpdir(), 'echoforge-secrets-'));
    try {
      const make = (): string =>
        execFileSync(process.execPath, [join(root, 'infra/docker/make-secrets.mjs'), join(dir, 's')]).toString();
      expect(make()).not.toContain('kept');
      const names = readdirSync(join(dir, 's')).sort();
      expect(names).toEqual(Object.keys(compose.secrets).sort());
      const before = names.map((name) => readFileSync(join(dir, 's', name), 'utf8'));
      expect(before.every((secret) => secret.length >= 16)).toBe(true);
      expect(statSync(join(dir, 's')).mode & 0o777).toBe(0o700);
      expect(make()).not.toContain('written');
      expect(names.map((name) => readFileSync(join(dir, 's', name), 'utf8'))).toEqual(before);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
    for (const name of services.flatMap(([, { secrets = [] }]) => secrets))
      expect(compose.secrets[name]?.file, name).toMatch(new RegExp(`/${name}$`));
    expect(JSON.stringify(compose.services)).not.toMatch(/(PASSWORD|SECRET_KEY)":/);
  });
});

describe('Dockerfiles', () => {
  it('copy exactly what .dockerignore lets into the build context', () => {
    const copied = [...workerFile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, names]) =>
      (names ?? '').split(' '),
    );
    const allowed = read('.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    expect(new Set(copied)).toEqual(new Set(allowed));
  });

  it('end in several stages without root, the workers on glibc and the oldest Node that the package takes', () => {
    const minio = read('infra/docker/minio.Dockerfile');
    for (const text of [minio, workerFile]) {
      expect(text.match(/^FROM /gm)?.length).toBeGreaterThan(1);
      expect([...text.matchAll(/^USER (.+)$/gm)].map(([, user]) => user)).toEqual(['1000:1000']);
    }
    const bases = [...workerFile.matchAll(/^FROM (\S+:\S+)/gm)].map(([, base]) => base);
    const { engines } = JSON.parse(read('package.json')) as { engines: { node: string } };
    const oldest = engines.node.replace('>=', '');
    expect(new Set(bases)).toEqual(new Set([`node:${oldest}.0-bookworm-slim`]));
  });
});

import { createServer } from 'node:net';

export interface Ports {
  readonly temporal: number;
  readonly ui: number;
  readonly minio: number;
  readonly console: number;
}

export const defaultPorts: Ports = { temporal: 7233, ui: 8233, minio: 9000, console: 9001 };

/** The wanted ports where they are free on the loopback interface, others where they are taken. */
export async function choosePorts(wanted: Ports): Promise<Ports> {
  const chosen = new Set<number>();
  const choose = async (port: number): Promise<number> => {
    for (const candidate of [port, 0, 0, 0, 0]) {
      const free = await listenOnce(candidate);
      if (free === null || chosen.has(free)) continue;
      chosen.add(free);
      return free;
    }
    throw new Error(`expected a free TCP port on 127.0.0.1, found none (wanted ${port})`);
  };
  return {
    temporal: await choose(wanted.temporal),
    ui: await choose(wanted.ui),
    minio: await choose(wanted.minio),
    console: await choose(wanted.console),
  };
}

/** Any free ports: for tests. */
export const freePorts = (): Promise<Ports> => choosePorts({ temporal: 0, ui: 0, minio: 0, console: 0 });

/** The port if it could be listened on (0 takes any), null when it is taken. */
async function listenOnce(port: number): Promise<number | null> {
  const server = createServer();
  return await new Promise((resolve) => {
    server.once('error', () => resolve(null));
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : null));
    });
  });
}

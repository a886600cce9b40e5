import { connect, createServer, type Socket } from 'node:net';

/** A line to a server that fails on command: what a network does, between real clients and a real server. */
export interface FaultyProxy {
  /** URL to use instead of the server's. */
  readonly endpoint: string;
  /** Stops passing on requests once `bytes` more have passed; `held` resolves then, `release` lets them go on. */
  readonly holdRequests: (bytes: number) => { readonly held: Promise<void>; readonly release: () => void };
  /** The next request whose bytes contain `needle` reaches the server, but its answer is lost and the line breaks. */
  readonly loseAnswer: (needle: string) => void;
  /** Breaks the line each time another `bytes` of answers have passed, `times` times. */
  readonly breakAnswers: (bytes: number, times: number) => void;
  /** From now on requests are taken and never answered, until it is called with false. */
  readonly silence: (silent: boolean) => void;
  readonly close: () => Promise<void>;
}

export async function startProxy(target: string): Promise<FaultyProxy> {
  const { hostname, port } = new URL(target);
  const faults = new Faults();
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    const end = (): void => {
      client.destroy();
      upstream.destroy();
      sockets.delete(client);
      sockets.delete(upstream);
    };
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', end).on('close', end);
    }
    let losing = false;
    client.on('data', (chunk) => {
      if (faults.silent) return;
      losing ||= faults.takeLoss(chunk);
      faults.forward(chunk, client, upstream);
    });
    upstream.on('data', (chunk) => {
      if (faults.silent) return;
      if (losing || faults.takeBreak(chunk.length)) end();
      else client.write(chunk);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('expected a TCP address of the proxy');
  return {
    endpoint: `http://127.0.0.1:${address.port}`,
    holdRequests: (bytes) => faults.hold(bytes),
    loseAnswer: (needle) => faults.lose(needle),
    breakAnswers: (bytes, times) => faults.breakAnswers(bytes, times),
    silence: (silent) => {
      faults.silent = silent;
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

class Faults {
  silent = false;
  private needle: string | null = null;
  private passBytes = Infinity;
  private onHeld: () => void = () => undefined;
  private waiting: (() => void)[] = [];
  private answerBytes = Infinity;
  private breakEvery = Infinity;
  private breaks = 0;

  hold(bytes: number): { held: Promise<void>; release: () => void } {
    this.passBytes = bytes;
    const held = new Promise<void>((resolve) => {
      this.onHeld = resolve;
    });
    const release = (): void => {
      this.passBytes = Infinity;
      for (const go of this.waiting.splice(0)) go();
    };
    return { held, release };
  }

  forward(chunk: Buffer, client: Socket, upstream: Socket): void {
    this.passBytes -= chunk.length;
    if (this.passBytes > 0) {
      upstream.write(chunk);
      return;
    }
    client.pause();
    this.waiting.push(() => {
      upstream.write(chunk);
      client.resume();
    });
    this.onHeld();
  }

  lose(needle: string): void {
    this.needle = needle;
  }

  takeLoss(chunk: Buffer): boolean {
    if (this.needle === null || !chunk.includes(this.needle)) return false;
    this.needle = null;
    return true;
  }

  breakAnswers(bytes: number, times: number): void {
    this.breakEvery = bytes;
    this.answerBytes = bytes;
    this.breaks = times;
  }

  takeBreak(bytes: number): boolean {
    if (this.breaks === 0) return false;
    this.answerBytes -= bytes;
    if (this.answerBytes > 0) return false;
    this.answerBytes = this.breakEvery;
    this.breaks--;
    return true;
  }
}

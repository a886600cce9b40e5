import { connect, createServer, type Socket } from 'node:net';

/** A line to a server that fails on command: what a network does, between real clients and a real server. */
export interface FaultyProxy {
  /** URL to use instead of the server's. */
  readonly endpoint: string;
  /** Stops passing on requests once `bytes` more have passed; `held` resolves then, `release` lets them go on. */
  readonly holdRequests: (bytes: number) => { readonly held: Promise<void>; readonly release: () => void };
  /**
   * The `nth` request from now on that begins with `start` is stopped: after `bytes` of it, or with Infinity whole, so that only
   * its answer is held back. `held` resolves then; `release` lets it go on.
   */
  readonly holdRequest: (hold: HeldRequest) => { readonly held: Promise<void>; readonly release: () => void };
  /** The next request whose bytes contain `needle` reaches the server, but its answer is lost and the line breaks. */
  readonly loseAnswer: (needle: string) => void;
  /** Breaks the line each time another `bytes` of answers have passed, `times` times. */
  readonly breakAnswers: (bytes: number, times: number) => void;
  /** From now on requests are taken and never answered, until it is called with false. */
  readonly silence: (silent: boolean) => void;
  readonly close: () => Promise<void>;
}

export interface HeldRequest {
  /** e.g. `PUT /bucket/key`. */
  readonly start: string;
  readonly nth: number;
  readonly bytes: number;
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
    let hold: OneRequest | null = null;
    client.on('data', (chunk) => {
      if (faults.silent) return;
      losing ||= faults.takeLoss(chunk);
      hold ??= faults.takeRequest(chunk);
      if (hold) hold.request(chunk, client, upstream);
      else faults.forward(chunk, client, upstream);
    });
    upstream.on('data', (chunk) => {
      if (faults.silent) return;
      if (hold?.answer(chunk, client)) return;
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
    holdRequest: (options) => {
      const hold = new OneRequest(options);
      faults.requests.push(hold);
      return { held: hold.held, release: () => hold.release() };
    },
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

/** One request that is stopped on its way there, or whose answer is stopped on its way back. */
class OneRequest {
  readonly held: Promise<void>;
  private onHeld: () => void = () => undefined;
  private seen = 0;
  private passed = 0;
  private released = false;
  private waiting: (() => void)[] = [];
  private readonly options: HeldRequest;

  constructor(options: HeldRequest) {
    this.options = options;
    this.held = new Promise((resolve) => (this.onHeld = resolve));
  }

  /** True for the request that is meant; the chunk that begins a request begins with its first line. */
  matches(chunk: Buffer): boolean {
    return (
      chunk.subarray(0, this.options.start.length).toString() === this.options.start && ++this.seen === this.options.nth
    );
  }

  request(chunk: Buffer, client: Socket, upstream: Socket): void {
    const now = this.released ? chunk.length : Math.min(chunk.length, Math.max(0, this.options.bytes - this.passed));
    this.passed += now;
    if (now > 0) upstream.write(chunk.subarray(0, now));
    if (now === chunk.length) return;
    client.pause();
    this.waiting.push(() => {
      upstream.write(chunk.subarray(now));
      client.resume();
    });
    this.onHeld();
  }

  /** True when the answer is kept back. */
  answer(chunk: Buffer, client: Socket): boolean {
    if (this.released || this.options.bytes !== Infinity) return false;
    this.waiting.push(() => client.write(chunk));
    this.onHeld();
    return true;
  }

  release(): void {
    this.released = true;
    for (const go of this.waiting.splice(0)) go();
  }
}

class Faults {
  silent = false;
  readonly requests: OneRequest[] = [];
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

  takeRequest(chunk: Buffer): OneRequest | null {
    return this.requests.find((request) => request.matches(chunk)) ?? null;
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

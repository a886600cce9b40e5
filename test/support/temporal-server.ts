import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { freePorts } from '../../infra/local/ports.ts';
import { supervise } from '../../infra/local/processes.ts';
import { prepareTemporal, temporalArguments } from '../../infra/local/temporal-server.ts';
import { resolveTools } from '../../infra/setup/tools.mjs';

declare module 'vitest' {
  interface ProvidedContext {
    temporalAddress: string;
  }
}

/** A real Temporal server in memory for the workflow tests. */
export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const { temporal } = await resolveTools();
  const dir = await mkdtemp(join(tmpdir(), 'echoforge-temporal-'));
  const ports = await freePorts();
  const args = temporalArguments({ ports, dbFile: null });
  const logFile = join(dir, 'temporal.log');
  const server = supervise({ name: 'temporal', command: temporal, args, env: process.env, logFile }, console.error);
  const address = `127.0.0.1:${ports.temporal}`;
  await prepareTemporal(address);
  provide('temporalAddress', address);
  return async () => {
    await server.stop(5_000);
    await rm(dir, { recursive: true, force: true });
  };
}

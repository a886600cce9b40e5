import { parentPort } from 'node:worker_threads';
import { inputsForSeeds } from './seed-inputs.ts';
import type { SeedRequest } from './seed-streams.ts';

/** The thread of seed-streams.ts: says that it is there, draws the inputs of the seeds it is sent, hands their memory over. */
parentPort?.on('message', ({ seeds, latentSize, noiseSizes }: SeedRequest) => {
  const inputs = inputsForSeeds({ seeds, latentSize, noiseSizes });
  const memory = [inputs.z, ...inputs.noise].map((values) => values.buffer as ArrayBuffer); // made by inputsForSeeds
  parentPort?.postMessage(inputs, memory);
});
parentPort?.postMessage('ready');

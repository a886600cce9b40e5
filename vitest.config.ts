import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

const project = (name: string, include: string[], extra: Record<string, unknown> = {}) => ({
  test: { name, include, pool: 'forks' as const, testTimeout: 120_000, hookTimeout: 300_000, ...extra },
});

/** Tests that train: too long for the quick look before a commit. */
const training = [
  'test/lib/generator/{compiled-steps,loss,train}.test.ts',
  'test/lib/classifier/{compiled-steps,feature-cache,recovery,resume,train}.test.ts',
  'test/lib/metrics/inception-2015.test.ts',
  'test/lib/synthesis/seed-streams.test.ts',
];
// Two at least: alone on two cores, a test leaves half of them idle.
const sideBySide = { maxWorkers: Math.max(2, availableParallelism() - 1) };

export default defineConfig({
  test: {
    projects: [
      project('unit', ['test/{contract,lib,activities,workers,cli,infra,bench}/**/*.test.ts'], {
        ...sideBySide,
        exclude: training,
      }),
      project('training', training, sideBySide),
      project('workflow', ['test/workflows/**/*.test.ts'], {
        globalSetup: ['test/support/temporal-server.ts'],
        fileParallelism: false,
      }),
      project('integration', ['test/integration/**/*.test.ts'], {
        globalSetup: ['test/support/stack.ts'],
        fileParallelism: false,
        testTimeout: 900_000,
        hookTimeout: 900_000,
      }),
      project('long', ['test/long/**/*.test.ts'], { fileParallelism: false, testTimeout: 7_200_000 }),
    ],
  },
});

import { builtinModules } from 'node:module';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode } from '@temporalio/worker';
import { expect, it } from 'vitest';

it('the workflow bundle holds no Node built-in, no lib/ and no activity', async () => {
  const { code } = await bundleWorkflowCode({
    workflowsPath: fileURLToPath(new URL('../../workflows/index.ts', import.meta.url)),
  });
  // Webpack names every module that it packed or left outside.
  const modules = [...code.matchAll(/!\*\*\* (\S+) \*\*\*!/g)].map(([, name]) => name ?? '');
  expect(modules.length).toBeGreaterThan(50);
  const own = modules.filter((name) => !name.includes('node_modules'));
  expect(own.filter((name) => /\/(lib|activities|workers|cli|infra)\//.test(name))).toEqual([]);
  const externals = [...code.matchAll(/external "?([\w:/]+)"?/g)].map(([, name]) => (name ?? '').replace(/^node:/, ''));
  expect(externals.filter((name) => builtinModules.includes(name) && name !== 'assert')).toEqual([]);
  expect(code).not.toMatch(/__webpack_require__\(\/\*! (node:)?(fs|crypto|net|child_process|worker_threads) \*\//);
});

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const root = new URL('../../', import.meta.url);

/**
 * What a process of its own prints that runs `script`, the body of an ES module with imports from `./lib`, under other environment
 * variables: the library reads its own once. Undefined removes a variable.
 */
export async function runEngineScript(
  script: string,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<string> {
  const env = { ...process.env, TF_CPP_MIN_LOG_LEVEL: '3', ...environment };
  const args = ['--import', 'tsx', '--input-type=module', '--eval', script];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root, env });
  return stdout.trim();
}

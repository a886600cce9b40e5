import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { homeDir } from '../setup/tools.mjs';
import { findSupervisors } from './processes.ts';
import { readStackFile, type StackFile } from './stack-file.ts';

/** The running stack of this home, started if need be. @throws Error with the end of the log when it does not come up. */
export async function bringUp(): Promise<StackFile> {
  const home = homeDir();
  const running = await readStackFile(home);
  if (running) return running;
  await mkdir(join(home, 'logs'), { recursive: true });
  const logFile = join(home, 'logs', 'supervisor.log');
  let own: ChildProcess | null = null;
  let told = false;
  for (let looks = 0; looks < 900;) {
    const stack = await readStackFile(home);
    if (stack) return stack;
    const [other] = await findSupervisors(home);
    const ended = own !== null && (own.exitCode !== null || own.signalCode !== null);
    if (own !== null && !ended) looks++;
    else if (other !== undefined) {
      own = null;
      if (!told) console.error(`waiting for process ${other}, which starts or stops the stack`);
      told = true;
    } else if (ended) break;
    else own = startSupervisor(logFile);
    await sleep(200);
  }
  const tail = (await readFile(logFile, 'utf8')).trimEnd().split('\n').slice(-15).join('\n');
  throw new Error(`the stack did not come up; the end of ${logFile}:\n${tail}`);
}

/** In a session of its own: it survives the terminal. */
function startSupervisor(logFile: string): ChildProcess {
  const log = openSync(logFile, 'a');
  const supervisor = spawn(
    process.execPath,
    ['--import', 'tsx', fileURLToPath(new URL('supervisor.ts', import.meta.url))],
    { detached: true, stdio: ['ignore', log, log] },
  );
  closeSync(log);
  supervisor.unref();
  return supervisor;
}

export function describeStack({ ui, console: minioConsole, env }: StackFile): string {
  return `
Temporal    ${env['TEMPORAL_ADDRESS'] ?? ''}   web UI ${ui}
MinIO       ${env['S3_ENDPOINT'] ?? ''}   console ${minioConsole}
State       ${env['ECHOFORGE_HOME'] ?? ''}

In this shell:        eval "$(npm run -s env)"
Bring images in:      npx echoforge import DIR --name NAME
Start a study:        temporal workflow start --type study --task-queue control --workflow-id study/NAME --input-file FILE
Watch it:             temporal workflow query --workflow-id study/NAME --type progress
Pause, resume it:     temporal workflow update execute --workflow-id study/NAME --name pause --input '{"reason":"..."}'
                      temporal workflow update execute --workflow-id study/NAME --name resume
Stop it:              temporal workflow cancel --workflow-id study/NAME
Logs, end:            npm run logs, npm run down`;
}

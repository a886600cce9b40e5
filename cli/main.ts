import { Command } from 'commander';
import { openStore, readEnvironment } from '../workers/config.ts';
import type { ObjectStore } from '../lib/storage/object-store.ts';
import { listCheckpoints } from './checkpoints.ts';
import { cleanStudy } from './clean.ts';
import { exportReport, exportStudy } from './export.ts';
import { importFolder, uploadPrefix } from './import.ts';
import { loadLocalEnvironment } from './local-environment.ts';
import { exportGenerator, importGenerator } from './generators.ts';
import { followTensorboard } from './tensorboard.ts';
import { exportTools } from './tools.ts';
import { countOf, exportWeights, importWeights, oneOf } from './weights.ts';

/**
 * The small `echoforge` command: brings images in and results out. Studies are started, watched and steered with the
 * official `temporal` command.
 */
async function store(): Promise<ObjectStore> {
  await loadLocalEnvironment();
  return openStore(readEnvironment());
}
/** Aborted by Ctrl-C or kill. */
function interrupted(): AbortSignal {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  return stop.signal;
}

/** @throws Error unless `text` is a number above 0. */
function positive(text: string, option: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new Error(`expected ${option} to be a number above 0, found "${text}"`);
  return value;
}

const say = (line: string): void => void process.stdout.write(`${line}\n`);

const program = new Command('echoforge')
  .description('Bring images into the store and results out of it. Studies run with the `temporal` command.')
  .showHelpAfterError();

program
  .command('import')
  .argument('<dir>', 'folder with one folder per class')
  .option('--name <name>', 'name of the dataset, as in the study file')
  .option('--prefix <prefix>', 'upload as plain objects below this prefix instead (for re-evaluation)')
  .description('store a folder of images')
  .action(async (dir: string, { name, prefix }: { name?: string; prefix?: string }) => {
    if ((name === undefined) === (prefix === undefined)) throw new Error('give either --name or --prefix');
    if (prefix !== undefined) await uploadPrefix({ store: await store(), dir, prefix, say });
    else if (name !== undefined) await importFolder({ store: await store(), dir, name, say });
  });

program
  .command('export')
  .argument('<studyId>')
  .requiredOption('--out <dir>', 'folder to write to')
  .description('unpack everything that a finished study made: report, images, weights, predictions, manifests')
  .action(async (studyId: string, { out }: { out: string }) =>
    exportStudy({ store: await store(), studyId, out, say }),
  );

program
  .command('import-weights')
  .argument('<file>', 'Keras .h5, model.json of TensorFlow.js with its shards beside it, or safetensors')
  .description('store pretrained weights; prints the key for `classifier.weights` or `generator.resumeFrom`')
  .action(async (file: string) => {
    await importWeights({ store: await store(), file, say });
  });

program
  .command('export-weights')
  .argument('<studyId>')
  .requiredOption('--out <file>', 'file to write')
  .option('--variant <variant>', 'real or synthetic', 'real')
  .option('--format <format>', 'h5 (for Keras) or safetensors', 'h5')
  .description('write a trained classifier for use elsewhere')
  .action(async (studyId: string, { out, variant, format }: { out: string; variant: string; format: string }) =>
    exportWeights({
      store: await store(),
      studyId,
      out,
      variant: oneOf(variant, ['real', 'synthetic'], '--variant'),
      format: oneOf(format, ['h5', 'safetensors'], '--format'),
      say,
    }),
  );

program
  .command('import-generator')
  .argument(
    '<file>',
    'averaged generator of the public PyTorch StyleGAN2 as safetensors, `latent_avg` beside its tensors',
  )
  .description('convert and store a generator; prints its sizes and its key')
  .action(async (file: string) => {
    await importGenerator({ store: await store(), file, say });
  });

program
  .command('export-generator')
  .argument('<studyId>')
  .requiredOption('--class <class>', 'class whose generator it is')
  .requiredOption('--out <file>', 'file to write')
  .option('--nimg <images>', 'image count of the snapshot; default the one that synthesis used')
  .option('--format <format>', 'torch (names of the public PyTorch StyleGAN2) or safetensors (as stored)', 'torch')
  .description('write a snapshot of a generator for use elsewhere')
  .action(async (studyId: string, options: { class: string; out: string; nimg?: string; format: string }) =>
    exportGenerator({
      store: await store(),
      studyId,
      className: options.class,
      nimg: options.nimg === undefined ? null : countOf(options.nimg, '--nimg'),
      out: options.out,
      format: oneOf(options.format, ['torch', 'safetensors'], '--format'),
      say,
    }),
  );

program
  .command('checkpoints')
  .argument('<studyId>')
  .description('list what the generators of another study can start from (`generator.resumeFrom`)')
  .action(async (studyId: string) => listCheckpoints({ store: await store(), studyId, say }));

program
  .command('report')
  .argument('<studyId>')
  .requiredOption('--out <dir>', 'folder to write to')
  .description('fetch report.html, results.json and the run record')
  .action(async (studyId: string, { out }: { out: string }) =>
    exportReport({ store: await store(), studyId, out, say }),
  );

program
  .command('tensorboard')
  .argument('<studyId>')
  .option('--out <dir>', 'log directory to write; tensorboard/<studyId> when left out')
  .option('--interval <seconds>', 'pause between two looks at a study that runs', '30')
  .option('--once', 'fetch what there is, and end')
  .description('fetch the TensorBoard events of all trainings, and go on with it until the study has its report')
  .action(async (studyId: string, options: { out?: string; interval: string; once?: boolean }) =>
    followTensorboard({
      ...{ store: await store(), studyId, out: options.out ?? `tensorboard/${studyId}`, say },
      intervalMs: options.once === true ? null : 1000 * positive(options.interval, '--interval'),
      signal: interrupted(),
    }),
  );

program
  .command('tools')
  .argument('<studyId>')
  .requiredOption('--out <dir>', 'folder to write to')
  .option('--tool <tool>', 'of one tool only, e.g. generateImages')
  .description('fetch what the tools made from snapshots of a study: images, grids, films, tables')
  .action(async (studyId: string, { out, tool }: { out: string; tool?: string }) =>
    exportTools({ store: await store(), studyId, out, tool: tool ?? null, say }),
  );

program
  .command('clean')
  .argument('<studyId>')
  .option('--yes', 'do not ask')
  .description("delete a study's own state (checkpoints, report); shared images and weights stay")
  .action(async (studyId: string, { yes }: { yes?: boolean }) =>
    cleanStudy({ store: await store(), studyId, confirmed: yes ?? false, say }),
  );

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`echoforge: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

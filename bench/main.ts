import { Command, InvalidArgumentError, Option } from 'commander';
import { benchGenerate } from './generate.ts';
import { benchGeneratorPhase } from './generator-phase.ts';
import { benchGeneratorStep } from './generator-step.ts';
import { phases } from './measured-steps.ts';

/** Measurements. Each prints one table, or with --json one object, and refuses on a busy machine. */

const whole = (text: string): number => {
  const n = Number(text);
  if (!Number.isInteger(n) || n < 1) throw new InvalidArgumentError('expected a whole number from 1');
  return n;
};

/** A benchmark of a network of this size, and what all of them take. */
const benchmark = (name: string, res: number): Command =>
  program
    .command(name)
    .option('--res <px>', 'resolution', whole, res)
    .option('--channels <n>', '1 or 3', whole, 1)
    .option('--fmap-max <n>', 'most feature maps', whole, 512)
    .option('--fmap-base <n>', 'feature maps times resolution, about', whole, 8192)
    .option('--latent <n>', 'size of z and w', whole, 512)
    .option('--mapping-layers <n>', 'layers of the mapping network', whole, 8)
    .addOption(new Option('--precision <p>', 'of convolutions').choices(['fp32', 'bf16']).default('fp32'))
    .addOption(new Option('--execution <mode>', 'how steps run').choices(['function', 'eager']).default('function'))
    .option('--allow-busy', 'print figures although other processes use the CPU')
    .option('--json', 'print one JSON object');

const program = new Command('bench').description('Measure the speed of training and synthesis.').showHelpAfterError();

benchmark('generator-step', 64)
  .option('--batch <n>', 'images per minibatch, one pass', whole, 4)
  .option('--repeats <n>', 'measured runs of each phase', whole, 9)
  .addOption(new Option('--against <framework>', 'measure another one in turn').choices(['torch']))
  .description('the four phases of StyleGAN2 training and the moving average')
  .action(benchGeneratorStep);

benchmark('generator-phase', 256)
  .option('--batch <n>', 'images per minibatch, one pass', whole, 4)
  .option('--repeats <n>', 'runs of each phase', whole, 2)
  .addOption(new Option('--phase <name>', 'only this one').choices(phases))
  .description('the first steps of a training: seconds to start and record, peak memory, hash of the weights')
  .action(benchGeneratorPhase);

benchmark('generate', 256)
  .option('--count <n>', 'images', whole, 200)
  .option('--batch <n>', 'images per pass', whole, 8)
  .addOption(new Option('--against <framework>', 'measure another one in turn').choices(['torch']))
  .description('images per second: seeds to PNG files in a shard, and the network alone')
  .action(benchGenerate);

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

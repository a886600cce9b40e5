import { Command, InvalidArgumentError, Option } from 'commander';
import { benchClassifierPredict } from './classifier-predict.ts';
import { benchClassifierSeeds } from './classifier-seeds.ts';
import { benchClassifierStep } from './classifier-step.ts';
import { benchFeatureCache } from './feature-cache.ts';
import { benchGenerate } from './generate.ts';
import { armNames, benchGeneratorArms, type ArmName } from './generator-arms.ts';
import { benchGeneratorPhase } from './generator-phase.ts';
import { benchGeneratorStep } from './generator-step.ts';
import { phases } from './measured-steps.ts';

/** Measurements. Each prints one table, or with --json one object, and refuses on a busy machine. */

const whole = (text: string): number => {
  const n = Number(text);
  if (!Number.isInteger(n) || n < 1) throw new InvalidArgumentError('expected a whole number from 1');
  return n;
};

const share = (text: string): number => {
  const n = Number(text);
  if (!(n > 0 && n <= 1)) throw new InvalidArgumentError('expected a number above 0, at most 1');
  return n;
};
const repeatsOfBlocks = (text: string): number[] => {
  const counts = text.split(',').map(whole);
  if (counts.length !== 3) throw new InvalidArgumentError('expected three whole numbers, e.g. 10,20,9');
  return counts;
};

const listOfArms = (text: string): ArmName[] =>
  text.split(',').map((name) => {
    const arm = armNames.find((known) => known === name);
    if (arm === undefined) throw new InvalidArgumentError(`expected some of ${armNames.join(', ')}`);
    return arm;
  });

/** What every benchmark takes. */
const measurement = (name: string): Command =>
  program
    .command(name)
    .addOption(new Option('--precision <p>', 'of convolutions').choices(['fp32', 'bf16']).default('fp32'))
    .addOption(
      new Option('--execution <mode>', 'how steps run').choices(['function', 'graph', 'eager']).default('function'),
    )
    .option('--allow-busy', 'print figures although other processes use the CPU')
    .option('--json', 'print one JSON object');

/** A benchmark of a small classifier on a folder of images. */
const onImages = (name: string): Command =>
  measurement(name)
    .requiredOption('--images <dir>', 'with a folder of images per class')
    .option('--negative <folder>', 'class', 'benign')
    .option('--positive <folder>', 'class', 'malignant')
    .option('--size <px>', 'side of the input', whole, 96)
    .option('--batch <n>', 'images per step', whole, 16)
    .option('--width <share>', 'of the published filter counts', share, 0.25);

/** A benchmark of the generator at this size. */
const benchmark = (name: string, res: number): Command =>
  measurement(name)
    .option('--res <px>', 'resolution', whole, res)
    .option('--channels <n>', '1 or 3', whole, 1)
    .option('--fmap-max <n>', 'most feature maps', whole, 512)
    .option('--fmap-base <n>', 'feature maps times resolution, about', whole, 8192)
    .option('--latent <n>', 'size of z and w', whole, 512)
    .option('--mapping-layers <n>', 'layers of the mapping network', whole, 8);

/** A benchmark of the classifier; of the published network unless told otherwise. */
const classifierBenchmark = (name: string): Command =>
  measurement(name)
    .option('--size <px>', 'side of the input', whole, 256)
    .option('--batch <n>', 'images per step', whole, 8)
    .option('--width <share>', 'of the published filter counts', share, 1)
    .option('--blocks <counts>', 'repeats of block35, block17 and block8', repeatsOfBlocks, [10, 20, 9])
    .option('--head-units <n>', 'between pooling and softmax', whole, 1024)
    .option('--repeats <n>', 'measured runs', whole, 9)
    .addOption(new Option('--freeze <recipe>', 'what is not trained').choices(['none', 'nakata']).default('none'))
    .addOption(new Option('--against <framework>', 'measure another one in turn').choices(['keras']));

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
  .option('--graph-cache <folder>', 'take recorded graphs from here, and keep them here (execution graph)')
  .description('the first steps of a training: seconds to start and record, peak memory, hash of the weights')
  .action(benchGeneratorPhase);

benchmark('generate', 256)
  .option('--count <n>', 'images', whole, 200)
  .option('--batch <n>', 'images per pass', whole, 8)
  .addOption(new Option('--against <framework>', 'measure another one in turn').choices(['torch']))
  .description('images per second: seeds to PNG files in a shard, and the network alone')
  .action(benchGenerate);

classifierBenchmark('classifier-step')
  .addOption(new Option('--augmentation <preset>', 'alter the images as this preset does').choices(['nakata', 'sound']))
  .description('one optimiser step of InceptionResNetV2, from bytes to moved weights')
  .action(benchClassifierStep);

classifierBenchmark('classifier-predict')
  .description('probabilities of one batch, as the filter and the evaluation ask for them')
  .action(benchClassifierPredict);

onImages('feature-cache')
  .option('--blocks <counts>', 'repeats of block35, block17 and block8', repeatsOfBlocks, [2, 2, 2])
  .option('--epochs <n>', 'measured but for the first', whole, 6)
  .option('--views <n>', 'cached per image', whole, 2)
  .addOption(
    new Option('--freeze <layers>', 'all but the head, or those of the reference recipe')
      .choices(['trunk', 'nakata'])
      .default('trunk'),
  )
  .description('epochs on frozen layers, from fresh images and from cached features')
  .action(benchFeatureCache);

onImages('classifier-seeds')
  .option('--blocks <counts>', 'repeats of block35, block17 and block8', repeatsOfBlocks, [2, 4, 2])
  .option('--epochs <n>', 'at most', whole, 30)
  .option('--seeds <n>', 'trainings of each arm', whole, 5)
  .option('--phantoms <n>', 'simulated images per class for the pretraining', whole, 400)
  .description('validation AUC of the sound recipe over seeds: from random weights, pretrained, with a frozen trunk')
  .action(benchClassifierSeeds);

benchmark('generator-arms', 64)
  .requiredOption('--images <dir>', 'with a folder of images per class')
  .requiredOption('--out <dir>', 'for arms.json, grids of fakes, and the fakes most like a training image beside it')
  .option('--negative <folder>', 'class', 'benign')
  .option('--positive <folder>', 'class', 'malignant')
  .addOption(new Option('--side <side>', 'class that is trained').choices(['negative', 'positive']).default('positive'))
  .option('--arms <names>', `some of ${armNames.join(', ')}`, listOfArms, ['none', 'ada', 'diffaugment'])
  .option('--batch <n>', 'images per minibatch', whole, 16)
  .option('--kimg <n>', 'thousands of images shown in each training', whole, 20)
  .option('--snapshots <n>', 'after the untrained one', whole, 5)
  .option('--seeds <n>', 'trainings of each arm', whole, 1)
  .option('--first-seed <n>', 'of the first of them', whole, 1)
  .option('--fakes <n>', 'per measurement', whole, 500)
  .option('--ada-kimg <n>', 'thousands of images in which p can go from 0 to 1', whole, 20)
  .description('one generator trained under several recipes or precisions for equally many images')
  .action(benchGeneratorArms);

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

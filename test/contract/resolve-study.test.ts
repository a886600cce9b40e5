import { describe, expect, it } from 'vitest';
import { identityOf, resolveStudyFile, StudyFileError } from '../../contract/resolve-study.ts';

const minimal = {
  studyId: 'busi-256',
  dataset: { name: 'busi' },
  classes: { negative: 'benign', positive: 'malignant' },
};

function problemsOf(file: unknown): readonly { path: string; message: string }[] {
  try {
    resolveStudyFile(file);
  } catch (error) {
    if (error instanceof StudyFileError) return error.problems;
    throw error;
  }
  return [];
}

describe('resolveStudyFile', () => {
  it('fills every default of a minimal file', () => {
    const study = resolveStudyFile(minimal);
    expect(study.preset).toBe('sound');
    expect(study.generator.totalKimg).toBe(25_000);
    expect(study.synthesis).toMatchObject({ imagesPerClass: 25_000, psi: 1.6 });
    expect(study.split.unit).toBe('group');
  });

  it('lays the file over the preset over the defaults', () => {
    const study = resolveStudyFile({ ...minimal, preset: 'demo', generator: { totalKimg: 1 } });
    expect(study.generator.totalKimg).toBe(1);
    expect(study.image.resolution).toBe(32);
    expect(study.generator.mixingProb).toBe(0.9);
  });

  it('refuses the nakata preset without pretrained weights unless an untrained trunk is allowed', () => {
    expect(problemsOf({ ...minimal, preset: 'nakata' })[0]?.path).toBe('classifier.freeze');
    const study = resolveStudyFile({ ...minimal, preset: 'nakata', classifier: { allowRandomTrunk: true } });
    expect(study.generator).toMatchObject({ r1Gamma: 100, emaRampup: null });
    expect(study.split.unit).toBe('image');
  });

  it('trains a pretrained trunk in two phases, and refuses them where the recipe freezes by itself', () => {
    const weights = 'weights/x.h5';
    expect(resolveStudyFile({ ...minimal, classifier: { weights } }).classifier).toMatchObject({
      ...{ headEpochs: 5, learningRate: 0.001, fineTuneLayers: 'top', fineTuneLearningRate: 0.0001 },
    });
    const nakata = { ...minimal, preset: 'nakata' };
    expect(resolveStudyFile({ ...nakata, classifier: { weights } }).classifier.headEpochs).toBe(0);
    const [problem] = problemsOf({ ...nakata, classifier: { weights, headEpochs: 3 } });
    expect(problem).toMatchObject({ path: 'classifier.headEpochs' });
    expect(problem?.message).toContain('expected 0 with freeze "nakata", found 3');
  });

  it('has no field of the feature cache unless it is asked for, and takes it only where all below the cut is frozen', () => {
    const weights = 'weights/x.h5';
    expect(resolveStudyFile(minimal).classifier).not.toHaveProperty('featureCache');
    expect(resolveStudyFile({ ...minimal, classifier: { weights, featureCache: 2 } }).classifier.featureCache).toBe(2);
    const refused = (classifier: object): string => problemsOf({ ...minimal, classifier })[0]?.message ?? '';
    const recipe = { weights, headEpochs: 0, freeze: 'nakata', bn: 'frozen', featureCache: 2 };
    expect(resolveStudyFile({ ...minimal, classifier: recipe }).classifier.featureCache).toBe(2);
    const other = [
      { featureCache: 2 },
      ...[{ weights: null, allowRandomTrunk: true }, { freeze: 'none' }, { bn: 'batch' }].map((field) => ({
        ...recipe,
        ...field,
      })),
    ];
    for (const classifier of other)
      expect(refused(classifier)).toMatch(/frozen: expected `weights` with `headEpochs` above 0, or .*`bn: frozen`/);
    const mirrorOnly = { weights, shift: 0, zoom: 0, brightness: 0, contrast: 0 };
    expect(refused({ ...mirrorOnly, featureCache: 3 })).toContain('expected at most 2, found 3');
    expect(refused({ ...mirrorOnly, mirror: false, featureCache: 2 })).toContain('expected at most 1, found 2');
  });

  it('takes config-e by default, skip generator and resnet discriminator', () => {
    const { generator } = resolveStudyFile(minimal);
    expect(generator).toMatchObject({ config: 'e', fmapBase: 8192, gArchitecture: 'skip', dArchitecture: 'resnet' });
  });

  it('doubles the feature maps in config f, and takes its R1 weight where the preset has that of config e', () => {
    const nakata = { ...minimal, preset: 'nakata', classifier: { allowRandomTrunk: true } };
    const f = { config: 'f' };
    expect(resolveStudyFile({ ...minimal, generator: f }).generator).toMatchObject({ fmapBase: 16_384, r1Gamma: null });
    expect(resolveStudyFile({ ...nakata, generator: f }).generator).toMatchObject({ fmapBase: 16_384, r1Gamma: 10 });
    const own = resolveStudyFile({ ...nakata, generator: { ...f, fmapBase: 4096, r1Gamma: 50 } });
    expect(own.generator).toMatchObject({ fmapBase: 4096, r1Gamma: 50 });
  });

  it.each(['a', 'b', 'c', 'd'])('refuses config %s by name: it grows progressively', (config) => {
    const [problem, ...others] = problemsOf({ ...minimal, generator: { config } });
    expect(others).toEqual([]);
    expect(problem?.path).toBe('generator.config');
    expect(problem?.message).toContain(`config-${config} grows its networks progressively`);
  });

  it('trains five of each classifier by default, and one in nakata and demo', () => {
    const repeats = (file: object): number => resolveStudyFile({ ...minimal, ...file }).repeats;
    expect(repeats({})).toBe(5);
    expect(repeats({ preset: 'demo' })).toBe(1);
    expect(repeats({ preset: 'nakata', classifier: { allowRandomTrunk: true } })).toBe(1);
    expect(repeats({ preset: 'demo', repeats: 3 })).toBe(3);
  });

  it('refuses an ensemble of one by name, and has nothing of an ensemble in the filter of one classifier', () => {
    const ensemble = { ...minimal, filter: { rule: 'ensemble', ensembleRule: 'threshold' } };
    expect(resolveStudyFile(ensemble).filter).toMatchObject({ rule: 'ensemble', ensembleRule: 'threshold' });
    const [problem, ...others] = problemsOf({ ...ensemble, repeats: 1 });
    expect(others).toEqual([]);
    expect(problem?.path).toBe('filter.rule');
    expect(problem?.message).toContain(
      '"ensemble" takes the mean of several classifiers: expected repeats of 2 or more',
    );
    for (const rule of ['argmax', 'threshold', 'quantile', 'entropy'])
      expect(resolveStudyFile({ ...minimal, filter: { rule } }).filter).not.toHaveProperty('ensembleRule');
  });

  it('keeps operational fields out of the identity of a study', () => {
    const a = identityOf(resolveStudyFile({ ...minimal, owner: 'a', reuse: false, gates: ['snapshot'] }));
    const b = identityOf(resolveStudyFile({ ...minimal, studyId: 'other', queues: { synthesize: 'gpu-b' } }));
    expect(a).toEqual(b);
  });

  it('gives a generator without augmentation none of its fields: its identity is from before there were any', () => {
    const plain = resolveStudyFile(minimal);
    expect(Object.keys(plain.generator).filter((key) => /^(augment|ada|diffAugment)/.test(key))).toEqual([]);
    expect(resolveStudyFile({ ...minimal, generator: { augment: 'none' } })).toEqual(plain);
    const presets = ['sound', 'nakata', 'demo'].map((preset) => ({
      ...minimal,
      preset,
      classifier: { freeze: 'none' },
    }));
    for (const file of presets) expect('augment' in resolveStudyFile(file).generator).toBe(false);
  });
  it('says where validation images come from only in a study that trains on them, as nakata does', () => {
    expect(resolveStudyFile(minimal).split).toEqual({ unit: 'group', validation: 0.15, test: 0.2 });
    const nakata = { ...minimal, preset: 'nakata', classifier: { allowRandomTrunk: true } };
    expect(resolveStudyFile(nakata).split).toMatchObject({ validation: 0.1, test: 0.4, validationFrom: 'training' });
    const heldOut = resolveStudyFile({ ...nakata, split: { validationFrom: 'held-out' } });
    expect(heldOut.split).toEqual({ unit: 'image', validation: 0.1, test: 0.4 });
    // Half of the training images is never too much; half of all images beside a large test set is.
    const split = { validation: 0.5, test: 0.6 };
    expect(problemsOf({ ...minimal, split })[0]?.path).toBe('split');
    expect(resolveStudyFile({ ...minimal, split: { ...split, validationFrom: 'training' } }).split.test).toBe(0.6);
  });

  it('says of histograms only where they are asked for', () => {
    for (const augment of ['none', 'ada'])
      expect('histograms' in resolveStudyFile({ ...minimal, generator: { augment } }).generator).toBe(false);
    const asked = resolveStudyFile({ ...minimal, generator: { histograms: true } });
    const plain = resolveStudyFile(minimal);
    expect(asked).toEqual({ ...plain, generator: { ...plain.generator, histograms: true } });
  });
  it('keeps the settings of augmentation that a file asks for', () => {
    const { generator } = resolveStudyFile({ ...minimal, generator: { augment: 'ada', adaTarget: 0.5 } });
    expect(generator).toMatchObject({ augment: 'ada', adaTarget: 0.5, augmentPipe: null, augmentP: null });
    const file = { ...minimal, generator: { augment: 'diffaugment', diffAugmentPolicy: ['cutout'] } };
    expect(resolveStudyFile(file).generator).toMatchObject({ augment: 'diffaugment', diffAugmentPolicy: ['cutout'] });
  });

  it('takes weights to start from by a name that holds their hash, and is the study of before without any', () => {
    const plain = resolveStudyFile(minimal);
    expect(resolveStudyFile({ ...minimal, generator: { resumeFrom: null, freezeD: 0 } })).toEqual(plain);
    expect(Object.keys(plain.generator).filter((key) => /^(resumeFrom|freezeD)$/.test(key))).toEqual([]);
    const hash = 'a'.repeat(64);
    const names = [hash, `studies/s-1/training/generator/benign/files/${hash}`, `weights/${hash}/ffhq.safetensors`];
    for (const resumeFrom of names)
      expect(resolveStudyFile({ ...minimal, generator: { resumeFrom, freezeD: 6 } }).generator).toMatchObject({
        ...{ resumeFrom, freezeD: 6 },
      });
    const [bad] = problemsOf({ ...minimal, generator: { resumeFrom: 'snapshots/best' } });
    expect(bad?.message).toMatch(/expected the sha256 of a snapshot, studies.* found "snapshots\/best"; echoforge/);
    const [tooMany] = problemsOf({ ...minimal, generator: { resumeFrom: hash, freezeD: 7 } });
    expect(tooMany?.message).toContain('at most the 6 blocks of D above 4 px at 256 px, found 7');
  });

  it('takes a sweep of the R1 weight, and is the study of before without one', () => {
    const plain = resolveStudyFile(minimal);
    expect(Object.keys(plain.generator).filter((key) => key.startsWith('gammaSweep'))).toEqual([]);
    const sweep = { gammaSweep: [0.5, 2], gammaSweepKimg: 100 };
    expect(resolveStudyFile({ ...minimal, generator: sweep }).generator).toMatchObject(sweep);
    const messages = (generator: object): string =>
      problemsOf({ ...minimal, generator })
        .map(({ path, message }) => `${path}: ${message}`)
        .join('\n');
    expect(messages({ ...sweep, r1Gamma: 10 })).toBe(
      'generator.gammaSweep: chooses r1Gamma, which is 10; set r1Gamma to null',
    );
    expect(messages({ gammaSweep: [2, 2], gammaSweepKimg: 1 })).toMatch(
      /gammaSweep: expected each gamma once, found 2, 2/,
    );
    expect(messages({ gammaSweep: [1, 2] })).toMatch(/gammaSweepKimg: expected from one minibatch of 32 .* found none/);
    expect(messages({ ...sweep, totalKimg: 100 })).toMatch(/to less than totalKimg 100, found 100/);
    expect(messages({ gammaSweepKimg: 1 })).toMatch(/gammaSweepKimg: belongs to gammaSweep/);
  });

  it('takes one network for both classes, and is the study of before without', () => {
    expect('conditional' in resolveStudyFile({ ...minimal, generator: { conditional: false } }).generator).toBe(false);
    expect(resolveStudyFile({ ...minimal, generator: { conditional: true } }).generator.conditional).toBe(true);
    const queues = { trainGenerator: { negative: 'gpu-a', positive: 'gpu-b' } };
    const generator = { conditional: true, gammaSweep: [1, 2], gammaSweepKimg: 1 };
    expect(problemsOf({ ...minimal, generator, queues }).map(({ path, message }) => `${path}: ${message}`)).toEqual([
      'generator.conditional: gammaSweep chooses r1Gamma per class; give r1Gamma, or train one network per class',
      'generator.conditional: one training needs one queue, found one per class in queues.trainGenerator',
    ]);
  });

  it('says of a refused value what was expected, what was found, and what to do', () => {
    const messages = (over: object): string[] =>
      problemsOf({ ...minimal, ...over }).map(({ path, message }) => `${path}: ${message}`);
    expect(messages({ image: { resolution: 100, channels: 4 } })).toEqual([
      'image.resolution: expected a power of two from 8 to 1024, found 100; take 64 or 128',
      'image.channels: expected 1 (grey) or 3 (RGB), found 4',
    ]);
    expect(messages({ generator: { batchSize: 30 } })).toEqual([
      'generator.batchSize: expected a multiple of the stddev group, 4, found 30; take 28 or 32',
    ]);
    expect(messages({ generator: { microBatchSize: 6 } })).toEqual([
      'generator.microBatchSize: expected a multiple of the stddev group, 4, found 6; take 4 or 8',
    ]);
    expect(messages({ generator: { microBatchSize: 12 } })).toEqual([
      'generator.microBatchSize: expected a multiple of 4 that divides batchSize 32, found 12; set microBatchSize, or another batchSize',
    ]);
    expect(messages({ seed: 2 ** 31 })).toEqual([
      'seed: Too big: expected number to be <=2147483647, found 2147483648',
    ]);
    expect(messages({ filter: { maxCandidates: 2 ** 31 } }).join()).toContain('2147483647, found 2147483648');
    const [long = ''] = messages({ owner: 'a'.repeat(300) });
    expect(long).toMatch(/^owner: Too big: .*, found "a{99}\.\.\.$/);
  });

  const refused: Record<string, [unknown, string]> = {
    'a sweep of one gamma': [{ ...minimal, generator: { gammaSweep: [1], gammaSweepKimg: 1 } }, 'generator.gammaSweep'],
    'frozen blocks of a random D': [{ ...minimal, generator: { freezeD: 1 } }, 'generator.freezeD'],
    null: [null, ''],
    'an array': [[minimal], ''],
    'a string': ['{"studyId": 1}', ''],
    'no studyId': [{ ...minimal, studyId: undefined }, 'studyId'],
    'a studyId with a slash': [{ ...minimal, studyId: 'a/b' }, 'studyId'],
    'an upper-case studyId': [{ ...minimal, studyId: 'Busi' }, 'studyId'],
    'no dataset': [{ studyId: 'a', classes: minimal.classes }, 'dataset'],
    'no classes': [{ studyId: 'a', dataset: minimal.dataset }, 'classes'],
    'equal classes': [{ ...minimal, classes: { negative: 'x', positive: 'x' } }, 'classes'],
    'a class folder with a path': [{ ...minimal, classes: { negative: '../x', positive: 'y' } }, 'classes.negative'],
    'a class that is also ignored': [{ ...minimal, ignore: ['benign'] }, 'ignore'],
    'an unknown preset': [{ ...minimal, preset: 'fast' }, 'preset'],
    'a preset that is a property of objects': [{ ...minimal, preset: 'constructor' }, 'preset'],
    'an unknown key': [{ ...minimal, kimg: 3 }, ''],
    'an unknown nested key': [{ ...minimal, generator: { kimg: 3 } }, 'generator'],
    'a resolution that is no power of two': [{ ...minimal, image: { resolution: 100 } }, 'image.resolution'],
    'a resolution above the bound': [{ ...minimal, image: { resolution: 2048 } }, 'image.resolution'],
    'two channels': [{ ...minimal, image: { channels: 2 } }, 'image.channels'],
    'a batch that is no multiple of the group': [{ ...minimal, generator: { batchSize: 6 } }, 'generator.batchSize'],
    'a micro-batch that does not divide the batch': [
      { ...minimal, generator: { batchSize: 32, microBatchSize: 12 } },
      'generator.microBatchSize',
    ],
    'an unknown configuration': [{ ...minimal, generator: { config: 'g' } }, 'generator.config'],
    'an unknown architecture of G': [{ ...minimal, generator: { gArchitecture: 'unet' } }, 'generator.gArchitecture'],
    'an unknown architecture of D': [{ ...minimal, generator: { dArchitecture: 'unet' } }, 'generator.dArchitecture'],
    'an unknown augmentation': [{ ...minimal, generator: { augment: 'apa' } }, 'generator.augment'],
    'a pipe without augmentation': [{ ...minimal, generator: { augmentPipe: 'bgc' } }, 'generator.augmentPipe'],
    'a target with diffaugment': [
      { ...minimal, generator: { augment: 'diffaugment', adaTarget: 0.6 } },
      'generator.adaTarget',
    ],
    'a policy with ada': [
      { ...minimal, generator: { augment: 'ada', diffAugmentPolicy: ['cutout'] } },
      'generator.diffAugmentPolicy',
    ],
    'a policy that names a change twice': [
      { ...minimal, generator: { augment: 'diffaugment', diffAugmentPolicy: ['cutout', 'cutout'] } },
      'generator.diffAugmentPolicy',
    ],
    'a p that is fixed and adapted': [
      { ...minimal, generator: { augment: 'ada', augmentP: 0.2, adaKimg: 100 } },
      'generator.adaKimg',
    ],
    'a p above 1': [{ ...minimal, generator: { augment: 'ada', augmentP: 1.2 } }, 'generator.augmentP'],
    'a budget below one minibatch': [{ ...minimal, generator: { totalKimg: 0.01 } }, 'generator.totalKimg'],
    'a budget in words': [{ ...minimal, generator: { totalKimg: '10' } }, 'generator.totalKimg'],
    'segments that cut a snapshot interval': [
      { ...minimal, generator: { segmentTicks: 15 } },
      'generator.segmentTicks',
    ],
    'a shard that is no multiple of the synthesis batch': [
      { ...minimal, synthesis: { shardImages: 500 } },
      'synthesis.shardImages',
    ],
    'the rule of an ensemble without one': [{ ...minimal, filter: { ensembleRule: 'entropy' } }, 'filter.ensembleRule'],
    'an ensemble of ensembles': [
      { ...minimal, filter: { rule: 'ensemble', ensembleRule: 'ensemble' } },
      'filter.ensembleRule',
    ],
    'no classifier at all': [{ ...minimal, repeats: 0 }, 'repeats'],
    'fewer candidates than images': [{ ...minimal, filter: { maxCandidates: 10 } }, 'filter.maxCandidates'],
    'keeping more than there are candidates': [{ ...minimal, filter: { keepPerClass: 30_000 } }, 'filter.keepPerClass'],
    'splits that leave nothing to train on': [{ ...minimal, split: { validation: 0.4, test: 0.6 } }, 'split'],
    'a classifier input below its network': [{ ...minimal, classifier: { inputSize: 64 } }, 'classifier.inputSize'],
    'a classifier input below the resolution': [{ ...minimal, classifier: { inputSize: 128 } }, 'classifier.inputSize'],
    'two block counts': [{ ...minimal, classifier: { blocks: [1, 2] } }, 'classifier.blocks'],
    'a margin of one half': [{ ...minimal, evaluation: { margin: 0.5 } }, 'evaluation.margin'],
    'a queue that is not one': [{ ...minimal, queues: { synthesize: 'control' } }, 'queues.synthesize'],
    'an unknown gate': [{ ...minimal, gates: ['lunch'] }, 'gates.0'],
    'a negative seed': [{ ...minimal, seed: -1 }, 'seed'],
    'a fractional seed': [{ ...minimal, seed: 1.5 }, 'seed'],
    'a psi that is no number': [{ ...minimal, synthesis: { psi: null } }, 'synthesis.psi'],
  };
  it.each(Object.entries(refused))('refuses %s and names the field', (_name, [file, path]) => {
    const problems = problemsOf(file);
    expect(problems.map((problem) => problem.path)).toContain(path);
    expect(problems.every(({ message }) => message.length > 5)).toBe(true);
  });
});

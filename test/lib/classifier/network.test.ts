import { describe, expect, it } from 'vitest';
import type { Layers } from '../../../lib/classifier/layers.ts';
import { convolutions, type Architecture } from '../../../lib/classifier/network.ts';
import type { Frozen } from '../../../lib/classifier/phases.ts';
import { planNetwork, sizeOf, trainableNames } from '../../../lib/classifier/shape-layers.ts';

const published: Architecture = { width: 1, blocks: [10, 20, 9], headUnits: 0, classes: 1000 };
const study: Architecture = { ...published, headUnits: 1024, classes: 2 };
const small: Architecture = { width: 0.125, blocks: [1, 1, 1], headUnits: 64, classes: 2 };

const prefixes = (names: readonly string[]): number => new Set(names.map((name) => name.split('/')[0])).size;

describe('planNetwork', () => {
  // Keras 2.3.1 and 3.15, `model.count_params()`.
  it('counts the parameters that Keras counts with 1000 classes', () => {
    expect(planNetwork(published, 299).parameters).toBe(55_873_736);
  });

  it("counts the parameters that Keras counts with the study's head", () => {
    expect(planNetwork(study, 256).parameters).toBe(55_912_674);
  });

  it('has the 898 tensors in 449 layers of the published network, 60,544 of their values moving statistics', () => {
    const { variables } = planNetwork(published, 299);
    expect(variables).toHaveLength(898);
    expect(prefixes(variables.map(({ name }) => name))).toBe(449);
    const statistics = variables.filter(({ statistic }) => statistic);
    expect(statistics.reduce((sum, { shape }) => sum + sizeOf(shape), 0)).toBe(60_544);
  });

  it('numbers 203 unnamed convolutions and names the other 41', () => {
    const kernels = planNetwork(published, 299).variables.filter(
      ({ name, shape }) => name.endsWith('/kernel') && shape.length === 4,
    );
    expect(kernels).toHaveLength(244);
    expect(kernels.filter(({ name }) => name.startsWith('conv2d_')).at(-1)?.name).toBe('conv2d_203/kernel');
    expect(kernels.filter(({ name }) => name.endsWith('_conv/kernel'))).toHaveLength(40);
    expect(kernels.at(-1)).toMatchObject({ name: 'conv_7b/kernel', shape: [1, 1, 2080, 1536] });
  });

  it.each([
    { inputSize: 299, sides: [35, 17, 8] },
    { inputSize: 256, sides: [29, 14, 6] },
    { inputSize: 75, sides: [7, 3, 1] },
  ])('reduces $inputSize px to stages of $sides px', ({ inputSize, sides }) => {
    const { outputs, features } = planNetwork(study, inputSize);
    const [side35 = 0, side17 = 0, side8 = 0] = sides;
    expect(outputs.get('block35_10_conv')).toEqual([side35, side35, 320]);
    expect(outputs.get('block17_20_conv')).toEqual([side17, side17, 1088]);
    expect(outputs.get('block8_10_conv')).toEqual([side8, side8, 2080]);
    expect(outputs.get('conv_7b')).toEqual([side8, side8, 1536]);
    expect(features).toBe(1536);
  });

  it('scales every filter count of the trunk by the width and keeps at least 4', () => {
    const { outputs, features } = planNetwork(small, 96);
    expect(outputs.get('conv2d_1')).toEqual([47, 47, 4]);
    expect(outputs.get('block35_1_conv')).toEqual([9, 9, 40]);
    expect(outputs.get('block8_2_conv')).toEqual([1, 1, 260]);
    expect(features).toBe(192);
    expect(planNetwork({ ...small, width: 0.01 }, 96).outputs.get('conv2d_1')).toEqual([47, 47, 4]);
  });

  it('refuses images too small for the network, naming the smallest size', () => {
    expect(() => planNetwork(published, 74)).toThrow(/at least 75 x 75 px/);
  });
});

describe('the published network, layer by layer', () => {
  /** Layers that only count themselves; an activation is its [H, W, C]. */
  const count = (): Record<string, number> => {
    const counts: Record<string, number> = {};
    const add = (...kinds: string[]): void => {
      for (const kind of kinds) counts[kind] = (counts[kind] ?? 0) + 1;
    };
    const layers: Layers<number> = {
      channels: (x) => x,
      conv2d: (_, { filters }) => (add('convolution'), filters),
      batchNormRelu: (x) => (add('normalisation', 'activation'), x),
      maxPool: (x) => (add('maxPool'), x),
      avgPool: (x) => (add('avgPool'), x),
      concat: (xs) => (add('concatenation'), xs.reduce((sum, x) => sum + x, 0)),
      residual: (x, _, { relu }) => (add('scaledSum', ...(relu ? ['activation'] : [])), x),
      globalAveragePool: (x) => x,
      dense: (_, { units }) => units,
      dropout: (x) => x,
    };
    convolutions(layers, published, 3);
    return counts;
  };

  it('has the layers of Keras 2.3.1, 780 with the input', () => {
    const counts = count();
    expect(counts).toEqual({
      convolution: 244,
      normalisation: 204,
      activation: 243,
      concatenation: 43,
      scaledSum: 40,
      maxPool: 4,
      avgPool: 1,
    });
    expect(Object.values(counts).reduce((sum, n) => sum + n, 1)).toBe(780);
  });

  it.each([
    { stage: 'stem', first: 'conv2d_1', parameters: 173_072 },
    { stage: 'mixed_5b', first: 'conv2d_6', parameters: 268_848 },
    { stage: 'each block35', first: 'conv2d_13', parameters: 123_408, times: 10 },
    { stage: 'mixed_6a', first: 'conv2d_73', parameters: 2_666_240 },
    { stage: 'each block17', first: 'conv2d_77', parameters: 1_127_456, times: 20 },
    { stage: 'mixed_7a', first: 'conv2d_157', parameters: 3_883_008 },
    { stage: 'each block8', first: 'conv2d_164', parameters: 2_036_288, times: 10 },
    { stage: 'conv_7b', first: 'conv_7b', parameters: 3_199_488 },
    { stage: 'predictions', first: 'predictions', parameters: 1_537_000 },
  ])('has $parameters parameters in $stage', ({ first, parameters, times = 1 }) => {
    const { variables } = planNetwork(published, 299);
    const starts = ['conv2d_1', 'conv2d_6', 'conv2d_13', 'conv2d_73', 'conv2d_77', 'conv2d_157', 'conv2d_164'];
    const bounds = [...starts, 'conv_7b', 'predictions'].map((layer) =>
      variables.findIndex(({ name }) => name === `${layer}/kernel`),
    );
    const begin = variables.findIndex(({ name }) => name === `${first}/kernel`);
    const stage = variables.slice(
      begin,
      bounds.find((bound) => bound > begin),
    );
    expect(stage.reduce((sum, { shape }) => sum + sizeOf(shape), 0)).toBe(times * parameters);
  });
});

describe('trainableNames', () => {
  const trained = (freeze: Frozen, bn: 'batch' | 'frozen' = 'batch'): number => {
    const plan = planNetwork(study, 256);
    const names = new Set(trainableNames(plan, { freeze, bn, blocks: study.blocks }));
    return plan.variables.filter(({ name }) => names.has(name)).reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  };

  it('trains the 5,735,010 parameters of the reference recipe when frozen', () => {
    expect(trained('nakata')).toBe(5_735_010);
  });

  it('trains everything but the moving statistics otherwise', () => {
    expect(trained('none')).toBe(55_912_674 - 60_544);
  });

  it('keeps all 30,272 shifts when the normalisation is frozen', () => {
    expect(trained('nakata', 'frozen')).toBe(5_735_010 - 30_272);
    expect(trained('none', 'frozen')).toBe(55_912_674 - 60_544 - 30_272);
  });

  it('trains the head alone, or what works on the smallest maps, in the phases of a pretrained trunk', () => {
    const head = 1536 * 1024 + 1024 + 1024 * 2 + 2;
    expect(trained('trunk', 'frozen')).toBe(head);
    // mixed_7a, ten block8 and conv_7b without their shifts and statistics: three values per filter of a normalisation.
    const filters = 256 + 384 + 256 + 288 + 256 + 288 + 320 + 10 * (192 + 192 + 224 + 256) + 1536;
    const top = 3_883_008 + 10 * 2_036_288 + 3_199_488 - 3 * filters;
    expect(trained('belowTop', 'frozen')).toBe(head + top);
  });
});

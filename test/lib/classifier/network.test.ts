import { describe, expect, it } from 'vitest';
import type { Architecture } from '../../../lib/classifier/network.ts';
import { lastBlock } from '../../../lib/classifier/network.ts';
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

describe('trainableNames', () => {
  const trained = (freeze: 'none' | 'nakata'): number => {
    const plan = planNetwork(study, 256);
    const names = new Set(trainableNames(plan, { freeze, lastBlock: lastBlock(study) }));
    return plan.variables.filter(({ name }) => names.has(name)).reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  };

  it('trains the 5,735,010 parameters of the reference recipe when frozen', () => {
    expect(trained('nakata')).toBe(5_735_010);
  });

  it('trains everything but the moving statistics otherwise', () => {
    expect(trained('none')).toBe(55_912_674 - 60_544);
  });
});

import { describe, expect, it } from 'vitest';
import { parseNumberList, parseToolInput, ToolInputError } from '../../contract/tools.ts';

const target = { study: 'busi-64', class: 'benign' };

describe('parseNumberList', () => {
  it('reads lists and ranges in the order written, each number once', () => {
    expect(parseNumberList('3,1-2, 7 - 9,2', 100)).toEqual([3, 1, 2, 7, 8, 9]);
    expect(parseNumberList('0', 1)).toEqual([0]);
  });

  it.each(['', 'a', '1-', '-1', '5-3', '1,,2', '1.5', '1-2-3', '1 2'])('refuses %j', (text) => {
    expect(parseNumberList(text, 100)).toBeNull();
  });

  it('refuses more numbers than asked for, without counting them all', () => {
    expect(parseNumberList('1-4', 3)).toBeNull();
    expect(parseNumberList('0-9999999999', 10_000)).toBeNull();
  });
});

describe('parseToolInput', () => {
  it('fills in the defaults', () => {
    expect(parseToolInput('generateImages', { ...target, seeds: '1-3' })).toEqual({
      ...{ ...target, nimg: null, seeds: [1, 2, 3], psi: null, noise: 'seed' },
    });
  });

  it('names every refused field, what was expected and what was found', () => {
    const refuse = (): unknown =>
      parseToolInput('generateImages', { ...target, study: '../x', seeds: '5-3', psi: 9, noise: 'loud', sed: 1 });
    expect(refuse).toThrow(ToolInputError);
    for (const text of [
      /study: expected the studyId/,
      /seeds: .*found "5-3"/,
      /psi: .*<=4, found 9/,
      /noise: .*none.*, found "loud"/,
      /sed/,
    ])
      expect(refuse).toThrow(text);
  });

  it('takes image counts of snapshots as a list, null for all', () => {
    const parse = (over: object): unknown => parseToolInput('measureSnapshots', { ...target, ...over });
    expect(parse({})).toEqual({ ...target, snapshots: null, fakes: null, psi: 1 });
    expect(parse({ snapshots: '0,25000000' })).toMatchObject({ snapshots: [0, 25_000_000] });
    expect(() => parse({ snapshots: 'all' })).toThrow(/snapshots: expected image counts .*found "all"/);
    expect(() => parse({ fakes: 5 })).toThrow(/fakes/);
  });

  it('sweeps each psi once: it names a column and its files', () => {
    const sweep = (psi: number[]): unknown => parseToolInput('truncationSweep', { ...target, seeds: '1', psi });
    expect(sweep([1, 0.5, 1])).toMatchObject({ psi: [1, 0.5] });
    expect(() => sweep([])).toThrow(/psi/);
  });

  it('projects one image, of the study or of the bucket', () => {
    const parse = (over: object): unknown => parseToolInput('projectImage', { ...target, ...over });
    expect(parse({ image: 'benign/1.png' })).toMatchObject({ image: 'benign/1.png', object: null, steps: 1000 });
    for (const over of [{}, { image: 'a', object: 'b' }]) expect(() => parse(over)).toThrow(/image: expected either/);
    expect(() => parse({ image: 'a', steps: 19 })).toThrow(/steps/);
  });

  it.each([undefined, null, 'x', 3, []])('refuses %j as input', (input) => {
    expect(() => parseToolInput('generateImages', input)).toThrow(ToolInputError);
  });

  it('refuses a seed that belongs to the metrics', () => {
    expect(() => parseToolInput('generateImages', { ...target, seeds: '2147483648' })).toThrow(/at most 2147483647/);
  });
});

import { describe, expect, it } from 'vitest';
import { classifierConfig, type ClassifierOptions } from '../../bench/classifier-config.ts';
import { classifierText, measureInTurn, ourselves, requireSame } from '../../bench/classifier-report.ts';

const options: ClassifierOptions = {
  ...{ size: 75, batch: 4, width: 0.1, blocks: [1, 1, 1], headUnits: 8, repeats: 3, allowBusy: true },
  ...{ precision: 'fp32', execution: 'function', freeze: 'nakata' },
};

describe('a benchmark of the classifier', () => {
  it('leaves nothing to chance, so that another framework computes the same', () => {
    const { mirror, shift, zoom, brightness, contrast, dropout, freeze } = classifierConfig(options);
    expect([mirror, shift, zoom, brightness, contrast, dropout]).toEqual([false, 0, 0, 0, 0, 0]);
    expect(freeze).toBe('nakata');
  });
  it('alters images as a preset does where asked for, but not beside a framework that does not', () => {
    const changes = (augmentation: 'nakata' | 'sound') => {
      const { mirror, shift, zoom, brightness, contrast } = classifierConfig({ ...options, augmentation });
      return [mirror, shift, zoom, brightness, contrast];
    };
    expect(changes('sound')).toEqual([true, 0.1, 0.1, 0.1, 0.1]);
    expect(changes('nakata')).toEqual([true, 0.1, 0, 0, 0]);
    expect(() => classifierConfig({ ...options, augmentation: 'sound', against: 'keras' })).toThrow('not both');
  });
  it('refuses figures of another mathematics', () => {
    expect(() => requireSame('loss', { ours: 1.0005, keras: 1 }, options)).not.toThrow();
    expect(() => requireSame('loss', { ours: 1.01, keras: 1 }, options)).toThrow('not the same mathematics');
    expect(() => requireSame('loss', { ours: Number.NaN, keras: 1 }, options)).toThrow('not the same mathematics');
    expect(() => requireSame('loss', { ours: 1.05, keras: 1 }, { ...options, precision: 'bf16' })).not.toThrow();
  });
  it('measures as often as asked after one burn-in, and gives images per second of the median', async () => {
    let runs = 0;
    const us = ourselves(() => (runs += 1), 7);
    const measured = await measureInTurn([us], options);
    const [ours, ...others] = measured.sides;
    expect([runs, ours?.ms.runs, ours?.firstMs, others.length, measured.ratio]).toEqual([4, 3, 7, 0, null]);
    const [fast, slow] = [40, 80].map((ms) => ({ ...us, pid: 1, run: () => Promise.resolve(ms) }));
    const { ratio, sides } = await measureInTurn([{ ...us, run: () => Promise.resolve(20) }, slow!, fast!], options);
    expect([ratio, sides[1]?.ms.median]).toEqual([0.5, 80]);
    expect(ours?.imagesPerSecond).toBeCloseTo(4000 / ours!.ms.median, 9);
    expect(ours?.peakRssBytes).toBeGreaterThan(1e6);
    expect(measured.imagesMs).toBeNull();
    let made = 0;
    const busy = (ms: number) => {
      for (const end = performance.now() + ms; performance.now() < end;);
    };
    const { imagesMs } = await measureInTurn([us], options, () => {
      made++;
      busy(5);
    });
    expect([made, imagesMs?.runs]).toEqual([4, 3]);
    expect(imagesMs?.low).toBeGreaterThanOrEqual(5);
    const share = { ...measured, imagesMs: { ...ours!.ms, median: ours!.ms.median / 4 } };
    expect(classifierText({ ...share, check: null, execution: 'function', tensorsAlive: 1 })).toContain(
      '25.0% of our step',
    );
    const text = classifierText({ ...measured, busy: true, check: null, execution: 'function', tensorsAlive: 1 });
    expect(text).toContain('NOT A MEASUREMENT');
  });
});

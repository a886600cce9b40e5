import { describe, expect, it } from 'vitest';
import { listLimits } from '../../../lib/report/limits.ts';
import { evaluationSection } from '../../../lib/report/page-evaluation.ts';
import { makeInputs } from './fixture-inputs.ts';

const pageOf = async (evaluation: Record<string, unknown>): Promise<string> =>
  evaluationSection(await makeInputs({ evaluation })).safeHtml;

describe('the section on the evaluation', () => {
  it('says which rule fixed the thresholds, on what, and where the models are cut', async () => {
    const youden = await pageOf({ operatingPoint: 'youden' });
    expect(youden).toContain('the largest Youden index');
    expect(youden).toContain('validation images of its model, before the test set was opened');
    expect(youden).toContain('called malignant from probability 0.3217');
    expect(youden).toContain('<td>0.3217</td><td>88</td><td>0.955</td><td>0.750</td>');
    const sensitive = await pageOf({ operatingPoint: 'sensitivity', targetSensitivity: 0.9 });
    expect(sensitive).toContain('the highest probability that reached a sensitivity of 0.9 on the validation images');
  });
  it('says that nothing was tuned at 0.5', async () => {
    expect(await pageOf({})).toContain('from probability 0.5 on, which nothing was tuned to');
    expect(listLimits(await makeInputs({})).join()).toContain('the fixed probability 0.5; it was not tuned');
    const chosen = listLimits(await makeInputs({ evaluation: { operatingPoint: 'youden' } })).join();
    expect(chosen).toContain('was chosen on its own validation images');
  });
});

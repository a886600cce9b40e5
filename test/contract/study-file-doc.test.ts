import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { studyFieldDescriptions, studyFields, studyFileDoc } from '../support/study-file-doc.ts';

describe('docs/study-file.md', () => {
  it('is what the schema says today', () => {
    const file = readFileSync(new URL('../../docs/study-file.md', import.meta.url), 'utf8');
    expect(file, 'run: npx tsx test/support/study-file-doc.ts').toBe(studyFileDoc());
  });

  it('says what every field means, with its bounds', () => {
    const fields = studyFields();
    expect(fields.length).toBeGreaterThan(70);
    expect(fields.filter(({ description, bounds }) => description === '' || bounds === '')).toEqual([]);
  });

  it('finds in each description of the schema the default that a file gets', () => {
    const stated = studyFieldDescriptions();
    expect(stated.length).toBeGreaterThan(55);
    expect(stated.filter(({ claimed, actual }) => claimed !== actual)).toEqual([]);
  });
});

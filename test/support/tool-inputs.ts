/** An input for each tool on a study of `smallStudy`. */
export const toolInputs = (study: string): Readonly<Record<string, object>> => ({
  generateImages: { study, class: 'benign', seeds: '1-40,77' },
});

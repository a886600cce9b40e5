/** An input for each tool on a study of `smallStudy`; the projected image is one of its training images. */
export const toolInputs = (study: string): Readonly<Record<string, object>> => ({
  generateImages: { study, class: 'benign', seeds: '1-40,77' },
  styleMixing: { study, class: 'malignant', rowSeeds: '1-3', columnSeeds: '11-14', columnStyles: '0-3' },
  truncationSweep: { study, class: 'benign', seeds: '1-4', psi: [0, 0.5, 1, 1.6] },
  interpolateLatents: { study, class: 'benign', seeds: '1-3', framesBetween: 3 },
  measureSnapshots: { study, class: 'benign', fakes: 16, psi: 0.8 },
  projectImage: { study, class: 'benign', image: 'benign/phantom-0001.png', steps: 260 },
});

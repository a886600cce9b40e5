/**
 * Colours of figures, each as it is drawn (light) and as the dark scheme replaces it. Series differ in dash or shape as
 * well, so colour never stands alone; the pairs are told apart with the common colour-vision deficiencies (Okabe and Ito
 * 2008, darkened to 4.5:1 on white).
 */
export const palette = {
  real: { light: '#0067a3', dark: '#5db7ee' },
  synthetic: { light: '#b84700', dark: '#f2a25c' },
  accent: { light: '#00705a', dark: '#4ccfa7' },
  muted: { light: '#8d96a0', dark: '#6e7681' },
  text: { light: '#24292f', dark: '#e6edf3' },
  axis: { light: '#6e7782', dark: '#8b949f' },
  grid: { light: '#e3e7eb', dark: '#2b323b' },
} as const;

/** Style rules that repaint inline figures in the dark scheme; the SVG files themselves stay light. */
export const darkFigureRules = Object.values(palette)
  .map(({ light, dark }) => `figure svg [fill="${light}"]{fill:${dark}}figure svg [stroke="${light}"]{stroke:${dark}}`)
  .join('');

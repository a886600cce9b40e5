import { writeFile } from 'node:fs/promises';
import { encodeKerasH5 } from '../../lib/classifier/keras-h5.ts';
import { kerasLayerOrder } from '../../lib/classifier/keras-order.ts';
import { planNetwork } from '../../lib/classifier/shape-layers.ts';
import { recipe } from './integer-recipe.ts';

/**
 * Exports a network with the weights of the recipe, for keras_check_export.py:
 *
 *     npx tsx bench/reference/export-recipe.ts small|published FILE.h5
 */
const networks = {
  small: { width: 0.0625, blocks: [1, 1, 1], headUnits: 32, classes: 2 },
  published: { width: 1, blocks: [10, 20, 9], headUnits: 1024, classes: 2 },
} as const;

const [name = '', file = ''] = process.argv.slice(2);
if ((name !== 'small' && name !== 'published') || file === '')
  throw new Error('usage: npx tsx bench/reference/export-recipe.ts small|published FILE.h5');
const architecture = networks[name];
const weights = planNetwork(architecture, 139).variables.map((spec) => ({ ...spec, values: recipe(spec) }));
await writeFile(file, await encodeKerasH5(kerasLayerOrder(architecture), weights));

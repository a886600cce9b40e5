import { expect, it } from 'vitest';
import { kerasLayerOrder } from '../../../lib/classifier/keras-order.ts';
import { readFixture } from './keras-fixture.ts';

it('lists the 450 layers with weights in the order of keras.applications', () => {
  const { layers } = readFixture('keras-order.json') as { layers: string[] };
  const order = kerasLayerOrder({ width: 1, blocks: [10, 20, 9], headUnits: 1024, classes: 2 });
  expect(order).toEqual(layers);
  expect(order).toHaveLength(450);
  // Not the order of creation.
  expect(order.filter((name) => name.startsWith('conv2d_'))[5]).toBe('conv2d_9');
});

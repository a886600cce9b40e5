import type { Layers } from './layers.ts';
import { convolutions, head, type Architecture } from './network.ts';

/**
 * The order in which Keras lists the layers of a network: by depth, which is the longest way to the output, and among
 * layers of one depth by the walk from the output to the inputs. Keras fills weights by position in this order, whatever
 * the layers are called, so an exported file must follow it: the sixth convolution is `conv2d_9`.
 */

interface LayerNode {
  /** Null for layers without weights. */
  readonly layer: string | null;
  readonly inputs: readonly LayerNode[];
  readonly channels: number;
}

/** A third reading of the network (layers.ts): as the graph that Keras sees. */
function graphLayers(): Layers<LayerNode> {
  const node = (layer: string | null, inputs: readonly LayerNode[], channels: number): LayerNode => ({
    layer,
    inputs,
    channels,
  });
  const plain = (x: LayerNode): LayerNode => node(null, [x], x.channels);
  return {
    channels: (x) => x.channels,
    conv2d: (x, { layer, filters }) => node(layer, [x], filters),
    batchNormRelu: (x, layer) => plain(node(layer, [x], x.channels)),
    maxPool: plain,
    avgPool: plain,
    concat: (xs) =>
      node(
        null,
        xs,
        xs.reduce((sum, x) => sum + x.channels, 0),
      ),
    residual: (x, up, { relu }) => {
      const sum = node(null, [x, up], x.channels);
      return relu ? plain(sum) : sum;
    },
    globalAveragePool: plain,
    dense: (x, { layer, units }) => node(layer, [x], units),
    dropout: (x) => x, // Keras models for prediction have none; it holds no weights and moves no depth but its own
  };
}

/** Names of all layers with weights in Keras' order. */
export function kerasLayerOrder(architecture: Architecture): string[] {
  const layers = graphLayers();
  const image: LayerNode = { layer: null, inputs: [], channels: 3 };
  const maps = convolutions(layers, architecture, image);
  const output = head(layers, architecture, layers.globalAveragePool(maps));

  const visit = new Map<LayerNode, number>();
  const finished: LayerNode[] = [];
  const walk = (node: LayerNode): void => {
    if (visit.has(node)) return;
    visit.set(node, visit.size);
    for (const input of node.inputs) walk(input);
    finished.push(node);
  };
  walk(output);

  const depths = new Map<LayerNode, number>();
  const depthOf = (node: LayerNode): number => depths.get(node) ?? 0;
  // Every node comes after all that use it.
  for (const node of finished.reverse())
    for (const input of node.inputs) depths.set(input, Math.max(depthOf(input), depthOf(node) + 1));
  return finished
    .sort((a, b) => depthOf(b) - depthOf(a) || (visit.get(a) ?? 0) - (visit.get(b) ?? 0))
    .flatMap(({ layer }) => layer ?? []);
}

import protobuf from 'protobufjs';

/**
 * The bytes of a SavedModel that holds one graph and nothing else: the part of TensorFlow's protobuf messages
 * (tensorflow/core/protobuf/saved_model.proto, meta_graph.proto and framework/*.proto) that such a graph needs.
 */

export interface TensorShapeProto {
  readonly dim: readonly { readonly size: number }[];
}

/** One value of an attribute: exactly one field is set. */
export interface AttrValue {
  readonly s?: Uint8Array;
  readonly i?: number;
  readonly f?: number;
  readonly b?: boolean;
  readonly type?: number;
  readonly shape?: TensorShapeProto;
  readonly tensor?: {
    readonly dtype: number;
    readonly tensorShape: TensorShapeProto;
    readonly tensorContent: Uint8Array;
  };
  readonly list?: { readonly i?: readonly number[]; readonly f?: readonly number[]; readonly b?: readonly boolean[] };
}

export interface NodeDef {
  readonly name: string;
  readonly op: string;
  /** Outputs of other nodes, `name:index`. */
  readonly input: readonly string[];
  readonly attr: Readonly<Record<string, AttrValue>>;
}

/** Name of the file in the folder that a session is loaded from, and what it is loaded by. */
export const modelFile = 'saved_model.pb';
export const savedModelTag = 'serve';

/** TF_GRAPH_DEF_VERSION of TensorFlow 2.21: what the ops of the graph mean. */
const producer = 2474;

const field = (id: number, type: string, rule?: 'repeated'): protobuf.IField => {
  return { id, type, ...(rule && { rule }) };
};

const root = protobuf.Root.fromJSON({
  nested: {
    Dim: { fields: { size: field(1, 'int64') } },
    TensorShape: { fields: { dim: field(2, 'Dim', 'repeated') } },
    Tensor: {
      fields: { dtype: field(1, 'int32'), tensorShape: field(2, 'TensorShape'), tensorContent: field(4, 'bytes') },
    },
    List: {
      fields: {
        i: field(3, 'int64', 'repeated'),
        f: field(4, 'float', 'repeated'),
        b: field(5, 'bool', 'repeated'),
      },
    },
    AttrValue: {
      oneofs: { value: { oneof: ['list', 's', 'i', 'f', 'b', 'type', 'shape', 'tensor'] } },
      fields: {
        list: field(1, 'List'),
        s: field(2, 'bytes'),
        i: field(3, 'int64'),
        f: field(4, 'float'),
        b: field(5, 'bool'),
        type: field(6, 'int32'),
        shape: field(7, 'TensorShape'),
        tensor: field(8, 'Tensor'),
      },
    },
    Node: {
      fields: {
        name: field(1, 'string'),
        op: field(2, 'string'),
        input: field(3, 'string', 'repeated'),
        attr: { id: 5, keyType: 'string', type: 'AttrValue' } as protobuf.IMapField,
      },
    },
    Versions: { fields: { producer: field(1, 'int32') } },
    Graph: { fields: { node: field(1, 'Node', 'repeated'), versions: field(4, 'Versions') } },
    MetaInfo: { fields: { tags: field(4, 'string', 'repeated') } },
    MetaGraph: { fields: { metaInfoDef: field(1, 'MetaInfo'), graphDef: field(2, 'Graph') } },
    SavedModel: { fields: { schemaVersion: field(1, 'int64'), metaGraphs: field(2, 'MetaGraph', 'repeated') } },
  },
});
const savedModel = root.lookupType('SavedModel');

/** Content of the file; nodes come after those whose outputs they take. */
export function encodeSavedModel(nodes: readonly NodeDef[]): Uint8Array {
  const graphDef = { node: nodes, versions: { producer } };
  const metaGraph = { metaInfoDef: { tags: [savedModelTag] }, graphDef };
  return savedModel.encode({ schemaVersion: 1, metaGraphs: [metaGraph] }).finish();
}

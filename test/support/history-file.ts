import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Worker } from '@temporalio/worker';
import proto from '@temporalio/proto';

/** What `Worker.runReplayHistory` takes. */
export type History = Parameters<typeof Worker.runReplayHistory>[1];

/** A history as `temporal workflow show -o json` prints it: as much of it as tests look at. */
export interface RecordedHistory {
  readonly events: readonly {
    readonly eventType: string;
    readonly workflowExecutionStartedEventAttributes?: {
      readonly workflowType: { readonly name: string };
      readonly workflowId: string;
    };
  }[];
}

export const readHistory = (file: string): RecordedHistory => JSON.parse(readFileSync(file, 'utf8')) as RecordedHistory; // written by record-histories.ts

interface ProtoJson {
  readonly fromJson: (type: unknown, json: unknown, options: { readonly ignoreUnknownFields: boolean }) => History;
}

/**
 * For a replay. The SDK's own conversion looks for the message type of one copy of protobufjs in another copy when npm has
 * installed two (protobufjs 8 for the SDK, 7 for grpc): here both are the copy of @temporalio/proto.
 */
export function toReplay(history: RecordedHistory): History {
  const ours = createRequire(import.meta.url);
  const theirs = createRequire(ours.resolve('@temporalio/proto'));
  const { fromJson } = theirs('protobufjs/ext/protojson') as ProtoJson;
  const { patchProtobufRoot } = ours('@temporalio/proto/lib/patch-protobuf-root.js') as {
    readonly patchProtobufRoot: (root: unknown) => { readonly lookupType: (name: string) => unknown };
  };
  const type = patchProtobufRoot(proto).lookupType('temporal.api.history.v1.History');
  return fromJson(type, history, { ignoreUnknownFields: true });
}

import { defineSearchAttributeKey, SearchAttributeType, type SearchAttributeUpdatePair } from '@temporalio/common';
import type { Study } from '../contract/study.ts';

const study = defineSearchAttributeKey('Study', SearchAttributeType.KEYWORD);
const stage = defineSearchAttributeKey('Stage', SearchAttributeType.KEYWORD);
const dataset = defineSearchAttributeKey('Dataset', SearchAttributeType.KEYWORD);
const className = defineSearchAttributeKey('ClassName', SearchAttributeType.KEYWORD);
const owner = defineSearchAttributeKey('Owner', SearchAttributeType.KEYWORD);
const kimg = defineSearchAttributeKey('Kimg', SearchAttributeType.INT);
const snapshotMetric = defineSearchAttributeKey('SnapshotMetric', SearchAttributeType.DOUBLE);
const awaitingApproval = defineSearchAttributeKey('AwaitingApproval', SearchAttributeType.BOOL);
const regression = defineSearchAttributeKey('Regression', SearchAttributeType.BOOL);

/** What identifies a study and where it is; set at step changes only, each is a history event. */
export function stageOf(config: Study, value: string): SearchAttributeUpdatePair[] {
  return [
    { key: study, value: config.studyId },
    { key: dataset, value: config.dataset.name },
    { key: stage, value },
    ...(config.owner === '' ? [] : [{ key: owner, value: config.owner }]),
  ];
}

export const classOf = (name: string): SearchAttributeUpdatePair => ({ key: className, value: name });
export const awaitingOf = (value: boolean): SearchAttributeUpdatePair => ({ key: awaitingApproval, value });
export const regressionOf = (value: boolean): SearchAttributeUpdatePair => ({ key: regression, value });

/** Rounded down: the attribute is for filtering, the exact count is in `progress`. */
export function trainingOf(nimg: number, metric: number | null): SearchAttributeUpdatePair[] {
  return [
    { key: kimg, value: Math.floor(nimg / 1000) },
    ...(metric === null ? [] : [{ key: snapshotMetric, value: metric }]),
  ];
}

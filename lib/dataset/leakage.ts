import type { LeakageAudit, ShardEntry } from '../../contract/manifests.ts';
import { correlation, mirrored, standardized } from '../image/perceptual-hash.ts';

/** One image as the audit sees it. */
export interface AuditedImage {
  readonly entry: ShardEntry;
  /** 32x32 grey thumbnail. */
  readonly thumbnail: Uint8Array;
}

/** What a classifier learned from, and what decided on its learning rate and its end. */
export interface TrainedOn {
  readonly train: readonly AuditedImage[];
  readonly validation: readonly AuditedImage[];
}

export interface AuditInput {
  readonly real: TrainedOn;
  readonly test: readonly AuditedImage[];
  /** The accepted fakes of the second classifier. */
  readonly synthetic: TrainedOn;
  /** Correlation at which two images count as the same picture. */
  readonly ncc: number;
}

interface Nearest {
  readonly value: number;
  readonly member: string;
  readonly other: string;
}

/**
 * Looks for test images that a model could have seen: the same bytes, the same near-duplicate group, the same picture
 * (thumbnails, mirrored or not), or a fake that reproduces one; and for validation images that were trained on. Works from the stored shards alone, not from the split.
 */
export async function auditLeakage({ real, test, synthetic: fakes, ncc }: AuditInput): Promise<LeakageAudit> {
  const [training, synthetic] = [seenBy(real), seenBy(fakes)];
  const hashes = new Map(training.map(({ entry }) => [entry.sha256, entry.member]));
  const equal = test.filter(({ entry }) => hashes.has(entry.sha256)).map(({ entry }) => entry.member);
  const groups = new Set(training.map(({ entry }) => entry.groupId));
  const straddling = [
    ...new Set(test.filter(({ entry }) => groups.has(entry.groupId)).map(({ entry }) => entry.groupId)),
  ];
  const fakeReals = synthetic.filter(({ entry }) => entry.seed === null).map(({ entry }) => entry.member);
  const nearTraining = await nearestPair(test, training);
  const nearSynthetic = await nearestPair(test, synthetic);
  const checks: LeakageAudit['checks'] = [
    check('no test image is byte-equal to a training image', equal, `${test.length} against ${training.length} images`),
    check(
      'no near-duplicate group lies on both sides',
      straddling.map((group) => group ?? 'ungrouped'),
      `${new Set(test.map(({ entry }) => entry.groupId)).size} test groups`,
    ),
    nearCheck('no test image resembles a training image', nearTraining, ncc),
    nearCheck('no accepted synthetic image resembles a test image', nearSynthetic, ncc),
    check(
      'no validation image was trained on',
      [...trainedOn(real), ...trainedOn(fakes)],
      `${real.validation.length} real and ${fakes.validation.length} synthetic validation images`,
    ),
    check('the synthetic training set holds generated images only', fakeReals, `${synthetic.length} images`),
  ];
  return { passed: checks.every(({ passed }) => passed), checks };
}

/** Each image once, whether it trained, validated or both. */
const seenBy = ({ train, validation }: TrainedOn): AuditedImage[] => [
  ...new Map([...train, ...validation].map((image) => [`${image.entry.side}/${image.entry.member}`, image])).values(),
];

/** Validation images whose very bytes were trained on. */
function trainedOn({ train, validation }: TrainedOn): string[] {
  const hashes = new Set(train.map(({ entry }) => entry.sha256));
  return validation.filter(({ entry }) => hashes.has(entry.sha256)).map(({ entry }) => entry.member);
}

function check(name: string, offenders: readonly string[], looked: string): LeakageAudit['checks'][number] {
  const named = offenders.slice(0, 5).join(', ');
  return {
    name,
    passed: offenders.length === 0,
    detail:
      offenders.length === 0 ? looked : `${offenders.length} found: ${named}${offenders.length > 5 ? ', ...' : ''}`,
  };
}

function nearCheck(name: string, nearest: Nearest | null, ncc: number): LeakageAudit['checks'][number] {
  if (!nearest) return { name, passed: true, detail: 'nothing to compare' };
  const { value, member, other } = nearest;
  const detail = `highest correlation ${value.toFixed(4)} (${member}, ${other}), limit ${ncc}`;
  return { name, passed: value < ncc, detail };
}

async function nearestPair(a: readonly AuditedImage[], b: readonly AuditedImage[]): Promise<Nearest | null> {
  const others = b.map(({ thumbnail }) => standardized(thumbnail));
  let nearest: Nearest | null = null;
  for (const { entry, thumbnail } of a) {
    for (const pixels of [standardized(thumbnail), standardized(mirrored(thumbnail))])
      for (const [i, other] of others.entries()) {
        const value = correlation(pixels, other);
        if (!nearest || value > nearest.value)
          nearest = { value, member: entry.member, other: b[i]?.entry.member ?? '' };
      }
    await new Promise((resolve) => setImmediate(resolve));
  }
  return nearest;
}

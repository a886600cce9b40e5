export interface Found {
  readonly where: string;
  readonly state?: string;
  readonly note?: string;
}
export interface Part {
  readonly name: string;
  readonly inspect: () => Promise<Found | null>;
  readonly provide: (options: { log: (line: string) => void }) => Promise<Found>;
}
export const temporal: Part;
export const minio: Part;
export function isServerNewEnough(versionLine: string): boolean;

export interface Tools {
  readonly temporal: string;
  readonly minio: string;
  readonly tensorflowDir: string | null;
  readonly binding: string | null;
}
export function cacheDir(env?: NodeJS.ProcessEnv): string;
export function homeDir(env?: NodeJS.ProcessEnv): string;
export function resolveTools(): Promise<Tools>;

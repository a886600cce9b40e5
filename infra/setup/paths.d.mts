export interface Wheel {
  readonly name: string;
  readonly version: string;
  readonly sha256: string;
}
export interface Archive {
  readonly url: string;
  readonly sha256: string;
}
export interface LibrarySources {
  readonly wheels: readonly Wheel[];
  readonly archive: Archive & { readonly version: string };
}
export interface Versions {
  readonly cacheLayout: string;
  readonly node: string;
  readonly tensorflow: {
    readonly version: string;
    readonly pythonTags: readonly string[];
    readonly members: readonly string[];
    readonly cpu: LibrarySources;
    readonly gpu: LibrarySources;
  };
  readonly temporal: {
    readonly version: string;
    readonly minServer: string;
    readonly archive: Archive;
    readonly module: string;
    readonly ldflags: string;
  };
  readonly minio: { readonly version: string; readonly module: string; readonly ldflags: string };
}
export const root: string;
export const versions: Versions;
export function cacheDir(env?: NodeJS.ProcessEnv): string;
export function homeDir(env?: NodeJS.ProcessEnv): string;
export function deviceKind(env: NodeJS.ProcessEnv, driver: boolean): 'cpu' | 'gpu';

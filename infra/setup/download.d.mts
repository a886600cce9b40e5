export function download(url: string, file: string, sha256: string): Promise<void>;

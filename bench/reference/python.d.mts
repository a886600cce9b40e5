export function referencePython(options?: {
  reference?: 'torch' | 'keras';
  log?: (line: string) => void;
}): Promise<string>;

export function referencePython(options?: { log?: (line: string) => void }): Promise<string>;

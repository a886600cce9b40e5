import { statfs } from 'node:fs/promises';

/** Bytes that are free to this user on the disk of a folder. */
export async function freeBytesOf(dir: string): Promise<number> {
  const { bavail, bsize } = await statfs(dir);
  return bavail * bsize;
}

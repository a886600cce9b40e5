import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';

const answerMs = 6_000;
const stallMs = 15_000;

/** Fetches a file; a server that does not answer, or falls silent, costs seconds. */
export async function download(url, file, sha256) {
  const abort = new AbortController();
  const host = new URL(url).host;
  let timer = setTimeout(() => abort.abort(new Error(`${host} did not answer within ${answerMs / 1000} s`)), answerMs);
  try {
    const response = await fetch(url, { signal: abort.signal });
    if (!response.ok || !response.body) throw new Error(`${host} answered ${response.status}`);
    const watch = new Transform({
      transform(chunk, _encoding, done) {
        clearTimeout(timer);
        timer = setTimeout(() => abort.abort(new Error(`${host} sent nothing for ${stallMs / 1000} s`)), stallMs);
        done(null, chunk);
      },
    });
    await pipeline(Readable.fromWeb(response.body), watch, createWriteStream(file), { signal: abort.signal });
  } catch (error) {
    throw abort.signal.aborted ? abort.signal.reason : new Error(error.cause?.message ?? error.message);
  } finally {
    clearTimeout(timer);
  }
  await checkSha256(file, sha256);
}

export async function checkSha256(file, expected) {
  const found = await sha256Of(file);
  if (found !== expected) throw new Error(`expected sha256 ${expected}, found ${found}`);
}

export async function sha256Of(file) {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk);
  return hash.digest('hex');
}

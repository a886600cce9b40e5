/** A part that no source could provide: what was tried, and what would mend it. */
export class PartError extends Error {
  constructor(part, tried, mend) {
    const list = tried.map(({ source, reason }) => `\n    - ${source}: ${reason}`).join('');
    super(`${part}: no source worked\n  tried:${list || ' nothing'}\n  to mend it: ${mend}`);
    this.name = 'PartError';
    this.part = part;
    this.tried = tried;
  }
}

/**
 * Takes the first source that works.
 * @throws PartError naming the part, every source with its reason, and the command that would mend it
 */
export async function firstOf(part, sources, mend) {
  const tried = [];
  for (const { source, get } of sources) {
    try {
      return { source, value: await get() };
    } catch (error) {
      tried.push({ source, reason: error instanceof Error ? error.message : String(error) });
    }
  }
  throw new PartError(part, tried, mend);
}

/** Maps in order with at most `limit` promises in flight, so that a history never holds thousands of pending activities. */
export async function mapBounded<T, R>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results = new Map<number, R>();
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < items.length) {
      const index = next++;
      results.set(index, await work(items[index] as T)); // index < items.length
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane));
  return items.map((_, index) => results.get(index) as R); // every index was set above
}

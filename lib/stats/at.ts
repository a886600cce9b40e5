/** The element `index` of a list that is known to be long enough; a wrong index is a bug and throws. */
export function at<T>(list: { readonly [index: number]: T; readonly length: number }, index: number): T {
  const value = list[index];
  if (value === undefined) throw new RangeError(`index ${index} is outside a list of ${list.length}`);
  return value;
}

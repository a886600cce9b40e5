/** References: what travels through histories instead of pixels and tensors. */

/** An immutable object stored under the hash of its bytes. */
export interface BlobRef {
  readonly sha256: string;
  readonly bytes: number;
}

/** A blob that holds one of the JSON manifests of contract/manifests.ts. */
export interface ManifestRef<Kind extends string = string> extends BlobRef {
  readonly kind: Kind;
}

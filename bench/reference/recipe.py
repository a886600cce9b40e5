"""Numbers that Python and TypeScript compute alike, bit for bit, so that fixtures need not hold inputs.

hash(name, i) = fmix32(fnv1a(name) + i * 0x9E3779B9 mod 2^32), with the finaliser of MurmurHash3 (Appleby) as fmix32.
value(name, i) = (u0 + u1 + u2 + u3 - 2) * sqrt(3), close to N(0, 1), with uj = (hash(name, 4 i + j) + 0.5) / 2^32.
signs(name, i): bits 0..15 of hash(name, i), 1 for -1: element i of 16 projections. test/lib/generator/recipe.ts is the other side.
"""

import numpy as np


def fnv1a(name: str) -> int:
    h = 0x811C9DC5
    for byte in name.encode():
        h = ((h ^ byte) * 0x01000193) & 0xFFFFFFFF
    return h


def hashes(name: str, count: int) -> np.ndarray:
    x = (np.arange(count, dtype=np.uint64) * 0x9E3779B9 + fnv1a(name)).astype(np.uint32)  # mod 2^32
    x ^= x >> 16
    x *= np.uint32(0x85EBCA6B)
    x ^= x >> 13
    x *= np.uint32(0xC2B2AE35)
    x ^= x >> 16
    return x


def values(name: str, shape: tuple[int, ...], scale: float = 1.0) -> np.ndarray:
    """float32, scaled in float64 before the rounding."""
    size = int(np.prod(shape, dtype=np.int64))
    u = (hashes(name, 4 * size).astype(np.float64) + 0.5) / 2**32
    # Added one by one: numpy's own sum may add in another order.
    q = u.reshape(size, 4)
    z = (q[:, 0] + q[:, 1] + q[:, 2] + q[:, 3] - 2) * np.sqrt(3.0)
    return (z * scale).astype(np.float32).reshape(shape)


PROJECTIONS = 16


def project(name: str, gradient: np.ndarray) -> list[float]:
    bits = hashes(f"{name}/projection", gradient.size)
    flat = gradient.astype(np.float64).reshape(-1)
    return [float(np.sum(np.where((bits >> j) & 1, -flat, flat))) for j in range(PROJECTIONS)]

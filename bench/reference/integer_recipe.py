"""Weights and images by integers, as integer-recipe.ts computes them; nothing large needs to be stored."""

import numpy as np


def fnv1a(text: str) -> int:
    value = 0x811C9DC5
    for byte in text.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def mixed(text: str, count: int) -> np.ndarray:
    """`count` well mixed 32-bit integers that belong to `text`."""
    x = (np.uint64(fnv1a(text)) + np.arange(count, dtype=np.uint64) * np.uint64(0x9E3779B1)) & np.uint64(0xFFFFFFFF)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x ^= x >> np.uint64(shift)
        x = (x * np.uint64(factor)) & np.uint64(0xFFFFFFFF)
    return x ^ (x >> np.uint64(16))


def recipe(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Value of the weight `name`, e.g. conv2d_1/kernel: uniform, its bounds chosen so that activations stay near 1."""
    unit = (mixed(name, int(np.prod(shape))) >> np.uint64(8)).astype(np.float64) / 2**24  # [0, 1)
    kind = name.split("/")[-1]
    if kind == "kernel":
        values = np.sqrt(6 / np.prod(shape[:-1], dtype=np.float64)) * (2 * unit - 1)
    elif kind == "moving_variance":
        values = 0.5 + unit
    else:
        values = 0.2 * unit - 0.1
    return values.astype(np.float32).reshape(shape)


def image_bytes(count: int, side: int) -> np.ndarray:
    """Images [count, side, side, 3] of 0..255: waves of integers, so that neighbours resemble each other."""
    n, y, x, c = np.ogrid[:count, :side, :side, :3]
    return ((3 * x + 5 * y + 40 * c + 67 * n + (x * y * (n + 1)) // 16) % 256).astype(np.uint8)

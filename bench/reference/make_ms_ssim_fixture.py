"""Makes test/lib/metrics/fixtures/ms-ssim.json: MS-SSIM from its definition, in NumPy.

Every window is written out as a two-dimensional weighted sum. Images are integers by formula, which
test/lib/metrics/ms-ssim.test.ts repeats.
"""

import json
import sys
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

WEIGHTS = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333]


def image(side, channels, a, b, c):
    """Smooth waves with a texture on top, 0 to 255."""
    y, x, k = np.meshgrid(np.arange(side), np.arange(side), np.arange(channels), indexing="ij")
    wave = (x * a + y * b + k * 17) % 256
    return ((np.abs(wave - 128) * 3 + (x * y * c + x * 7 + k * 5) % 61) // 2).astype(np.uint8)


def window(size):
    offsets = np.arange(size) - (size - 1) / 2
    taps = np.exp(-offsets**2 / (2 * 1.5**2))
    two = np.outer(taps, taps)
    return two / two.sum()


def terms(x, y):
    size = min(11, x.shape[0] - 1 + x.shape[0] % 2)
    w = window(size)
    mean = lambda z: (sliding_window_view(z, (size, size)) * w).sum(axis=(2, 3))
    mx, my = mean(x), mean(y)
    vx, vy, cxy = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    cs = (2 * cxy + c2) / (vx + vy + c2)
    return cs.mean(), (cs * (2 * mx * my + c1) / (mx**2 + my**2 + c1)).mean()


def ms_ssim(a, b):
    x, y = a.mean(axis=2), b.mean(axis=2)
    scales = max(1, sum(a.shape[0] // 2**s >= 11 for s in range(5)))
    weights = np.array(WEIGHTS[:scales]) / sum(WEIGHTS[:scales])
    result = 1.0
    for s, weight in enumerate(weights):
        if s > 0:
            x, y = (z.reshape(z.shape[0] // 2, 2, -1, 2).mean(axis=(1, 3)) for z in (x, y))
        cs, ssim = terms(x, y)
        result *= max(ssim if s == scales - 1 else cs, 0) ** weight
    return result


if __name__ == "__main__":
    cases = []
    for side, channels in [(8, 1), (16, 1), (32, 1), (64, 3), (256, 1)]:
        for first, second in [((3, 5, 1), (3, 5, 1)), ((3, 5, 1), (3, 5, 2)), ((3, 5, 1), (-3, 5, 1))]:
            value = ms_ssim(image(side, channels, *first), image(side, channels, *second))
            cases.append({"side": side, "channels": channels, "first": first, "second": second, "value": value})
    target = Path(__file__).parents[2] / "test/lib/metrics/fixtures/ms-ssim.json"
    target.write_text(json.dumps({"numpy": np.__version__, "cases": cases}, indent=1) + "\n")
    sys.stdout.write(f"{target}\n")

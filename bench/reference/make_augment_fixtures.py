"""Makes test/lib/generator/fixtures/augment.json: image changes before D, by other routes than lib/generator takes.

Affine maps: reflected padding twice as wide as the image, zero stuffing and sym6 along both axes, `grid_sample`, the transposed
filter at every second sample. Colour, translation and cutout by pixel loops. Gradients by autograd, in float64. From the
specification and the papers alone (Karras et al. 2020, Zhao et al. 2020).

node bench/reference/python.mjs make_augment_fixtures.py
"""

import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from recipe import values

OUT = Path(__file__).resolve().parents[2] / "test/lib/generator/fixtures/augment.json"

# Low-pass of the symlet with six vanishing moments, sum sqrt 2.
SYM6 = torch.tensor(
    [
        0.015404109327027373,
        0.0034907120842174702,
        -0.11799011114819057,
        -0.048311742585633,
        0.4910559419267466,
        0.787641141030194,
        0.3379294217276218,
        -0.07263752278646252,
        -0.021060292512300564,
        0.04472490177066578,
        0.0017677118642428036,
        -0.007800708325034148,
    ],
    dtype=torch.float64,
)
DELAY = float((SYM6 * torch.arange(12)).sum() / SYM6.sum())


def image(name, side, channels):
    """[1, C, R, R] float64."""
    return torch.from_numpy(values(name, (1, side, side, channels), 0.5)).double().permute(0, 3, 1, 2)


def translate(x, y):
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])


def scale(x, y):
    return np.diag([x, y, 1.0])


def rotate(angle):
    """Clockwise with y down."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


def warp(x, forward):
    """Content moved by the 3 x 3 matrix `forward`, px from the centre, x right and y down."""
    side, channels = x.shape[2], x.shape[1]
    margin = 2 * (side - 1)
    once = F.pad(x, (side - 1,) * 4, mode="reflect")
    padded = F.pad(once, (side - 1,) * 4, mode="reflect")
    wide = padded.shape[2]
    stuffed = torch.zeros(1, channels, 2 * wide, 2 * wide, dtype=torch.float64)
    stuffed[:, :, ::2, ::2] = padded
    kernel = 2 * torch.outer(SYM6, SYM6)
    # conv2d correlates: turned round, tap t falls t samples behind its pixel.
    doubled = F.conv2d(F.pad(stuffed, (11, 0, 11, 0)), kernel.flip(0, 1).expand(channels, 1, 12, 12), groups=channels)
    inverse = np.linalg.inv(forward)
    samples = 2 * (side - 1) + 12
    centre = (side - 1) / 2
    place = (torch.arange(samples).double() - DELAY) / 2 - centre
    py, px = torch.meshgrid(place, place, indexing="ij")
    sx = inverse[0, 0] * px + inverse[0, 1] * py + inverse[0, 2]
    sy = inverse[1, 0] * px + inverse[1, 1] * py + inverse[1, 2]
    to_sample = lambda p: 2 * (p + centre + margin) + DELAY
    last = doubled.shape[2] - 1
    grid = torch.stack([2 * to_sample(sx) / last - 1, 2 * to_sample(sy) / last - 1], -1)[None]
    reach = grid.abs().max()
    if reach > 1:
        raise AssertionError(f"the map reads outside the padding: {reach}")
    moved = F.grid_sample(doubled, grid, mode="bilinear", align_corners=True)
    halving = (torch.outer(SYM6, SYM6) / 2).expand(channels, 1, 12, 12)
    return F.conv2d(moved, halving, stride=2, groups=channels)


def affine_case(name, side, channels, forward):
    x = image(f"augment/{name}", side, channels).requires_grad_(True)
    y = warp(x, forward)
    weight = image(f"augment/{name}/dy", side, channels)
    (gradient,) = torch.autograd.grad((y * weight).sum(), x)
    inverse = np.linalg.inv(forward)
    keys = ("xx", "xy", "x0", "yx", "yy", "y0")
    return dict(name=name, side=side, channels=channels, map=dict(zip(keys, inverse[:2].reshape(-1).tolist())), out=flat(y), gradient=flat(gradient))


def flat(x):
    """In the order [H, W, C]."""
    return [float(f"{v:.7e}") for v in x.detach().permute(0, 2, 3, 1).reshape(-1).tolist()]


def colour_matrix(brightness, contrast, luma_flip, hue, saturation):
    """4 x 4 on (r, g, b, 1): one change after the other."""
    axis = np.array([1, 1, 1, 0]) / math.sqrt(3)
    grey = np.outer(axis, axis)
    one = np.eye(4)
    m = translate3(brightness)
    m = np.diag([contrast, contrast, contrast, 1]) @ m
    m = (one - 2 * luma_flip * grey) @ m
    m = turn_about(axis[:3], hue) @ m
    return (grey + (np.diag([1, 1, 1, 0.0]) - grey) * saturation + np.diag([0, 0, 0, 1.0])) @ m


def translate3(b):
    m = np.eye(4)
    m[:3, 3] = b
    return m


def turn_about(axis, angle):
    """Rodrigues."""
    k = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    m = np.eye(4)
    m[:3, :3] = np.eye(3) + math.sin(angle) * k + (1 - math.cos(angle)) * (k @ k)
    return m


def diffaugment(x, brightness, saturation, contrast, dx, dy, left, top):
    """x [H, W, C] in float64, pixel by pixel."""
    side, channels = x.shape[0], x.shape[2]
    x = x + brightness
    if channels > 1:
        for row in range(side):
            for column in range(side):
                mean = x[row, column].mean()
                x[row, column] = (x[row, column] - mean) * saturation + mean
    mean = x.mean()
    x = (x - mean) * contrast + mean
    moved = np.zeros_like(x)
    for row in range(side):
        for column in range(side):
            if 0 <= row - dy < side and 0 <= column - dx < side:
                moved[row, column] = x[row - dy, column - dx]
    for row in range(top, top + side // 2):
        for column in range(left, left + side // 2):
            if 0 <= row < side and 0 <= column < side:
                moved[row, column] = 0
    return moved


def diff_case(channels, **draws):
    x = image(f"diffaugment/{channels}", 8, channels)
    y = diffaugment(x[0].permute(1, 2, 0).numpy().copy(), **draws)
    return dict(channels=channels, draws=draws, out=[float(f"{v:.7e}") for v in y.reshape(-1)])


def main():
    turn = rotate(0.7) @ scale(1.3, 0.8)
    affine = [
        affine_case("shift", 8, 1, translate(2.3, -1.6)),
        affine_case("scale", 8, 1, scale(1.4, 1.4)),
        affine_case("shrink", 16, 1, scale(0.8, 0.7)),
        affine_case("rotate", 8, 1, rotate(0.6)),
        affine_case("all", 16, 3, translate(1.7, 2.9) @ rotate(-0.4) @ turn),
    ]
    settings = [
        dict(brightness=0.2, contrast=1.5, lumaFlip=0, hue=0.0, saturation=1.0),
        dict(brightness=-0.1, contrast=0.7, lumaFlip=1, hue=0.9, saturation=1.8),
    ]
    colour = [
        dict(draws=d, matrix=colour_matrix(d["brightness"], d["contrast"], d["lumaFlip"], d["hue"], d["saturation"]).round(12).tolist())
        for d in settings
    ]
    diff = [
        diff_case(1, brightness=0.3, saturation=1.7, contrast=0.6, dx=1, dy=-1, left=-2, top=3),
        diff_case(3, brightness=-0.4, saturation=0.2, contrast=1.4, dx=-1, dy=1, left=2, top=6),
    ]
    made = dict(torch=torch.__version__.split("+")[0], numpy=np.__version__)
    OUT.write_text(json.dumps(dict(madeBy=made, affine=affine, colour=colour, diffaugment=diff), separators=(",", ":")) + "\n")
    print(f"{OUT.name}: {OUT.stat().st_size / 1000:.0f} kB")


main()

"""Losses and gradients of every variable by PyTorch's autograd, for test/lib/generator/reference.test.ts.

    node bench/reference/python.mjs make_generator_fixtures.py

Everything in float64 with the literal operations; weights and inputs from recipe.py, rounded to float32 before use. A gradient
of at most 64 elements is stored whole, a larger one as its norm and 16 projections on +-1 vectors. For a difference e of two
gradients the mean square of the 16 projections of e estimates |e|^2 and is below a tenth of it with probability 2e-6 (chi-square, 16 degrees of freedom).

float32 and float64 must stand on the same side of every kink of the leaky ReLU, or the gradients differ by that kink: of the
inputs `salt` 0, 1, 2, ... the first is taken that has no activation within 2e-6 of its layer's spread.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

import stylegan2_torch as sg
from recipe import project, values

OUT = Path(__file__).resolve().parents[2] / "test/lib/generator/fixtures"

NARROW = dict(resolution=32, channels=1, fmap_base=128, fmap_max=16, latent_size=32, mapping_layers=2)
CASES = {
    "32px-narrow": sg.Shape(**NARROW),
    "32px-wide": sg.Shape(32, 3, 512, 64, 64, 4),
    "64px": sg.Shape(64, 1, 512, 32, 32, 8),
    "32px-orig-orig": sg.Shape(**NARROW, g_architecture="orig", d_architecture="orig"),
    "32px-resnet-skip": sg.Shape(**NARROW, g_architecture="resnet", d_architecture="skip"),
    "32px-conditional": sg.Shape(**{**NARROW, "channels": 3}, labels=2),
}
BATCH = {"64px": 4}  # else 8: two groups of the minibatch stddev
WHOLE = 64  # elements up to which a gradient is stored whole
MARGIN = 2e-6
GAMMA, DECAY, PL_WEIGHT, PL_MEAN = 10.0, 0.01, 2.0, 0.1


salt = 0


def float64(name, shape, scale=1.0):
    return torch.from_numpy(values(f"{salt}/{name}", shape, scale)).double()


def weights(prefix, specs):
    """Initial scale; what starts at zero gets 0.1 (10 in the mapping, whose biases count a hundredth)."""
    out = {}
    for name, (shape, std) in specs.items():
        scale = std or (10.0 if name.startswith("mapping/") else 0.1)
        out[name] = sg.from_stored(name, float64(f"{prefix}/{name}", shape, scale)).contiguous().requires_grad_(True)
    return out


def images(name, s, count, scale):
    return float64(name, (count, s.resolution, s.resolution, s.channels), scale).permute(0, 3, 1, 2).contiguous()


def one_hot(s, count, first):
    """Class (first + i) mod labels."""
    return None if s.labels == 0 else torch.eye(s.labels).double()[[(first + i) % s.labels for i in range(count)]]


def draws(s, count):
    """Image i takes its second style from layer 1 + (3 i mod (styles + 1)) on; some images thus never do."""
    mix = torch.zeros(count, s.styles).double()
    for i in range(count):
        mix[i, 1 + (3 * i) % (s.styles + 1) :] = 1
    noise = [float64(f"noise{j}", (count, 1, side, side)) for j, side in enumerate(s.noise_sizes)]
    z, z_mix = float64("z", (count, s.latent_size)), float64("zMix", (count, s.latent_size))
    return sg.Draws(z, z_mix, mix, noise, one_hot(s, count, 0))


def gradients(loss, network):
    found = torch.autograd.grad(loss, list(network.values()), allow_unused=True)
    out = {}
    for (name, variable), gradient in zip(network.items(), found):
        stored = sg.to_stored(name, torch.zeros_like(variable) if gradient is None else gradient).contiguous().numpy()
        flat = stored.reshape(-1)
        if flat.size <= WHOLE:
            out[name] = {"values": rounded(flat)}
        else:
            out[name] = {"norm": rounded([np.linalg.norm(flat)])[0], "projections": rounded(project(name, stored))}
    return out


def rounded(xs):
    return [float(f"{float(x):.8e}") for x in xs]


def closest_to_kink(s, batch):
    """Smallest distance of an activation from 0, in standard deviations of its layer. (The path length's are among these.)"""
    closest, lrelu = [], sg.lrelu

    def watched(x):
        closest.append(float(x.abs().min() / x.std()))
        return lrelu(x)

    with torch.no_grad():
        sg.lrelu = watched
        g, d = weights("G", sg.generator_variables(s)), weights("D", sg.discriminator_variables(s))
        fakes = draws(s, batch)
        sg.g_main(g, d, s, fakes)
        sg.discriminator(d, s, images("reals", s, batch, 0.5), one_hot(s, batch, 1))
        sg.lrelu = lrelu
    return min(closest)


def case(s, batch):
    path_batch = batch // 2
    g = weights("G", sg.generator_variables(s))
    d = weights("D", sg.discriminator_variables(s))
    whole, part = draws(s, batch), draws(s, path_batch)
    reals = images("reals", s, batch, 0.5)
    path_noise = images("pathNoise", s, path_batch, 1 / s.resolution)
    real_labels = one_hot(s, batch, 1)
    result = {}

    def phase(name, network, objective, **scalars):
        numbers = {key: rounded([value.detach() if isinstance(value, torch.Tensor) else value])[0] for key, value in scalars.items()}
        result[name] = {"scalars": numbers, "gradients": gradients(objective, network)}

    loss = sg.g_main(g, d, s, whole)
    phase("gMain", g, loss, loss=loss)
    penalty, moved, length = sg.g_path_length(g, s, part, path_noise, torch.tensor(PL_MEAN).double(), DECAY, PL_WEIGHT)
    phase("gPathLength", g, penalty, penalty=penalty, plMean=moved, length=length)
    fakes = sg.synthesis(g, s, sg.training_styles(g, s, whole)[1], whole.noise).detach()
    loss, real, fake = sg.d_main(d, s, reals, fakes, real_labels, whole.labels)
    phase("dMain", d, loss, loss=loss, scoresReal=real, scoresFake=fake)
    penalty = sg.d_r1(d, s, reals, GAMMA, real_labels)
    phase("dR1", d, penalty, penalty=penalty)
    check_fast_forms(s, g, d, whole, part, path_noise, reals, real_labels, result)
    return result


def check_fast_forms(s, g, d, whole, part, path_noise, reals, real_labels, result):
    """The forms that the benchmark measures compute the same numbers."""
    pairs = [
        (sg.g_main(g, d, s, whole, sg.Fast), result["gMain"]["scalars"]["loss"]),
        (
            sg.g_path_length(g, s, part, path_noise, torch.tensor(PL_MEAN).double(), DECAY, PL_WEIGHT, sg.Fast)[0],
            result["gPathLength"]["scalars"]["penalty"],
        ),
        (sg.d_r1(d, s, reals, GAMMA, real_labels, sg.Fast), result["dR1"]["scalars"]["penalty"]),
    ]
    for found, wanted in pairs:
        if abs(float(found.detach()) / wanted - 1) > 1e-6:
            raise AssertionError(f"fast form {float(found.detach())}, definition {wanted}")


def main():
    global salt
    OUT.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[1:] or CASES:
        s, batch, salt = CASES[name], BATCH.get(name, 8), 0
        while closest_to_kink(s, batch) < MARGIN:
            salt += 1
        shape = dict(
            resolution=s.resolution,
            channels=s.channels,
            fmapBase=s.fmap_base,
            fmapMax=s.fmap_max,
            latentSize=s.latent_size,
            mappingLayers=s.mapping_layers,
            gArchitecture=s.g_architecture,
            dArchitecture=s.d_architecture,
            labels=s.labels,
        )
        settings = dict(salt=salt, batch=batch, pathBatch=batch // 2, gamma=GAMMA, decay=DECAY, plWeight=PL_WEIGHT, plMean=PL_MEAN)
        made = dict(torch=torch.__version__.split("+")[0], numpy=np.__version__)
        fixture = dict(madeBy=made, shape=shape, settings=settings, phases=case(s, batch))
        file = OUT / f"{name}.json"
        file.write_text(json.dumps(fixture, separators=(",", ":")) + "\n")
        print(f"{file.name}: {file.stat().st_size / 1000:.0f} kB, salt {salt}")


main()

"""A generator under the names of the public PyTorch StyleGAN2, and images from it: the check of lib/generator/public-layout.ts.

    node bench/reference/python.mjs public_generator.py
    node bench/reference/python.mjs public_generator.py exported.safetensors    (only: does it load, name by name?)

Written from the published names and shapes (rosinality/stylegan2-pytorch) and the paper, from nobody's code: torch's own
layers in torch's own layouts, [out, in] and [out, in, k, k], upsampling by conv_transpose2d. Makes
test/lib/generator/fixtures/public-16px.safetensors (the state dictionary with `latent_avg`) and public-16px.json (images in
float64; z and noise maps by recipe.py).
"""

import json
import math
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.numpy import save_file
from torch import nn

from recipe import values
from stylegan2_torch import load_tensors, lrelu, upfirdn2d

OUT = Path(__file__).resolve().parents[2] / "test/lib/generator/fixtures"
KERNEL = torch.outer(torch.tensor([1.0, 3.0, 3.0, 1.0]), torch.tensor([1.0, 3.0, 3.0, 1.0])) / 16
WIDTHS = {4: 8, 8: 8, 16: 4}
LATENT, LAYERS, CHANNELS, IMAGES = 8, 2, 3, 2


def parameter(*shape):
    return nn.Parameter(torch.zeros(*shape))


class Linear(nn.Module):
    def __init__(self, inputs, outputs, rate=1.0):
        super().__init__()
        self.weight, self.bias = parameter(outputs, inputs), parameter(outputs)
        self.rate = rate

    def forward(self, x):
        return F.linear(x, self.weight * (self.rate / math.sqrt(x.shape[1])), self.bias * self.rate)


class Filter(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("kernel", KERNEL.clone())


class Modulated(nn.Module):
    def __init__(self, inputs, outputs, size, up=False):
        super().__init__()
        self.weight = parameter(1, outputs, inputs, size, size)
        self.modulation = Linear(LATENT, inputs)
        if up:
            self.blur = Filter()
        self.up = up

    def forward(self, x, w):
        """One sample after the other, each with a kernel of its own."""
        size = self.weight.shape[-1]
        results = []
        for sample, style in zip(x, self.modulation(w)):
            kernel = self.weight[0] / math.sqrt(self.weight[0, 0].numel()) * style[None, :, None, None]
            if size > 1:
                kernel = kernel * torch.rsqrt(kernel.square().sum([1, 2, 3], keepdim=True) + 1e-8)
            if self.up:
                y = F.conv_transpose2d(sample[None], kernel.transpose(0, 1), stride=2)
                y = upfirdn2d(y, pad=(1, 1), gain=4)
            else:
                y = F.conv2d(sample[None], kernel, padding=size // 2)
            results.append(y)
        return torch.cat(results)


class Noise(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = parameter(1)


class Activate(nn.Module):
    def __init__(self, maps):
        super().__init__()
        self.bias = parameter(maps)


class Styled(nn.Module):
    def __init__(self, inputs, outputs, up=False):
        super().__init__()
        self.conv = Modulated(inputs, outputs, 3, up)
        self.noise, self.activate = Noise(), Activate(outputs)

    def forward(self, x, w, noise):
        return lrelu(self.conv(x, w) + self.noise.weight * noise + self.activate.bias[None, :, None, None])


class ToRgb(nn.Module):
    def __init__(self, inputs, up=True):
        super().__init__()
        if up:
            self.upsample = Filter()
        self.conv = Modulated(inputs, CHANNELS, 1)
        self.bias = parameter(1, CHANNELS, 1, 1)

    def forward(self, x, w, image):
        y = self.conv(x, w) + self.bias
        return y if image is None else y + upfirdn2d(image, up=2, pad=(2, 1), gain=4)


class Constant(nn.Module):
    def __init__(self, maps):
        super().__init__()
        self.input = parameter(1, maps, 4, 4)


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.style = nn.Sequential(nn.Identity(), *(Linear(LATENT, LATENT, 0.01) for _ in range(LAYERS)))
        self.input = Constant(WIDTHS[4])
        self.conv1, self.to_rgb1 = Styled(WIDTHS[4], WIDTHS[4]), ToRgb(WIDTHS[4], up=False)
        blocks = [side for side in WIDTHS if side > 4]
        pairs = [(Styled(WIDTHS[b // 2], WIDTHS[b], up=True), Styled(WIDTHS[b], WIDTHS[b])) for b in blocks]
        self.convs = nn.ModuleList([layer for pair in pairs for layer in pair])
        self.to_rgbs = nn.ModuleList([ToRgb(WIDTHS[b]) for b in blocks])
        self.noises = nn.Module()
        for j, side in enumerate([4] + [b for b in blocks for _ in range(2)]):
            self.noises.register_buffer(f"noise_{j}", torch.zeros(1, 1, side, side))

    def forward(self, z):
        w = z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8)
        for layer in list(self.style)[1:]:
            w = lrelu(layer(w))
        noise = [getattr(self.noises, f"noise_{j}") for j in range(len(self.convs) + 1)]
        x = self.conv1(self.input.input.expand(len(z), -1, -1, -1), w, noise[0])
        image = self.to_rgb1(x, w, None)
        for block, to_rgb in enumerate(self.to_rgbs):
            for j in (2 * block, 2 * block + 1):
                x = self.convs[j](x, w, noise[j + 1])
            image = to_rgb(x, w, image)
        return image


def filled():
    """The state dictionary: initial scale, and what starts at 0 or 1 moved off it, so that every tensor matters."""
    state = Generator().state_dict()
    for name, x in state.items():
        if name.endswith(".kernel"):
            continue
        scale = 1.0
        if name.startswith("style."):
            scale = 100.0 if name.endswith("weight") else 10.0
        elif name.endswith("bias") or name.endswith("noise.weight"):
            scale = 0.1
        if name.endswith("modulation.bias"):
            scale = 1.0  # far from 1 too: there 1 cannot be taken off without rounding
        state[name] = torch.from_numpy(values(f"public/{name}", tuple(x.shape), scale))
    return state


def main():
    model = Generator()
    if len(sys.argv) > 1:
        state = load_tensors(sys.argv[1])
        del state["latent_avg"]
        wanted, found = set(model.state_dict()), set(state)
        print(f"missing {sorted(wanted - found)}, unexpected {sorted(found - wanted)}")
        model.load_state_dict(state)
        return
    state = filled()
    model.load_state_dict(state)
    z = torch.from_numpy(values("public/z", (IMAGES, LATENT))).double()
    with torch.no_grad():
        images = model.double()(z).permute(0, 2, 3, 1)
    file = OUT / "public-16px.safetensors"
    tensors = {**state, "latent_avg": torch.from_numpy(values("public/latent_avg", (LATENT,)))}
    save_file({name: x.contiguous().numpy() for name, x in tensors.items()}, file, metadata={"format": "pt"})
    fixture = dict(
        madeBy=dict(torch=torch.__version__.split("+")[0]),
        shape=dict(resolution=16, channels=CHANNELS, latentSize=LATENT, mappingLayers=LAYERS, widths=list(WIDTHS.values())),
        images=[float(f"{x:.7e}") for x in images.reshape(-1).tolist()],
    )
    (OUT / "public-16px.json").write_text(json.dumps(fixture, separators=(",", ":")) + "\n")


main()

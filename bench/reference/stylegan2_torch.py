"""StyleGAN2 in PyTorch: networks, losses, lazy regularisation, Adam, moving average.

Written from the papers and a specification in words, from nobody's code (Karras et al. 2020, "Analyzing and Improving the
Image Quality of StyleGAN"; Mescheder et al. 2018 for R1). It is the independent check of lib/generator and the other side
of the benchmark; the product does not use it. NCHW; weights are named and stored as lib/generator/architecture.ts has them
(NHWC, HWIO) and turned when loaded.

Every operation has two forms that must agree: `definition`, literal and slow (insert zeros, pad, filter, pick; one kernel
per sample), which makes the fixtures in float64; and `fast`, the best form found on a CPU, which is measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = dict[str, Tensor]

MAPPING_LAMBDA = 0.01
SLOPE = 0.2
GAIN = math.sqrt(2)
FIR = (1.0, 3.0, 3.0, 1.0)


@dataclass(frozen=True)
class Shape:
    resolution: int
    channels: int
    fmap_base: int
    fmap_max: int
    latent_size: int
    mapping_layers: int
    g_architecture: str = "skip"
    d_architecture: str = "resnet"
    labels: int = 0

    def maps(self, resolution: int) -> int:
        return min(max(self.fmap_base // 2 ** (int(math.log2(resolution)) - 1), 1), self.fmap_max)

    @property
    def blocks(self) -> list[int]:
        return [2**i for i in range(2, int(math.log2(self.resolution)) + 1)]

    @property
    def styles(self) -> int:
        return 2 * int(math.log2(self.resolution)) - 2

    @property
    def noise_sizes(self) -> list[int]:
        return [side for block in self.blocks for side in ([4] if block == 4 else [block, block])]


# --- variables -----------------------------------------------------------------------------------------------------


def generator_variables(s: Shape) -> dict[str, tuple[tuple[int, ...], float]]:
    """Name -> (stored shape, standard deviation of the initial normal values; 0 for zeros)."""
    specs: dict[str, tuple[tuple[int, ...], float]] = {}
    width = s.latent_size
    if s.labels:
        specs["mapping/embedding"] = ((s.labels, width), 1.0)
    for i in range(s.mapping_layers):
        inputs = 2 * width if i == 0 and s.labels else width
        specs[f"mapping/dense{i}/weight"] = ((inputs, width), 1 / MAPPING_LAMBDA)
        specs[f"mapping/dense{i}/bias"] = ((width,), 0.0)
    specs["synthesis/b4/const"] = ((1, 4, 4, s.maps(4)), 1.0)

    def modulated(layer: str, kernel: int, inputs: int, outputs: int) -> None:
        specs[f"{layer}/affineWeight"] = ((width, inputs), 1.0)
        specs[f"{layer}/affineBias"] = ((inputs,), 0.0)
        specs[f"{layer}/weight"] = ((kernel, kernel, inputs, outputs), 1.0)
        specs[f"{layer}/bias"] = ((outputs,), 0.0)
        if kernel == 3:
            specs[f"{layer}/noiseStrength"] = ((), 0.0)

    for block in s.blocks:
        name, to = f"synthesis/b{block}", s.maps(block)
        if block > 4:
            modulated(f"{name}/conv0", 3, s.maps(block // 2), to)
        modulated(f"{name}/conv1", 3, to, to)
        if block > 4 and s.g_architecture == "resnet":
            specs[f"{name}/skip/weight"] = ((1, 1, s.maps(block // 2), to), 1.0)
        if s.g_architecture == "skip" or block == s.resolution:
            modulated(f"{name}/toRgb", 1, to, s.channels)
    return specs


def discriminator_variables(s: Shape) -> dict[str, tuple[tuple[int, ...], float]]:
    specs: dict[str, tuple[tuple[int, ...], float]] = {}

    def conv(layer: str, kernel: int, inputs: int, outputs: int) -> None:
        specs[f"{layer}/weight"] = ((kernel, kernel, inputs, outputs), 1.0)
        specs[f"{layer}/bias"] = ((outputs,), 0.0)

    for block in reversed(s.blocks):
        if s.d_architecture == "skip" or block == s.resolution:
            conv(f"b{block}/fromRgb", 1, s.channels, s.maps(block))
        if block == 4:
            break
        conv(f"b{block}/conv0", 3, s.maps(block), s.maps(block))
        conv(f"b{block}/conv1", 3, s.maps(block), s.maps(block // 2))
        if s.d_architecture == "resnet":
            specs[f"b{block}/skip/weight"] = ((1, 1, s.maps(block), s.maps(block // 2)), 1.0)
    last = s.maps(4)
    conv("b4/conv", 3, last + 1, last)
    specs["b4/dense/weight"] = ((16 * last, last), 1.0)
    specs["b4/dense/bias"] = ((last,), 0.0)
    specs["b4/output/weight"] = ((last, max(s.labels, 1)), 1.0)
    specs["b4/output/bias"] = ((max(s.labels, 1),), 0.0)
    return specs


def from_stored(name: str, x: Tensor) -> Tensor:
    """Stored layout (HWIO; rows of the dense layer in h, w, c order) -> this file's (OIHW; c, h, w)."""
    if name.endswith("/const"):
        return x.permute(0, 3, 1, 2)
    if x.dim() == 4:
        return x.permute(3, 2, 0, 1)
    if name == "b4/dense/weight":
        return x.reshape(4, 4, -1, x.shape[1]).permute(2, 0, 1, 3).reshape(x.shape)
    return x


def to_stored(name: str, x: Tensor) -> Tensor:
    """The inverse of `from_stored`, for gradients."""
    if name.endswith("/const"):
        return x.permute(0, 2, 3, 1)
    if x.dim() == 4:
        return x.permute(2, 3, 1, 0)
    if name == "b4/dense/weight":
        return x.reshape(-1, 4, 4, x.shape[1]).permute(1, 2, 0, 3).reshape(x.shape)
    return x


def load_tensors(file: str) -> dict[str, Tensor]:
    """All tensors of a safetensors file. (The package's own loader for PyTorch wants one more package.)"""
    from safetensors.numpy import load_file

    return {name: torch.from_numpy(x) for name, x in load_file(file).items()}


def load_weights(file: str, prefix: str, specs: dict[str, tuple[tuple[int, ...], float]]) -> Weights:
    """Leaves of one network from a safetensors file; names and shapes must be exactly the expected ones."""
    stored = {name[len(prefix) :]: x for name, x in load_tensors(file).items() if name.startswith(prefix)}
    if set(stored) != set(specs):
        raise ValueError(f"{file} holds other variables of {prefix}: {sorted(set(stored) ^ set(specs))[:5]}")
    for name, (shape, _) in specs.items():
        if tuple(stored[name].shape) != shape:
            raise ValueError(f"{prefix}{name} has shape {tuple(stored[name].shape)}, expected {shape}")
    return {name: leaf(name, stored[name]) for name in specs}


def leaf(name: str, stored: Tensor) -> Tensor:
    x = from_stored(name, stored)
    layout = torch.channels_last if x.dim() == 4 else torch.contiguous_format
    return x.clone(memory_format=layout).requires_grad_(True)


# --- operations ----------------------------------------------------------------------------------------------------


def fir_kernel(like: Tensor, gain: float) -> Tensor:
    taps = torch.tensor(FIR, dtype=like.dtype if like.dtype == torch.float64 else torch.float32, device=like.device)
    return torch.outer(taps, taps) * (gain / 64)


def upfirdn2d(x: Tensor, up: int = 1, down: int = 1, pad: tuple[int, int] = (0, 0), gain: float = 1.0) -> Tensor:
    """Insert up - 1 zeros after each sample, pad, correlate with the FIR, keep every down-th sample."""
    n, c, h, w = x.shape
    x = F.pad(x.reshape(n, c, h, 1, w, 1), [0, up - 1, 0, 0, 0, up - 1]).reshape(n, c, h * up, w * up)
    x = F.pad(x, [pad[0], pad[1], pad[0], pad[1]])
    x = F.conv2d(x, fir_kernel(x, gain).expand(c, 1, 4, 4), groups=c)
    return x[:, :, ::down, ::down]


class Definition:
    """Literal forms."""

    @staticmethod
    def up_image(x: Tensor) -> Tensor:
        return upfirdn2d(x, up=2, pad=(2, 1), gain=4)

    @staticmethod
    def down_image(x: Tensor) -> Tensor:
        return upfirdn2d(x, down=2, pad=(1, 1))

    @staticmethod
    def conv(x: Tensor, stored: Tensor, bias: Tensor, down: bool = False) -> Tensor:
        weight = scaled(stored)
        y = F.conv2d(upfirdn2d(x, pad=(2, 2)), weight, stride=2) if down else F.conv2d(x, weight, padding=pad_of(weight))
        return lrelu(y + bias[None, :, None, None])

    @staticmethod
    def residual(main: Tensor, skip: Tensor) -> Tensor:
        return (main + skip) / math.sqrt(2)

    @staticmethod
    def shortcut(x: Tensor, stored: Tensor) -> Tensor:
        return F.conv2d(x, scaled(stored))

    @staticmethod
    def styled(x: Tensor, stored: Tensor, s: Tensor, bias: Tensor, noise: Tensor, up: bool) -> Tensor:
        y = Definition.modulated(x, scaled(stored), s, up, True)
        return lrelu(y + noise + bias[None, :, None, None])

    @staticmethod
    def pixels(x: Tensor, stored: Tensor, s: Tensor, bias: Tensor) -> Tensor:
        return Definition.modulated(x, scaled(stored), s, False, False) + bias[None, :, None, None]

    @staticmethod
    def modulated(x: Tensor, weight: Tensor, s: Tensor, up: bool, demodulate: bool) -> Tensor:
        """One kernel per sample: the batch is folded into the channels of a grouped convolution."""
        n, _, h, w = x.shape
        own = weight[None] * s[:, None, :, None, None]  # [N, Cout, Cin, k, k]
        if demodulate:
            own = own * torch.rsqrt(own.square().sum([2, 3, 4], keepdim=True) + 1e-8)
        if up:
            x = upfirdn2d(x, up=2, pad=(3, 2), gain=4)
        folded = x.reshape(1, -1, x.shape[2], x.shape[3])
        y = F.conv2d(folded, own.reshape(-1, *own.shape[2:]), groups=n, padding=0 if up else pad_of(weight))
        return y.reshape(n, -1, h * 2 if up else h, w * 2 if up else w)


class Fast:
    """Forms for speed: strided convolutions, the style on activations instead of kernels, gains and scales on the small
    tensors (f(g x) = g f(x) for the leaky ReLU), everything in the type of the activations."""

    @staticmethod
    def fir(x: Tensor, gain: float = 1.0, stride: int = 1, padding: int = 0) -> Tensor:
        c = x.shape[1]
        return F.conv2d(x, fir_kernel(x, gain).to(x.dtype).expand(c, 1, 4, 4), stride=stride, padding=padding, groups=c)

    @staticmethod
    def up_image(x: Tensor) -> Tensor:
        c = x.shape[1]
        kernel = fir_kernel(x, 4).to(x.dtype).expand(c, 1, 4, 4)
        return F.conv_transpose2d(x, kernel, stride=2, padding=1, groups=c)

    @staticmethod
    def down_image(x: Tensor) -> Tensor:
        return Fast.fir(x, stride=2, padding=1)

    @staticmethod
    def conv(x: Tensor, stored: Tensor, bias: Tensor, down: bool = False) -> Tensor:
        weight, bias = scaled(stored, gain=GAIN), bias * GAIN
        if down:
            return F.leaky_relu(F.conv2d(Fast.fir(x, padding=2), weight, bias, stride=2), SLOPE)
        return F.leaky_relu(F.conv2d(x, weight, bias, padding=pad_of(weight)), SLOPE)

    @staticmethod
    def residual(main: Tensor, skip: Tensor) -> Tensor:
        return torch.add(skip, main, alpha=math.sqrt(0.5))

    @staticmethod
    def shortcut(x: Tensor, stored: Tensor) -> Tensor:
        return F.conv2d(x, scaled(stored, gain=math.sqrt(0.5)))  # see `residual`

    @staticmethod
    def styled(x: Tensor, stored: Tensor, s: Tensor, bias: Tensor, noise: Tensor, up: bool) -> Tensor:
        s = scaled(s, stored[0].numel())
        y = x * over_pixels(s, x)
        if up:
            y = F.conv_transpose2d(y, stored.flip(2, 3).transpose(0, 1), stride=2)
            y = Fast.fir(y, gain=4, padding=1)
        else:
            y = F.conv2d(y, stored, padding=pad_of(stored))
        d = torch.rsqrt(s.square() @ stored.square().sum([2, 3]).t() + 1e-8) * GAIN
        y = torch.addcmul((noise * GAIN).to(y.dtype), y, over_pixels(d, y))
        return F.leaky_relu(y + (bias * GAIN).to(y.dtype)[None, :, None, None], SLOPE)

    @staticmethod
    def pixels(x: Tensor, stored: Tensor, s: Tensor, bias: Tensor) -> Tensor:
        return F.conv2d(x * over_pixels(scaled(s, stored[0].numel()), x), stored, bias)


Ops = type[Definition] | type[Fast]


def lrelu(x: Tensor) -> Tensor:
    return F.leaky_relu(x, SLOPE) * GAIN


def pad_of(weight: Tensor) -> int:
    return weight.shape[2] // 2


def over_pixels(s: Tensor, x: Tensor) -> Tensor:
    return s.to(x.dtype)[:, :, None, None]


def scaled(weight: Tensor, fan_in: int | None = None, gain: float = 1.0) -> Tensor:
    """Equalised learning rate: [.., in..] / sqrt(fan in). Dense layers are [in, out], convolutions [out, in, k, k]."""
    return weight * (gain / math.sqrt(fan_in if fan_in is not None else weight[0].numel()))


def dense(w: Weights, layer: str, x: Tensor, lam: float = 1.0) -> Tensor:
    weight = w[f"{layer}/weight"]
    return x @ (scaled(weight, weight.shape[0]) * lam) + w[f"{layer}/bias"] * lam


# --- networks ------------------------------------------------------------------------------------------------------


def mapping(g: Weights, s: Shape, z: Tensor, labels: Tensor | None = None) -> Tensor:
    x = z if labels is None else torch.cat([z, labels @ g["mapping/embedding"]], 1)
    x = x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-8)
    for i in range(s.mapping_layers):
        x = lrelu(dense(g, f"mapping/dense{i}", x, MAPPING_LAMBDA))
    return x  # [N, L]


def style(g: Weights, layer: str, w: Tensor) -> Tensor:
    weight = g[f"{layer}/affineWeight"]
    return w @ scaled(weight, weight.shape[0]) + g[f"{layer}/affineBias"] + 1


def synthesis(g: Weights, s: Shape, ws: Tensor, noise: list[Tensor], ops: Ops = Definition) -> Tensor:
    """ws [N, styles, L], noise [N, 1, side, side] each -> images [N, channels, R, R]."""

    def layer(x: Tensor, name: str, index: int, up: bool) -> Tensor:
        drawn = noise[index] * g[f"{name}/noiseStrength"]
        return ops.styled(x, g[f"{name}/weight"], style(g, name, ws[:, index]), g[f"{name}/bias"], drawn, up)

    def to_rgb(x: Tensor, name: str, index: int) -> Tensor:
        return ops.pixels(x, g[f"{name}/weight"], style(g, name, ws[:, index]), g[f"{name}/bias"])

    x = g["synthesis/b4/const"].expand(ws.shape[0], -1, -1, -1)
    image: Tensor | None = None
    for block in s.blocks:
        name, r = f"synthesis/b{block}", int(math.log2(block))
        before = x
        if block > 4:
            x = layer(x, f"{name}/conv0", 2 * r - 5, True)
        x = layer(x, f"{name}/conv1", 2 * r - 4, False)
        if block > 4 and s.g_architecture == "resnet":
            x = ops.residual(x, ops.up_image(ops.shortcut(before, g[f"{name}/skip/weight"])))
        if s.g_architecture == "skip" or block == s.resolution:
            rgb = to_rgb(x, f"{name}/toRgb", 2 * r - 3)
            image = rgb if image is None else ops.up_image(image) + rgb
    assert image is not None
    return image


def minibatch_stddev(x: Tensor, group: int = 4) -> Tensor:
    """Image i belongs to group i mod (N / group)."""
    n, c, h, w = x.shape
    size = min(group, n)
    groups = n // size
    values = []
    for m in range(groups):
        members = x[m::groups]
        variance = (members - members.mean(0, keepdim=True)).square().mean(0)
        values.append((variance + 1e-8).sqrt().mean())
    maps = torch.stack(values).repeat(size)
    return torch.cat([x, maps[:, None, None, None].expand(n, 1, h, w)], 1)


def discriminator(d: Weights, s: Shape, images: Tensor, labels: Tensor | None = None, ops: Ops = Definition) -> Tensor:
    """images [N, channels, R, R] -> scores [N, 1]."""

    def conv(x: Tensor, name: str, down: bool = False) -> Tensor:
        return ops.conv(x, d[f"{name}/weight"], d[f"{name}/bias"], down)

    x: Tensor | None = None
    for block in reversed(s.blocks):
        name = f"b{block}"
        if s.d_architecture == "skip" or block == s.resolution:
            rgb = conv(images, f"{name}/fromRgb")
            x = rgb if x is None else x + rgb
        assert x is not None
        if block == 4:
            break
        y = conv(conv(x, f"{name}/conv0"), f"{name}/conv1", down=True)
        if s.d_architecture == "resnet":
            y = ops.residual(y, ops.shortcut(ops.down_image(x), d[f"{name}/skip/weight"]))
        if s.d_architecture == "skip":
            images = ops.down_image(images)
        x = y
    assert x is not None
    x = conv(minibatch_stddev(x), "b4/conv")
    x = lrelu(dense(d, "b4/dense", x.flatten(1)))
    scores = dense(d, "b4/output", x)
    return scores if labels is None else (scores * labels).sum(1, keepdim=True)


# --- losses --------------------------------------------------------------------------------------------------------


@dataclass
class Draws:
    z: Tensor  # [N, L]
    z_mix: Tensor  # [N, L]
    mix: Tensor  # [N, styles], 1 where a layer takes the second style
    noise: list[Tensor]  # [N, 1, side, side]
    labels: Tensor | None = None  # [N, labels], one-hot


def training_styles(g: Weights, s: Shape, draws: Draws) -> tuple[Tensor, Tensor]:
    """w [N, L] of the first latent, and ws [N, styles, L]."""
    w = mapping(g, s, draws.z, draws.labels)
    second = mapping(g, s, draws.z_mix, draws.labels)
    take = draws.mix[:, :, None]
    return w, torch.where(take > 0.5, second[:, None], w[:, None])


def g_main(g: Weights, d: Weights, s: Shape, draws: Draws, ops: Ops = Definition) -> Tensor:
    _, ws = training_styles(g, s, draws)
    scores = discriminator(d, s, synthesis(g, s, ws, draws.noise, ops), draws.labels, ops)
    return F.softplus(-scores.to(torch.promote_types(scores.dtype, torch.float32))).mean()


def g_path_length(
    g: Weights, s: Shape, draws: Draws, path_noise: Tensor, mean: Tensor, decay: float, weight: float, ops: Ops = Definition
) -> tuple[Tensor, Tensor, Tensor]:
    """Penalty, new running mean, mean length. The moved mean inside the penalty is not detached."""
    _, ws = training_styles(g, s, draws)
    images = synthesis(g, s, ws, draws.noise, ops)
    (jacobian,) = torch.autograd.grad((images * path_noise).sum(), ws, create_graph=True)
    lengths = jacobian.square().sum(2).mean(1).sqrt()  # [N]
    moved = mean + decay * (lengths.mean() - mean)
    return weight * (lengths - moved).square().mean(), moved, lengths.mean()


def d_main(
    d: Weights,
    s: Shape,
    reals: Tensor,
    fakes: Tensor,
    real_labels: Tensor | None = None,
    fake_labels: Tensor | None = None,
    ops: Ops = Definition,
) -> tuple[Tensor, Tensor, Tensor]:
    real = discriminator(d, s, reals, real_labels, ops)
    fake = discriminator(d, s, fakes, fake_labels, ops)
    real, fake = (x.to(torch.promote_types(x.dtype, torch.float32)) for x in (real, fake))
    return F.softplus(fake).mean() + F.softplus(-real).mean(), real.mean(), fake.mean()


def d_r1(
    d: Weights, s: Shape, reals: Tensor, gamma: float, labels: Tensor | None = None, ops: Ops = Definition
) -> Tensor:
    reals = reals.detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(discriminator(d, s, reals, labels, ops).sum(), reals, create_graph=True)
    return gamma / 2 * slope.square().sum([1, 2, 3]).mean()


# --- training ------------------------------------------------------------------------------------------------------


class LazyAdam:
    """Adam with beta1 0, beta2 0.99, corrected for a regulariser every k minibatches: lr c, beta2^c with c = k / (k + 1)."""

    def __init__(self, variables: list[Tensor], learning_rate: float, interval: int):
        c = interval / (interval + 1)
        self.variables, self.rate, self.beta2, self.steps = variables, learning_rate * c, 0.99**c, 0
        self.second = [torch.zeros_like(v) for v in variables]

    @torch.no_grad()
    def step(self, gradients: list[Tensor | None]) -> None:
        self.steps += 1
        rate = self.rate * math.sqrt(1 - self.beta2**self.steps)
        given = [torch.zeros_like(v) if g is None else g for g, v in zip(gradients, self.variables)]
        torch._foreach_mul_(self.second, self.beta2)
        torch._foreach_addcmul_(self.second, given, given, 1 - self.beta2)
        denominators = torch._foreach_sqrt(self.second)
        torch._foreach_add_(denominators, 1e-8)
        torch._foreach_addcdiv_(self.variables, given, denominators, -rate)


@dataclass
class Settings:
    batch: int
    r1_gamma: float
    learning_rate: float = 0.002
    d_interval: int = 16
    g_interval: int = 4
    pl_weight: float = 2.0
    pl_decay: float = 0.01
    mixing: float = 0.9
    bf16: bool = False


class Trainer:
    """The four phases and the moving average, each with its own draws, in the fast form."""

    def __init__(self, s: Shape, g: Weights, d: Weights, settings: Settings):
        self.s, self.g, self.d, self.settings = s, g, d, settings
        self.average = {name: v.detach().clone() for name, v in g.items()}
        self.w_avg = torch.zeros(s.latent_size)
        self.pl_mean = torch.zeros(())
        self.adam_g = LazyAdam(list(g.values()), settings.learning_rate, settings.g_interval)
        self.adam_d = LazyAdam(list(d.values()), settings.learning_rate, settings.d_interval)

    def autocast(self) -> torch.autocast:
        return torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.settings.bf16)

    def draw(self, count: int) -> Draws:
        s = self.s
        mix = torch.zeros(count, s.styles)
        for first in range(0, count, 4):
            if torch.rand(()) < self.settings.mixing:
                mix[first : first + 4, int(torch.randint(1, s.styles, ())) :] = 1
        z, z_mix = torch.randn(count, s.latent_size), torch.randn(count, s.latent_size)
        return Draws(z, z_mix, mix, [torch.randn(count, 1, side, side) for side in s.noise_sizes])

    def move_w_avg(self, draws: Draws) -> None:
        with torch.no_grad():
            beta = 0.995 ** (draws.z.shape[0] / 4)
            self.w_avg.lerp_(mapping(self.g, self.s, draws.z).mean(0), 1 - beta)

    def g_main(self, draws: Draws | None = None, update: bool = True) -> float:
        draws = draws or self.draw(self.settings.batch)
        with self.autocast():
            loss = g_main(self.g, self.d, self.s, draws, Fast)
        return self.finish(loss, self.g, self.adam_g, update, draws)

    def g_path_length(
        self, draws: Draws | None = None, path_noise: Tensor | None = None, update: bool = True
    ) -> float:
        s, settings = self.s, self.settings
        count = settings.batch // 2
        draws = draws or self.draw(count)
        if path_noise is None:
            path_noise = torch.randn(count, s.channels, s.resolution, s.resolution) / s.resolution
        decay = 1 - (1 - settings.pl_decay) ** (settings.batch / 4)
        with self.autocast():
            penalty, moved, _ = g_path_length(
                self.g, s, draws, path_noise, self.pl_mean, decay, settings.pl_weight, Fast
            )
        if update:
            self.pl_mean = moved.detach()
        self.finish(penalty * settings.g_interval, self.g, self.adam_g, update, draws)
        return float(penalty.detach())

    def d_main(self, reals: Tensor, draws: Draws | None = None, update: bool = True) -> float:
        draws = draws or self.draw(self.settings.batch)
        with self.autocast():
            with torch.no_grad():
                fakes = synthesis(self.g, self.s, training_styles(self.g, self.s, draws)[1], draws.noise, Fast)
            loss, _, _ = d_main(self.d, self.s, reals, fakes, ops=Fast)
        return self.finish(loss, self.d, self.adam_d, update, draws)

    def d_r1(self, reals: Tensor, update: bool = True) -> float:
        with self.autocast():
            penalty = d_r1(self.d, self.s, reals, self.settings.r1_gamma, ops=Fast)
        self.finish(penalty * self.settings.d_interval, self.d, self.adam_d, update, None)
        return float(penalty.detach())

    def finish(self, loss: Tensor, weights: Weights, adam: LazyAdam, update: bool, draws: Draws | None) -> float:
        if update:
            adam.step(list(torch.autograd.grad(loss, list(weights.values()), allow_unused=True)))
            if draws is not None:
                self.move_w_avg(draws)
        return float(loss.detach())

    @torch.no_grad()
    def ema(self, beta: float) -> None:
        torch._foreach_lerp_(list(self.average.values()), [v.detach() for v in self.g.values()], 1 - beta)

"""Features of FID's network in PyTorch with weights by formula, for test/lib/metrics/inception-2015.test.ts.

    node bench/reference/python.mjs make_inception_fixture.py

Float64, the network and TensorFlow 1's resize written out from their definitions (evaluation.md 2.1). The weights pass through
inception_2015_convert.py under their published names on the way, so the fixture checks the converter as well.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open

import inception_2015_convert as converter
from integer_recipe import image_bytes, mixed, recipe

OUT = Path(__file__).resolve().parents[2] / "test/lib/metrics/fixtures/inception-2015.json"
COUNT = 2
CASES = {"299px-rgb": (299, 3), "64px-grey": (64, 1)}
KEPT = 64  # features stored of each image


class Network:
    """Notes every normalised, rectified activation; `shapes` collects the kernels [O, I, h, w] of a dry run."""

    def __init__(self, weights):
        self.weights = weights
        self.shapes = {}
        self.outputs = {}

    def conv(self, x, name, filters, kernel, stride=1, padding=None):
        kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = tuple(k // 2 for k in kernel) if padding is None else padding
        self.shapes[name] = (filters, x.shape[1], *kernel)
        w = self.weights(name, self.shapes[name])
        y = F.conv2d(x, w["kernel"], stride=stride, padding=padding)
        mean, variance, beta = (w[k].view(1, -1, 1, 1) for k in ("moving_mean", "moving_variance", "beta"))
        y = F.relu((y - mean) / torch.sqrt(variance + 1e-3) + beta)
        self.outputs[name] = y
        return y

    def mean3(self, x):
        return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)

    def block_5(self, x, b, pool):
        n = f"Mixed_{b}.branch"
        five = self.conv(self.conv(x, f"{n}5x5_1", 48, 1), f"{n}5x5_2", 64, 5)
        double = self.conv(x, f"{n}3x3dbl_1", 64, 1)
        double = self.conv(self.conv(double, f"{n}3x3dbl_2", 96, 3), f"{n}3x3dbl_3", 96, 3)
        return torch.cat([self.conv(x, f"{n}1x1", 64, 1), five, double, self.conv(self.mean3(x), f"{n}_pool", pool, 1)], 1)

    def block_6a(self, x):
        n = "Mixed_6a.branch"
        double = self.conv(self.conv(x, f"{n}3x3dbl_1", 64, 1), f"{n}3x3dbl_2", 96, 3)
        double = self.conv(double, f"{n}3x3dbl_3", 96, 3, stride=2, padding=0)
        return torch.cat([self.conv(x, f"{n}3x3", 384, 3, stride=2, padding=0), double, F.max_pool2d(x, 3, 2)], 1)

    def block_6(self, x, b, c):
        n = f"Mixed_{b}.branch"
        seven = self.conv(self.conv(x, f"{n}7x7_1", c, 1), f"{n}7x7_2", c, (1, 7))
        seven = self.conv(seven, f"{n}7x7_3", 192, (7, 1))
        double = self.conv(self.conv(x, f"{n}7x7dbl_1", c, 1), f"{n}7x7dbl_2", c, (7, 1))
        double = self.conv(self.conv(double, f"{n}7x7dbl_3", c, (1, 7)), f"{n}7x7dbl_4", c, (7, 1))
        double = self.conv(double, f"{n}7x7dbl_5", 192, (1, 7))
        return torch.cat([self.conv(x, f"{n}1x1", 192, 1), seven, double, self.conv(self.mean3(x), f"{n}_pool", 192, 1)], 1)

    def block_7a(self, x):
        n = "Mixed_7a.branch"
        three = self.conv(self.conv(x, f"{n}3x3_1", 192, 1), f"{n}3x3_2", 320, 3, stride=2, padding=0)
        seven = self.conv(self.conv(x, f"{n}7x7x3_1", 192, 1), f"{n}7x7x3_2", 192, (1, 7))
        seven = self.conv(self.conv(seven, f"{n}7x7x3_3", 192, (7, 1)), f"{n}7x7x3_4", 192, 3, stride=2, padding=0)
        return torch.cat([three, seven, F.max_pool2d(x, 3, 2)], 1)

    def block_7(self, x, b, pooled):
        n = f"Mixed_{b}.branch"
        three = self.conv(x, f"{n}3x3_1", 384, 1)
        three = [self.conv(three, f"{n}3x3_2a", 384, (1, 3)), self.conv(three, f"{n}3x3_2b", 384, (3, 1))]
        double = self.conv(self.conv(x, f"{n}3x3dbl_1", 448, 1), f"{n}3x3dbl_2", 384, 3)
        double = [self.conv(double, f"{n}3x3dbl_3a", 384, (1, 3)), self.conv(double, f"{n}3x3dbl_3b", 384, (3, 1))]
        return torch.cat([self.conv(x, f"{n}1x1", 320, 1), *three, *double, self.conv(pooled(x), f"{n}_pool", 192, 1)], 1)

    def features(self, x):
        x = self.conv(x, "Conv2d_1a_3x3", 32, 3, stride=2, padding=0)
        x = self.conv(self.conv(x, "Conv2d_2a_3x3", 32, 3, padding=0), "Conv2d_2b_3x3", 64, 3)
        x = F.max_pool2d(x, 3, 2)
        x = self.conv(self.conv(x, "Conv2d_3b_1x1", 80, 1), "Conv2d_4a_3x3", 192, 3, padding=0)
        x = F.max_pool2d(x, 3, 2)
        for b, pool in (("5b", 32), ("5c", 64), ("5d", 64)):
            x = self.block_5(x, b, pool)
        x = self.block_6a(x)
        for b, c in (("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)):
            x = self.block_6(x, b, c)
        x = self.block_7a(x)
        x = self.block_7(x, "7b", self.mean3)
        x = self.block_7(x, "7c", lambda y: F.max_pool2d(y, 3, 1, padding=1))
        return x.mean((2, 3))


def resize_tf1(images: np.ndarray, side: int) -> np.ndarray:
    """Bilinear: destination i reads source i * in / out; [N, H, W, C] float64."""

    def along(values, axis):
        size = values.shape[axis]
        position = np.arange(side) * (size / side)
        low = np.floor(position).astype(int)
        high = np.minimum(low + 1, size - 1)
        share = (position - low).reshape([-1 if i == axis else 1 for i in range(values.ndim)])
        return np.take(values, low, axis) * (1 - share) + np.take(values, high, axis) * share

    return along(along(images.astype(np.float64), 1), 2)


def scaled(side: int, channels: int) -> torch.Tensor:
    images = resize_tf1(image_bytes(COUNT, side)[..., :channels], 299)
    return torch.from_numpy((np.repeat(images, 3 // channels, -1) - 128) / 128).permute(0, 3, 1, 2)


def published_state() -> dict[str, torch.Tensor]:
    """The recipe's weights, named and laid out as the published file is, with its classification layer."""
    dry = Network(lambda name, shape: {k: torch.ones(shape if k == "kernel" else shape[0], dtype=torch.float64) for k in ("kernel", "beta", "moving_mean", "moving_variance")})
    dry.features(scaled(299, 3)[:1])
    ours = {theirs: name for name, theirs in converter.layers().items()}
    state = {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    for name, (o, i, h, w) in dry.shapes.items():
        state[f"{name}.conv.weight"] = torch.from_numpy(recipe(f"{ours[name]}/kernel", (h, w, i, o))).permute(3, 2, 0, 1)
        state[f"{name}.bn.weight"] = torch.ones(o)
        state[f"{name}.bn.num_batches_tracked"] = torch.tensor(0)
        for weight, key in (("beta", "bias"), ("moving_mean", "running_mean"), ("moving_variance", "running_var")):
            state[f"{name}.bn.{key}"] = torch.from_numpy(recipe(f"{ours[name]}_bn/{weight}", (o,)))
    return state


def converted(state: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    with tempfile.TemporaryDirectory() as directory:
        source, target = Path(directory) / "published.pth", Path(directory) / "converted.safetensors"
        torch.save(state, source)
        converter.convert_file(source, target)
        with safe_open(target, "numpy") as file:
            assert file.metadata()["format"] == converter.FORMAT["format"]
            return {name: file.get_tensor(name) for name in file.keys()}


def number(value) -> float:
    return float(f"{float(value):.9g}")


def digest(name: str, values: np.ndarray) -> list[float]:
    flat = values.reshape(-1)
    picks = mixed(f"pick/{name}", 4) % np.uint64(flat.size)
    return [number(v) for v in (flat.mean(), np.sqrt(np.mean(flat**2)), *flat[picks])]


def main() -> None:
    torch.set_grad_enabled(False)
    state = published_state()
    files = converted(state)
    for name, values in files.items():
        assert np.array_equal(values, recipe(name, values.shape)), f"the converter changed {name}"
    parameters = sum(v.size for v in files.values())
    ours = {theirs: name for name, theirs in converter.layers().items()}

    def weights(name, shape):
        keys = {"moving_mean": "running_mean", "moving_variance": "running_var", "beta": "bias"}
        out = {k: state[f"{name}.bn.{v}"].double() for k, v in keys.items()}
        return {"kernel": state[f"{name}.conv.weight"].double(), **out}

    cases = {}
    for case, (side, channels) in CASES.items():
        network = Network(weights)
        features = network.features(scaled(side, channels)).numpy()
        layers = {f"{ours[n]}_bn": digest(f"{ours[n]}_bn", y.permute(0, 2, 3, 1).numpy()) for n, y in network.outputs.items()}
        kept = mixed("features", KEPT) % np.uint64(features.shape[1])
        cases[case] = {"side": side, "channels": channels, "layers": layers, "features": [[number(v) for v in row[kept]] for row in features]}
    OUT.write_text(json.dumps({"images": COUNT, "parameters": parameters, "variables": len(files), "cases": cases}) + "\n")
    print(f"{OUT.name}: {parameters:,} parameters in {len(files)} variables")


if __name__ == "__main__":
    main()

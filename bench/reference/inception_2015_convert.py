"""Converts the published PyTorch form of FID's network into what snapshotMetric.inceptionWeights takes.

    node bench/reference/python.mjs inception_2015_convert.py pt_inception-2015-12-05-6726825d.pth inception-2015.safetensors

The input is the state dictionary that pytorch-fid and torch-fidelity publish: the TensorFlow graph of 2015-12-05 under
torchvision's names of layers. Everything is checked before anything is written: names, shapes, finite values, normalisations
without gamma. The classification layer (1008 outputs) is left out.
"""

import hashlib
import sys
from pathlib import Path

import torch
from safetensors.numpy import save_file

PUBLISHED = "6726825d"  # the published file's name ends with the start of its sha256
FORMAT = {"format": "echoforge-inception-2015", "formatVersion": "1"}
LEFT_OUT = ("fc.", "AuxLogits.")

STEM = {f"conv{n}": f"Conv2d_{n}_{k}" for n, k in (("1a", "3x3"), ("2a", "3x3"), ("2b", "3x3"), ("3b", "1x1"), ("4a", "3x3"))}
BLOCKS = ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c")
BRANCHES = {
    "5": {"1x1": "1x1", "5x5_1": "5x5_1", "5x5_2": "5x5_2", "double_1": "3x3dbl_1", "double_2": "3x3dbl_2", "double_3": "3x3dbl_3", "pool": "_pool"},
    "6a": {"3x3": "3x3", "double_1": "3x3dbl_1", "double_2": "3x3dbl_2", "double_3": "3x3dbl_3"},
    "6": {"1x1": "1x1", **{f"7x7_{i}": f"7x7_{i}" for i in (1, 2, 3)}, **{f"double_{i}": f"7x7dbl_{i}" for i in range(1, 6)}, "pool": "_pool"},
    "7a": {"3x3_1": "3x3_1", "3x3_2": "3x3_2", **{f"7x7_{i}": f"7x7x3_{i}" for i in range(1, 5)}},
    "7": {"1x1": "1x1", "3x3_1": "3x3_1", "3x3_2a": "3x3_2a", "3x3_2b": "3x3_2b", "double_1": "3x3dbl_1", "double_2": "3x3dbl_2", "double_3a": "3x3dbl_3a", "double_3b": "3x3dbl_3b", "pool": "_pool"},
}


def layers() -> dict[str, str]:
    """Published name of every convolution by ours."""
    out = dict(STEM)
    for index, block in enumerate(BLOCKS):
        for ours, theirs in BRANCHES.get(block, BRANCHES[block[0]]).items():
            out[f"mixed{index}/{ours}"] = f"Mixed_{block}.branch{theirs}"
    return out


def convert(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Kernels OIHW -> HWIO; shift and moving statistics as they are. Exits naming what does not fit."""
    left = {name for name in state if not name.startswith(LEFT_OUT) and not name.endswith("num_batches_tracked")}
    out, wrong = {}, []

    def take(name: str) -> torch.Tensor | None:
        left.discard(name)
        if name not in state:
            wrong.append(f"{name} is missing")
            return None
        value = state[name].float()
        if not torch.isfinite(value).all():
            wrong.append(f"{name} holds values that are not finite")
        return value

    for ours, theirs in layers().items():
        kernel = take(f"{theirs}.conv.weight")
        if kernel is not None:
            out[f"{ours}/kernel"] = kernel.permute(2, 3, 1, 0).contiguous()
        for weight, name in (("beta", "bias"), ("moving_mean", "running_mean"), ("moving_variance", "running_var")):
            value = take(f"{theirs}.bn.{name}")
            if value is not None:
                out[f"{ours}_bn/{weight}"] = value.contiguous()
        gamma = take(f"{theirs}.bn.weight")
        if gamma is not None and not torch.equal(gamma, torch.ones_like(gamma)):
            wrong.append(f"{theirs}.bn.weight is not 1: this is another training of the network")
    wrong += [f"{name} is not expected" for name in sorted(left)]
    if wrong:
        sys.exit("not the 2015-12-05 network: " + "; ".join(wrong[:5]) + (f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""))
    return out


def convert_file(source: Path, target: Path) -> None:
    found = hashlib.sha256(source.read_bytes()).hexdigest()
    state = torch.load(source, map_location="cpu", weights_only=True)
    tensors = convert(state)
    save_file({name: t.numpy() for name, t in tensors.items()}, target, metadata={**FORMAT, "source": found})
    print(f"{target}: {sum(t.numel() for t in tensors.values()):,} parameters from {source.name} (sha256 {found})")
    if not found.startswith(PUBLISHED):
        print(f"warning: the published file's sha256 begins with {PUBLISHED}; this one has the same layers and other bytes")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("expected the published .pth and the .safetensors to write")
    convert_file(Path(sys.argv[1]), Path(sys.argv[2]))

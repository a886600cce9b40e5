"""InceptionResNetV2 in Keras for comparison with lib/classifier: the published network from keras.applications, the same
definition with `width` and block repeats for fast tests, and weights and images that both sides compute by integers."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import re
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers
from keras.src.applications.inception_resnet_v2 import CustomScaleLayer

from integer_recipe import image_bytes, mixed, recipe  # noqa: F401 (keras_fixtures.py takes them from here)

MIN_FILTERS = 4
HEAD = ("dense_1", "predictions")


@dataclass(frozen=True)
class Architecture:
    width: float
    blocks: tuple[int, int, int]
    head_units: int
    classes: int
    input_size: int


def build(a: Architecture, automatic_names: bool = False) -> keras.Model:
    """Keras' definition (keras.applications.inception_resnet_v2) with scaled filters, and the study's head.

    Unnamed layers are counted from 1 here, or by Keras, from wherever its counters are."""
    created = 0

    def conv_bn(x, filters, kernel, strides=1, padding="same", name=None):
        nonlocal created
        if name is None:
            created += 1
        scaled = max(MIN_FILTERS, int(np.floor(filters * a.width + 0.5)))
        if name:
            conv, bn, ac = name, f"{name}_bn", f"{name}_ac"
        elif automatic_names:
            conv = bn = ac = None
        else:
            conv, bn, ac = f"conv2d_{created}", f"batch_normalization_{created}", f"activation_{created}"
        x = layers.Conv2D(scaled, kernel, strides=strides, padding=padding, use_bias=False, name=conv)(x)
        x = layers.BatchNormalization(axis=3, scale=False, name=bn)(x)
        return layers.Activation("relu", name=ac)(x)

    def residual(x, branches, name, scale, relu=True):
        mixed = layers.Concatenate(axis=3, name=f"{name}_mixed")(branches)
        up = layers.Conv2D(x.shape[-1], 1, padding="same", name=f"{name}_conv")(mixed)
        x = CustomScaleLayer(scale)([x, up])
        return layers.Activation("relu", name=f"{name}_ac")(x) if relu else x

    image = keras.Input((a.input_size, a.input_size, 3), name="image")
    x = conv_bn(image, 32, 3, strides=2, padding="valid")
    x = conv_bn(x, 32, 3, padding="valid")
    x = conv_bn(x, 64, 3)
    x = layers.MaxPooling2D(3, strides=2)(x)
    x = conv_bn(x, 80, 1, padding="valid")
    x = conv_bn(x, 192, 3, padding="valid")
    x = layers.MaxPooling2D(3, strides=2)(x)

    b0 = conv_bn(x, 96, 1)
    b1 = conv_bn(conv_bn(x, 48, 1), 64, 5)
    b2 = conv_bn(conv_bn(conv_bn(x, 64, 1), 96, 3), 96, 3)
    pool = conv_bn(layers.AveragePooling2D(3, strides=1, padding="same")(x), 64, 1)
    x = layers.Concatenate(axis=3, name="mixed_5b")([b0, b1, b2, pool])

    for i in range(1, a.blocks[0] + 1):
        b0 = conv_bn(x, 32, 1)
        b1 = conv_bn(conv_bn(x, 32, 1), 32, 3)
        b2 = conv_bn(conv_bn(conv_bn(x, 32, 1), 48, 3), 64, 3)
        x = residual(x, [b0, b1, b2], f"block35_{i}", 0.17)

    b0 = conv_bn(x, 384, 3, strides=2, padding="valid")
    b1 = conv_bn(conv_bn(conv_bn(x, 256, 1), 256, 3), 384, 3, strides=2, padding="valid")
    x = layers.Concatenate(axis=3, name="mixed_6a")([b0, b1, layers.MaxPooling2D(3, strides=2)(x)])

    for i in range(1, a.blocks[1] + 1):
        b0 = conv_bn(x, 192, 1)
        b1 = conv_bn(conv_bn(conv_bn(x, 128, 1), 160, (1, 7)), 192, (7, 1))
        x = residual(x, [b0, b1], f"block17_{i}", 0.1)

    b0 = conv_bn(conv_bn(x, 256, 1), 384, 3, strides=2, padding="valid")
    b1 = conv_bn(conv_bn(x, 256, 1), 288, 3, strides=2, padding="valid")
    b2 = conv_bn(conv_bn(conv_bn(x, 256, 1), 288, 3), 320, 3, strides=2, padding="valid")
    x = layers.Concatenate(axis=3, name="mixed_7a")([b0, b1, b2, layers.MaxPooling2D(3, strides=2)(x)])

    for i in range(1, a.blocks[2] + 2):
        last = i == a.blocks[2] + 1
        b0 = conv_bn(x, 192, 1)
        b1 = conv_bn(conv_bn(conv_bn(x, 192, 1), 224, (1, 3)), 256, (3, 1))
        x = residual(x, [b0, b1], f"block8_{i}", 1.0 if last else 0.2, relu=not last)

    x = conv_bn(x, 1536, 1, name="conv_7b")
    return keras.Model(image, add_head(x, a), name="inception_resnet_v2")


def published(a: Architecture) -> keras.Model:
    """keras.applications' own network without its top, with the study's head; unnamed layers keep Keras' numbers."""
    trunk = keras.applications.InceptionResNetV2(
        include_top=False, weights=None, input_shape=(a.input_size, a.input_size, 3)
    )
    return keras.Model(trunk.input, add_head(trunk.output, a), name="inception_resnet_v2")


def add_head(x, a: Architecture):
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    if a.head_units > 0:
        x = layers.Dense(a.head_units, activation="relu", name="dense_1")(x)
    return layers.Dense(a.classes, name="predictions")(x)


def creation_names(model: keras.Model) -> dict[str, str]:
    """Name of every layer as if unnamed layers had been counted from 1 in the order of creation."""
    names = {layer.name: layer.name for layer in model.layers}
    for kind in ("conv2d", "batch_normalization", "activation"):
        numbers = {}
        for layer in model.layers:
            match = re.fullmatch(rf"{kind}(?:_(\d+))?", layer.name)
            if match:
                numbers[int(match[1] or 0)] = layer.name
        for rank, number in enumerate(sorted(numbers), start=1):
            names[numbers[number]] = f"{kind}_{rank}"
    return names


def fill(model: keras.Model) -> None:
    names = creation_names(model)
    for layer in model.layers:
        for weight in layer.weights:
            weight.assign(recipe(f"{names[layer.name]}/{weight.name}", tuple(weight.shape)))


def scaled(images: np.ndarray) -> np.ndarray:
    return (images.astype(np.float32) / 127.5 - 1).astype(np.float32)

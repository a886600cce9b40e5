"""Writes what Keras computes with the weights of irv2.recipe, for test/lib/classifier and test/long.

    python bench/reference/keras_fixtures.py [small] [published] [order] [files]

Needs requirements-keras.txt. A layer's output is stored as its mean, its root mean square and four of its values.
"""

import gzip
import json
import sys
import tempfile
from pathlib import Path

import irv2  # first: it chooses Keras' backend
import h5py
import keras
import numpy as np
import tensorflow as tf
from keras import layers

FIXTURES = Path(__file__).parents[2] / "test" / "lib" / "classifier" / "fixtures"
SMALL = irv2.Architecture(width=0.0625, blocks=(1, 1, 1), head_units=32, classes=2, input_size=139)
TINY = irv2.Architecture(width=0.01, blocks=(1, 1, 1), head_units=4, classes=2, input_size=75)
PUBLISHED = {
    size: irv2.Architecture(width=1, blocks=(10, 20, 9), head_units=1024, classes=2, input_size=size)
    for size in (256, 299)
}


def number(value) -> float:
    return float(f"{float(value):.9g}")


def digest(name: str, tensor) -> list[float]:
    flat = np.asarray(tensor, dtype=np.float32).reshape(-1)
    wide = flat.astype(np.float64)
    picks = irv2.mixed(f"pick/{name}", 4) % np.uint64(flat.size)
    return [number(v) for v in (wide.mean(), np.sqrt(np.mean(wide**2)), *flat[picks])]


def normalised_outputs(model: keras.Model) -> dict[str, keras.KerasTensor]:
    """Outputs of all convolutions and, after its ReLU, of every normalisation, by creation name of the layer."""
    names = irv2.creation_names(model)
    outputs = {}
    for layer in model.layers:
        name = names[layer.name]
        if isinstance(layer, keras.layers.Conv2D):
            outputs[name] = layer.output
        elif isinstance(layer, keras.layers.BatchNormalization):
            after = name.replace("batch_normalization", "activation") if "conv_7b" not in name else "conv_7b_ac"
            by_name = {names[other.name]: other for other in model.layers}
            outputs[name] = by_name[after].output
    return outputs


def grad_cam(model: keras.Model, images: np.ndarray, target: int) -> np.ndarray:
    """Selvaraju et al. 2017, eq. 1 and 2, on the logit of `target`; before any scaling."""
    split = keras.Model(model.input, [model.get_layer("conv_7b_ac").output, model.output])
    with tf.GradientTape() as tape:
        maps, logits = split(images, training=False)
        tape.watch(maps)
        score = tf.reduce_sum(head_of(model, maps)[:, target])
    weights = tf.reduce_mean(tape.gradient(score, maps), axis=[1, 2], keepdims=True)
    return tf.nn.relu(tf.reduce_sum(maps * weights, axis=-1)).numpy()


def head_of(model: keras.Model, maps):
    x = model.get_layer("avg_pool")(maps)
    for name in irv2.HEAD:
        x = model.get_layer(name)(x)
    return x


def forward(model: keras.Model, a: irv2.Architecture, count: int) -> dict:
    images = irv2.scaled(irv2.image_bytes(count, a.input_size))
    outputs = normalised_outputs(model)
    probe = keras.Model(model.input, {**outputs, "avg_pool": model.get_layer("avg_pool").output, "logits": model.output})
    values = {name: np.asarray(value) for name, value in probe(images, training=False).items()}
    return {
        "architecture": {
            "width": a.width,
            "blocks": a.blocks,
            "headUnits": a.head_units,
            "inputSize": a.input_size,
        },
        "images": count,
        "parameters": model.count_params(),
        "layers": {name: digest(name, values[name]) for name in outputs},
        "features": [[number(v) for v in row] for row in values["avg_pool"]],
        "logits": [[number(v) for v in row] for row in values["logits"]],
        "gradCam": [
            [[number(v) for v in image.reshape(-1)] for image in grad_cam(model, images, target)] for target in (0, 1)
        ],
    }


def training(model: keras.Model, a: irv2.Architecture, count: int) -> dict:
    """Loss and gradients with the statistics of the batch and with frozen ones; moving statistics after one batch."""
    images = irv2.scaled(irv2.image_bytes(count, a.input_size))
    labels = np.eye(2, dtype=np.float32)[np.arange(count) % 2]
    names = irv2.creation_names(model)
    result = {}
    for mode in ("frozen", "batch"):
        irv2.fill(model)
        with tf.GradientTape() as tape:
            logits = model(images, training=mode == "batch")
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels, logits))
        variables = {
            f"{names[layer.name]}/{w.name}": w.value for layer in model.layers for w in layer.trainable_weights
        }
        gradients = tape.gradient(loss, list(variables.values()))
        result[mode] = {
            "loss": number(loss),
            "logits": [[number(v) for v in row] for row in logits.numpy()],
            "gradients": {name: digest(name, g.numpy()) for name, g in zip(variables, gradients)},
            "statistics": {
                f"{names[layer.name]}/{w.name}": digest(f"{names[layer.name]}/{w.name}", w.numpy())
                for layer in model.layers
                if isinstance(layer, keras.layers.BatchNormalization)
                for w in layer.non_trainable_weights
            },
        }
    irv2.fill(model)
    return result


def write_json(name: str, content: dict) -> None:
    content = {"madeBy": f"bench/reference/keras_fixtures.py, Keras {keras.__version__}, TensorFlow {tf.__version__}", **content}
    lines = []
    for key, value in content.items():
        if isinstance(value, dict) and len(value) > 4:
            inner = ",\n".join(f"    {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items())
            lines.append(f"  {json.dumps(key)}: {{\n{inner}\n  }}")
        else:
            lines.append(f"  {json.dumps(key)}: {json.dumps(value)}")
    (FIXTURES / name).write_text("{\n" + ",\n".join(lines) + "\n}\n")


def small() -> None:
    model = irv2.build(SMALL)
    irv2.fill(model)
    write_json("keras-small.json", {**forward(model, SMALL, 2), "training": training(model, SMALL, 4)})


def published() -> None:
    for size, architecture in PUBLISHED.items():
        keras.utils.clear_session()
        model = irv2.published(architecture)
        irv2.fill(model)
        write_json(f"keras-published-{size}.json", forward(model, architecture, 1))


def order() -> None:
    """Layers with weights as Keras lists them, by creation name: the order in which it reads a file."""
    keras.utils.clear_session()
    model = irv2.published(PUBLISHED[299])
    names = irv2.creation_names(model)
    write_json("keras-order.json", {"layers": [names[layer.name] for layer in model.layers if layer.weights]})


def files() -> None:
    """Weight files as Keras writes them, gzipped: old weights with split attributes, and a whole model around a nested trunk."""
    with tempfile.TemporaryDirectory() as directory:
        # Counters that do not begin at 1, as in a process that built other networks before.
        keras.utils.clear_session()
        for _ in range(7):
            layers.BatchNormalization()(layers.Conv2D(1, 1)(keras.Input((8, 8, 1))))
        model = irv2.build(TINY, automatic_names=True)
        irv2.fill(model)
        write_keras_2(model, Path(directory) / "keras-2-weights.h5", attribute_limit=900)
        inner = keras.Model(model.input, model.get_layer("conv_7b_ac").output, name="inception_resnet_v2")
        image = keras.Input((75, 75, 3))
        x = layers.GlobalAveragePooling2D()(inner(image))
        keras.Model(image, layers.Dense(3)(x)).save(Path(directory) / "keras-3-nested-model.h5")
        for file in Path(directory).iterdir():
            (FIXTURES / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes(), mtime=0))


def write_keras_2(model: keras.Model, path: Path, attribute_limit: int) -> None:
    """save_weights of Keras 2: `:0` behind every weight, attributes above a limit in numbered parts."""

    def put(group: h5py.Group, name: str, texts: list[str]) -> None:
        data = np.asarray([text.encode() for text in texts], dtype="S")
        parts = -(-data.nbytes // attribute_limit)
        if parts <= 1:
            group.attrs[name] = data
        else:
            for i, part in enumerate(np.array_split(data, parts)):
                group.attrs[f"{name}{i}"] = part

    with h5py.File(path, "w") as file:
        file.attrs["backend"] = b"tensorflow"
        file.attrs["keras_version"] = b"2.3.1"
        put(file, "layer_names", [layer.name for layer in model.layers])
        for layer in model.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{w.name}:0" for w in layer.weights]
            put(group, "weight_names", names)
            for name, w in zip(names, layer.weights):
                group.create_dataset(name, data=w.numpy())


if __name__ == "__main__":
    FIXTURES.mkdir(parents=True, exist_ok=True)
    steps = {"small": small, "published": published, "order": order, "files": files}
    for what in sys.argv[1:] or steps:
        steps[what]()

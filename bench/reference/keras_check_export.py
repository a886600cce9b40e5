"""Loads a file of export-recipe.ts into Keras the ordinary way and compares logits and weights with the fixtures.

    python bench/reference/keras_check_export.py small|published FILE.h5
"""

import json
import sys

import irv2  # first: it chooses Keras' backend
import keras_fixtures
import numpy as np


def main(which: str, file: str) -> None:
    if which == "small":
        a, model = keras_fixtures.SMALL, irv2.build(keras_fixtures.SMALL, automatic_names=True)
        fixture = "keras-small.json"
    else:
        a, model = keras_fixtures.PUBLISHED[256], irv2.published(keras_fixtures.PUBLISHED[256])
        fixture = "keras-published-256.json"
    model.load_weights(file)

    names = irv2.creation_names(model)
    for layer in model.layers:
        for weight in layer.weights:
            expected = irv2.recipe(f"{names[layer.name]}/{weight.name}", tuple(weight.shape))
            np.testing.assert_array_equal(weight.numpy(), expected, err_msg=f"{layer.name}/{weight.name}")

    stored = json.loads((keras_fixtures.FIXTURES / fixture).read_text())
    images = irv2.scaled(irv2.image_bytes(stored["images"], a.input_size))
    logits = np.asarray(model(images, training=False))
    difference = float(np.max(np.abs(logits - stored["logits"])) / np.max(np.abs(stored["logits"])))
    print(f"{model.count_params()} parameters equal; logits differ by {difference:.1e} of the largest")
    assert difference < 1e-5


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The Keras side of `npm run bench -- classifier-step|classifier-predict --against keras`. Keras 3 on TensorFlow, compiled to a graph as `fit` and `predict` do; bf16 by Keras' mixed policy."""

import time

import irv2  # first: it chooses Keras' backend
import keras
import numpy as np
import tensorflow as tf
from json_server import peak_memory, serve

TRAINED_BY_NAKATA = ("conv_7b", "dense_1", "predictions")


class Server:
    def load(self, architecture, batch, bf16, freeze, threads, jit):
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        keras.mixed_precision.set_global_policy("mixed_bfloat16" if bf16 else "float32")
        a = irv2.Architecture(**{**architecture, "blocks": tuple(architecture["blocks"])})
        self.model = irv2.build(a)
        irv2.fill(self.model)
        if freeze == "nakata":
            trained = (*TRAINED_BY_NAKATA, f"block8_{a.blocks[2] + 1}_conv")
            for layer in self.model.layers:
                layer.trainable = isinstance(layer, keras.layers.BatchNormalization) or layer.name in trained
        self.model.compile(
            optimizer=keras.optimizers.Adam(1e-3, epsilon=1e-7),
            loss=keras.losses.CategoricalCrossentropy(from_logits=True),
            jit_compile=jit,
        )
        self.images = irv2.scaled(irv2.image_bytes(batch, a.input_size))
        self.targets = np.eye(2, dtype=np.float32)[np.arange(batch) % 2]
        trained = sum(int(np.prod(weight.shape)) for weight in self.model.trainable_weights)
        return {"keras": keras.__version__, "tensorflow": tf.__version__, "trained": trained}

    def step(self):
        start = time.perf_counter()
        loss = float(self.model.train_on_batch(self.images, self.targets))
        return {"ms": (time.perf_counter() - start) * 1000, "answer": loss}

    def predict(self):
        start = time.perf_counter()
        logits = np.asarray(self.model.predict_on_batch(self.images), dtype=np.float64)
        positive = 1 / (1 + np.exp(logits[0, 0] - logits[0, 1]))
        return {"ms": (time.perf_counter() - start) * 1000, "answer": float(positive)}

    def memory(self):
        return peak_memory()


serve(Server())

"""The PyTorch side of `npm run bench -- generator-step --against torch` and `-- generate --against torch`. Best CPU form found: channels_last, style on activations, foreach optimiser; bf16 by autocast. `torch.compile` did not
pay on CPUs (double backward falls back to eager)."""

import time

import torch

import stylegan2_torch as sg
from json_server import peak_memory, serve


def images(x):
    """[N, H, W, C] -> [N, C, H, W] in channels_last memory: the same bytes."""
    return x.permute(0, 3, 1, 2)


class Server:
    def load(self, file, shape, settings, threads):
        torch.set_num_threads(threads)
        torch.manual_seed(1)
        self.shape = sg.Shape(**shape)
        g = sg.load_weights(file, "G/", sg.generator_variables(self.shape))
        d = sg.load_weights(file, "D/", sg.discriminator_variables(self.shape))
        self.trainer = sg.Trainer(self.shape, g, d, sg.Settings(**settings))
        self.drawn = {name[6:]: x for name, x in sg.load_tensors(file).items() if name.startswith("draws/")}
        self.reals = images(self.drawn["reals"])
        return {"torch": torch.__version__, "threads": torch.get_num_threads()}

    def draws(self, phase):
        noise = [images(self.drawn[f"{phase}/noise{i}"]) for i in range(len(self.shape.noise_sizes))]
        return sg.Draws(self.drawn[f"{phase}/z"], self.drawn[f"{phase}/zMix"], self.drawn[f"{phase}/mix"], noise)

    def losses(self):
        """On the stored weights and draws; nothing moves."""
        t = self.trainer
        path_noise = images(self.drawn["gPathLength/pathNoise"])
        return {
            "gMain": t.g_main(self.draws("gMain"), update=False),
            "gPathLength": t.g_path_length(self.draws("gPathLength"), path_noise, update=False),
            "dMain": t.d_main(self.reals, self.draws("dMain"), update=False),
            "dR1": t.d_r1(self.reals, update=False),
        }

    def run(self, phase):
        t = self.trainer
        phases = {
            "gMain": t.g_main,
            "gPathLength": t.g_path_length,
            "dMain": lambda: t.d_main(self.reals),
            "dR1": lambda: t.d_r1(self.reals),
            "ema": lambda: t.ema(0.998),
        }
        start = time.perf_counter()
        phases[phase]()
        return {"ms": (time.perf_counter() - start) * 1000}

    def load_generator(self, weights, draws, shape, bf16, threads):
        """For sampling: a file of weights, and one with a batch of z and noise."""
        torch.set_num_threads(threads)
        self.shape, self.bf16 = sg.Shape(**shape), bf16
        loaded = sg.load_weights(weights, "G/", sg.generator_variables(self.shape))
        self.generator = {name: weight.detach() for name, weight in loaded.items()}
        self.drawn = sg.load_tensors(draws)
        return {"torch": torch.__version__, "threads": torch.get_num_threads()}

    def sample(self):
        """One batch without truncation; the first pixels are for comparing."""
        noise = [images(self.drawn[f"noise{i}"]) for i in range(len(self.shape.noise_sizes))]
        start = time.perf_counter()
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16):
            w = sg.mapping(self.generator, self.shape, self.drawn["z"])
            ws = w.unsqueeze(1).expand(-1, self.shape.styles, -1)
            pixels = sg.synthesis(self.generator, self.shape, ws, noise, sg.Fast).float()
        ms = (time.perf_counter() - start) * 1000
        return {"ms": ms, "pixels": pixels.permute(0, 2, 3, 1).flatten()[:64].tolist()}

    def memory(self):
        return peak_memory()


serve(Server())

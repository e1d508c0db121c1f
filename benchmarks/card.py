"""Steps at the sizes of a card, in jaxnn and in PyTorch on the same card, a line of JSON each.

`python -m benchmarks.card jaxnn` runs every case of one framework in this process and prints what
each took as soon as it is done, so that what is there is kept whenever it ends. A case that fails
is named, and the next one goes on. `--quick` proves on a machine without a card that it runs.
"""

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

GPT = "GPT 12 x 768, 8 x 1024 tokens"
RESNET = "ResNet-50, 64 x 224 x 224"
LSTM = "LSTM of 1024, 64 x 128"
SPIKING = "spiking 784-1024-10, 100 steps, 256 rows"
GCN = "GCN 128-128-16, 100,000 nodes, 1,000,000 edges"
MATMUL, COPY = "product of 8192 x 8192", "copy of 1 GiB"
TOKENS, WIDTH, DEPTH, HEADS, VOCABULARY = (8, 1024), 768, 12, 12, 50304
PICTURES, NODES, EDGES = (64, 224, 224, 3), 100_000, 1_000_000
DTYPES = ("bfloat16", "tf32", "float32")


def tokens() -> tuple[np.ndarray, np.ndarray]:
    drawn = np.random.default_rng(0).integers(0, VOCABULARY, (TOKENS[0], TOKENS[1] + 1), np.int32)
    return drawn[:, :-1], drawn[:, 1:]


def pictures() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    x = generator.standard_normal(PICTURES, np.float32)
    return x, generator.integers(0, 1000, len(x), np.int32)


def series() -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0).standard_normal
    return draw((64, 128, 1024), np.float32), draw((64, 128, 1024), np.float32)


def digits() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    return generator.random((256, 784), np.float32), generator.integers(0, 10, 256, np.int32)


def links() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    x = generator.standard_normal((NODES, 128), np.float32)
    ends = generator.integers(0, NODES, (2, EDGES), np.int32)
    return x, ends, generator.integers(0, 16, NODES, np.int32)


# What each framework makes of a case: a function that starts one step and returns what to wait for.


def in_jaxnn(quick: bool) -> dict[tuple[str, str], Callable]:
    import jax
    import jax.numpy as jnp
    import optax

    import jaxnn as nn

    cross_entropy = optax.softmax_cross_entropy_with_integer_labels

    def stepped(net, loss, x, y, dtype, optimizer=None):
        optimizer = optimizer or optax.sgd(1e-3, 0.9)
        if dtype == "bfloat16":
            net = nn.with_dtype(net, jnp.bfloat16)
        step = nn.training.step(nn.training.supervised(net, loss), optimizer)
        x, y = jax.tree.map(jnp.asarray, (x, y))
        train = nn.training.init_train(net, optimizer, jax.random.key(0), x)
        precision = {"float32": "highest"}.get(dtype)
        with jax.default_matmul_precision(precision):
            compiled = step.lower(train, (x, y)).compile()
        memory = compiled.memory_analysis()

        def run():
            nonlocal train
            train, metrics = compiled(train, (x, y))
            return metrics["loss"]

        used = memory.temp_size_in_bytes + memory.argument_size_in_bytes if memory else 0
        return run, jax.block_until_ready, {"arguments_and_temporaries_gib": used / 2**30}

    def gpt(dtype, **more):
        net = nn.language_model(
            VOCABULARY, WIDTH, 2 if quick else DEPTH, HEADS, length=TOKENS[1], **more
        )
        x, y = tokens()
        return stepped(net, cross_entropy, x[:1] if quick else x, y[:1] if quick else y, dtype,
                       optax.adamw(3e-4))  # fmt: skip

    def resnet(dtype):
        x, y = pictures()
        x, y = (x[:2], y[:2]) if quick else (x, y)
        return stepped(nn.resnet(1000, 50), cross_entropy, x, y, dtype)

    def lstm(dtype):
        x, y = series()
        return stepped(nn.unroll(nn.lstm(1024)), nn.mse, x, y, dtype)

    def spiking(dtype):
        neuron = partial(nn.spiking.lif, 0.9, reset="delayed", spike=nn.spiking.surrogate.arctan())
        steps = nn.serial(
            nn.spiking.repeat_in_time(100), neuron(), nn.dense(10), neuron(membrane=True)
        )
        net = nn.serial(nn.dense(1024), nn.unroll(steps))
        return stepped(
            net, lambda y, t: nn.spiking.membrane_loss(y["membrane"], t), *digits(), dtype
        )

    def gcn(dtype):
        x, ends, y = links()
        net = nn.serial(nn.graph.gcn(128), nn.graph.nodewise(jax.nn.relu), nn.graph.gcn(16))
        loss = lambda graph, y: cross_entropy(graph.nodes, y).mean()  # noqa: E731
        return stepped(net, loss, nn.graph.make_graph(x, *ends), y, dtype, optax.adam(1e-2))

    def matmul(dtype):
        kind = jnp.bfloat16 if dtype == "bfloat16" else jnp.float32
        side = 512 if quick else 8192
        a = jax.random.normal(jax.random.key(0), (side, side), kind)
        precision = {"float32": "highest"}.get(dtype)
        product = jax.jit(partial(jnp.matmul, precision=precision))
        return lambda: product(a, a), jax.block_until_ready, {}

    def copy(_):
        a = jnp.ones(2**20 if quick else 2**28, jnp.float32)
        more = jax.jit(lambda a: a + 1)
        return lambda: more(a), jax.block_until_ready, {}

    cases = {MATMUL: matmul, COPY: copy, GPT: gpt, RESNET: resnet, LSTM: lstm,
             SPIKING: spiking, GCN: gcn}  # fmt: skip
    built = {(title, dtype): partial(make, dtype) for title, make in cases.items()
             for dtype in DTYPES if title != COPY or dtype == "float32"}  # fmt: skip
    built[f"{GPT}, cudnn", "bfloat16"] = partial(gpt, "bfloat16", implementation="cudnn")
    built[f"{GPT}, remat", "bfloat16"] = partial(gpt, "bfloat16", remat=True)
    built[f"{GPT}, unrolled", "bfloat16"] = partial(gpt, "bfloat16", unroll=DEPTH)
    built[f"{GPT}, cudnn, unrolled", "bfloat16"] = partial(
        gpt, "bfloat16", unroll=DEPTH, implementation="cudnn"
    )
    return built


def in_torch(quick: bool) -> dict[tuple[str, str], Callable]:
    import torch
    from torch import nn
    from torch.nn import functional as fn

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def stepped(net, loss, x, y, dtype, optimizer=None):
        torch.set_float32_matmul_precision("highest" if dtype == "float32" else "high")
        torch.backends.cudnn.allow_tf32 = dtype != "float32"
        net = net.to(device)
        params = net.parameters()
        optimizer = optimizer(params) if optimizer else torch.optim.SGD(params, 1e-3, 0.9)
        x = [torch.as_tensor(each).to(device) for each in (x if isinstance(x, tuple) else (x,))]
        y = torch.as_tensor(y).to(device)
        y = y if y.is_floating_point() else y.long()
        half = torch.autocast(device.type, torch.bfloat16, enabled=dtype == "bfloat16")

        def run():
            optimizer.zero_grad()
            with half:
                value = loss(net(*x), y)
            value.backward()
            optimizer.step()
            return value

        def wait(value):
            float(value.detach())

        return run, wait, {}

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
            self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
            self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

        def forward(self, x):
            rows, time, _ = x.shape
            parts = self.qkv(self.first(x)).view(rows, time, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
            y = fn.scaled_dot_product_attention(*parts, is_causal=True)
            x = x + self.out(y.transpose(1, 2).reshape(rows, time, WIDTH))
            return x + self.down(fn.gelu(self.up(self.second(x)), approximate="tanh"))

    class Gpt(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens = nn.Embedding(VOCABULARY, WIDTH)
            nn.init.normal_(self.tokens.weight, std=0.02)
            self.positions = nn.Parameter(0.02 * torch.randn(TOKENS[1], WIDTH))
            self.blocks = nn.Sequential(*(Block() for _ in range(2 if quick else DEPTH)))
            self.norm = nn.LayerNorm(WIDTH)

        def forward(self, x):
            x = self.norm(self.blocks(self.tokens(x) + self.positions))
            return x @ self.tokens.weight.T

    def gpt(dtype):
        loss = lambda y, t: fn.cross_entropy(y.flatten(0, 1), t.flatten())  # noqa: E731
        x, y = tokens()
        x, y = (x[:1], y[:1]) if quick else (x, y)
        adam = partial(torch.optim.AdamW, lr=3e-4, fused=device.type == "cuda")
        return stepped(Gpt(), loss, x, y, dtype, adam)

    def resnet(dtype):
        from torchvision.models import resnet50

        x, y = pictures()
        x, y = (x[:2], y[:2]) if quick else (x, y)
        x = torch.as_tensor(x).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
        return stepped(resnet50().to(memory_format=torch.channels_last), fn.cross_entropy, x, y,
                       dtype)  # fmt: skip

    class Lstm(nn.LSTM):
        def forward(self, x):
            return super().forward(x)[0]

    def lstm(dtype):
        return stepped(Lstm(1024, 1024, batch_first=True), fn.mse_loss, *series(), dtype)

    def gcn(dtype):
        from torch_geometric.nn import GCNConv

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.first = GCNConv(128, 128, cached=True)
                self.second = GCNConv(128, 16, cached=True)

            def forward(self, x, ends):
                return self.second(fn.relu(self.first(x, ends)), ends)

        x, ends, y = links()
        adam = partial(torch.optim.Adam, lr=1e-2)
        return stepped(Net(), fn.cross_entropy, (x, ends.astype(np.int64)), y, dtype, adam)

    cases = {GPT: gpt, RESNET: resnet, LSTM: lstm, GCN: gcn}
    return {(title, dtype): partial(make, dtype) for title, make in cases.items()
            for dtype in DTYPES}  # fmt: skip


FRAMEWORKS = {"jaxnn": in_jaxnn, "PyTorch": in_torch}


def taken(make: Callable, seconds: float) -> dict[str, Any]:
    """What a step takes: the median of five rounds, each of about a fifth of the seconds."""
    begun = time.perf_counter()
    run, wait, told = make()
    wait(run())
    first = time.perf_counter() - begun
    for _ in range(3):
        wait(run())
    begun = time.perf_counter()
    wait(run())
    once = time.perf_counter() - begun
    steps, each = max(1, int(seconds / 5 / once)), []
    for _ in range(5):
        begun = time.perf_counter()
        for _ in range(steps):
            value = run()
        wait(value)
        each.append((time.perf_counter() - begun) / steps)
    return {
        "ms": 1e3 * statistics.median(each),
        "low_ms": 1e3 * min(each),
        "high_ms": 1e3 * max(each),
        "first_seconds": first,
        "value": float(np.asarray(value.tolist()).ravel()[0]),
        **told,
    }


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.card", description=__doc__)
    parser.add_argument("framework", choices=FRAMEWORKS)
    parser.add_argument("--quick", action="store_true", help="few rows, for a machine without card")
    parser.add_argument("--only", default="", help="the cases whose title has this in it")
    parser.add_argument("--dtypes", nargs="+", default=DTYPES, choices=DTYPES)
    parser.add_argument("--seconds", type=float, default=1.0, help="of timing, for each case")
    given = parser.parse_args(argv)
    cases = FRAMEWORKS[given.framework](given.quick)
    for title, dtype in sorted(cases, key=lambda each: DTYPES.index(each[1])):
        make = cases[title, dtype]
        if given.only not in f"{title} {dtype}" or dtype not in given.dtypes:
            continue
        row = {"framework": given.framework, "case": title, "dtype": dtype}
        try:
            row |= taken(make, given.seconds)
        except Exception as error:  # one case that fails loses no other
            row["error"] = f"{type(error).__name__}: {error}"[:600]
        print(json.dumps(row), flush=True)
        gc.collect()
    return 0


if __name__ == "__main__":
    sys.exit(main())

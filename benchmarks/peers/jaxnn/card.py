"""The cases of `benchmarks/card.py` in jaxnn.

A case is built by a function (dtype, quick) that returns (run, wait, facts): `run()` starts one
step and returns its result, `wait(result)` returns when that result is ready.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

import jaxnn as nn
from benchmarks.peers import cases, data
from benchmarks.peers.jaxnn.task import cross_entropy


def precision(dtype: str) -> str | None:
    """The precision of matmuls: that of the device, or the highest for true float32."""
    return "highest" if dtype == "float32" else None


def stepped(dtype: str, net: Any, loss: Callable, x: Any, y: Any, optimizer: Any = None):
    optimizer = optimizer or optax.sgd(1e-3, 0.9)
    if dtype == "bfloat16":
        net = nn.with_dtype(net, jnp.bfloat16)
    step = nn.training.step(nn.training.supervised(net, loss), optimizer)
    x, y = jax.tree.map(jnp.asarray, (x, y))
    train = nn.training.init_train(net, optimizer, jax.random.key(0), x)
    with jax.default_matmul_precision(precision(dtype)):
        compiled = step.lower(train, (x, y)).compile()
    memory = compiled.memory_analysis()
    used = memory.temp_size_in_bytes + memory.argument_size_in_bytes if memory else 0

    def run():
        nonlocal train
        train, metrics = compiled(train, (x, y))
        return metrics["loss"]

    return run, jax.block_until_ready, {"arguments_and_temporaries_gib": used / 2**30}


def gpt(dtype: str, quick: bool, **options: Any):
    net = nn.gpt2(
        *(cases.CARD_VOCABULARY, cases.CARD_WIDTH),
        *(2 if quick else cases.CARD_DEPTH, cases.CARD_HEADS),
        length=cases.CARD_LENGTH,
        **options,
    )
    adam = optax.adamw(3e-4)
    return stepped(dtype, net, cross_entropy, *data.card_tokens(quick), optimizer=adam)


def resnet(dtype: str, quick: bool):
    return stepped(dtype, nn.resnet(1000, 50), cross_entropy, *data.card_images(quick))


def lstm(dtype: str, quick: bool):
    net = nn.unroll(nn.lstm(1024))
    return stepped(dtype, net, nn.mse, *data.series(64, 128, 1024, 1024))


def spiking(dtype: str, quick: bool):
    surrogate = nn.spiking.surrogate.arctan()
    neuron = partial(nn.spiking.lif, 0.9, reset="delayed", spike=surrogate)
    steps = nn.serial(
        *(nn.spiking.repeat_in_time(100), neuron()), *(nn.dense(10), neuron(membrane=True))
    )

    def loss(y, labels):
        return nn.spiking.membrane_loss(y["membrane"], labels)

    net = nn.serial(nn.dense(1024), nn.unroll(steps))
    return stepped(dtype, net, loss, *data.card_digits())


def gcn(dtype: str, quick: bool):
    x, ends, y = data.card_graph()
    net = nn.serial(nn.graph.gcn(128), nn.graph.nodewise(jax.nn.relu), nn.graph.gcn(16))

    def loss(graph, labels):
        return cross_entropy(graph.nodes, labels).mean()

    return stepped(dtype, net, loss, nn.graph.make_graph(x, *ends), y, optax.adam(1e-2))


def matmul(dtype: str, quick: bool):
    side = 512 if quick else 8192
    kind = jnp.bfloat16 if dtype == "bfloat16" else jnp.float32
    a = jax.random.normal(jax.random.key(0), (side, side), kind)
    product = jax.jit(partial(jnp.matmul, precision=precision(dtype)))
    return lambda: product(a, a), jax.block_until_ready, {}


def copy(dtype: str, quick: bool):
    a = jnp.ones(2**20 if quick else 2**28, jnp.float32)
    add_one = jax.jit(lambda a: a + 1)
    return lambda: add_one(a), jax.block_until_ready, {}


CASES: dict[str, Callable] = {
    cases.CARD_MATMUL: matmul,
    cases.CARD_GPT: gpt,
    cases.CARD_RESNET: resnet,
    cases.CARD_LSTM: lstm,
    cases.CARD_SPIKING: spiking,
    cases.CARD_GCN: gcn,
}
ONE_DTYPE: dict[tuple[str, str], Callable] = {
    (cases.CARD_COPY, "float32"): copy,
    (f"{cases.CARD_GPT}, cudnn", "bfloat16"): partial(gpt, implementation="cudnn"),
    (f"{cases.CARD_GPT}, remat", "bfloat16"): partial(gpt, remat=True),
    (f"{cases.CARD_GPT}, unrolled", "bfloat16"): partial(gpt, unroll=cases.CARD_DEPTH),
    (f"{cases.CARD_GPT}, cudnn, unrolled", "bfloat16"): partial(
        gpt, unroll=cases.CARD_DEPTH, implementation="cudnn"
    ),
}

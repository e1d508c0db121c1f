"""What the tests of the laws share: which entries a law binds, and their nets, traced once."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn
from jaxnn import core
from tests.registry import ENTRIES, HALF

KEY = jax.random.key(0)
# Small entries that every law binds one of, and which are run on optimized programs too.
PLAIN = {"batch_norm of images", "attention"}
# One entry or two of each family. The laws that compile most (3 op by op, 6, 7, 10, 11) are run by
# these, and by all others with `--long`; the recipes of law 10 that are not "fully sharded" by
# these alone.
FAMILIES = {
    "dense", "batch_norm of images", "dropout", "embedding", "spectral_norm", "lstm", "lru masked",
    "conv_lstm", "unroll to the last", "attention", "transformer_block with a memory", "conv",
    "mlp", "rnn_classifier", "unet", "dcgan_generator", "variational", "vector_quantizer",
    "capsnet", "mixture, a tree", "sparse_mixture", "lif", "gcn", "repeat", "rbf_net", "som",
}  # fmt: skip
# Those of law 13, in which one differs from the other in what it does at the start of a document.
PACKED = {"lstm", "lru masked", "attention", "stack", "gpt2 cached", "rnn_classifier"}


def marks(number, name, long):
    """The marks of an entry under a law; one process takes all laws of an entry."""
    yield pytest.mark.xdist_group(name)
    if name in PLAIN:
        yield pytest.mark.ordinary
    if long and name not in (PACKED if number == 13 else FAMILIES):
        yield pytest.mark.long


def law(number, only=lambda entry: True, *, long=False):
    """Runs a test over the entries that the law binds; if long, over all with `--long` alone."""
    names = [
        pytest.param(name, marks=list(marks(number, name, long)))
        for name, entry in ENTRIES.items()
        if number not in entry.exempt and only(entry)
    ]
    return pytest.mark.parametrize("name", names)


@functools.cache
def made(name, dtype=jnp.float32) -> Any:
    """A layer of the registry, its params, state and input; one for all laws, since jit caches."""
    entry = ENTRIES[name]
    net, x = entry.make(), entry.input(jax.random.key(1), dtype)
    params, state = begin(net, KEY, x)
    return net, params, state, x


@functools.partial(jax.jit, static_argnums=0)
def begin(net, key, x):
    """The params and state of a net."""
    return net.init(key, x)


def forward(net, params, state, x, key=None, train=False):
    """(y, state) of a layer, or of a cell from a fresh carry."""
    y, _, state = core.apply_either(
        net, params, state, core.initial_carry(net, params, x), x, key=key, train=train
    )
    return y, state


compiled = jax.jit(forward, static_argnames=("net", "train"))


def run(name, params, state, x, key=KEY, train=False):
    """(y, state) of an entry's net, by one program in evaluation and one in training if that is
    another."""
    return compiled(made(name)[0], params, state, x, key, train and modes(name)[-1])


@functools.cache
def traces(name, train):
    """The jaxpr of a pass, in words, and the shapes of (y, state) that it gives."""
    net, *rest = made(name)
    program = functools.partial(forward, net, train=train)
    jaxpr, shapes = jax.make_jaxpr(program, return_shape=True)(*rest, key=KEY)
    return str(jaxpr), shapes


@functools.cache
def modes(name):
    """False for evaluation, and True for training where that is another program."""
    return (False,) if traces(name, False)[0] == traces(name, True)[0] else (False, True)


@functools.partial(jax.jit, static_argnums=0)
def advance(net, params, state, carry, x):
    """(y, carry) after a chunk."""
    return core.apply_either(net, params, state, carry, x)[:2]


def is_cell(entry):
    return isinstance(entry.make(), nn.Cell)


def is_layer(entry):
    return not is_cell(entry)


def is_sequence(x):
    """Sequences are of 6 steps in the registry, and nothing else has a second axis of 6."""
    return any(leaf.shape[1:2] == (6,) for leaf in jax.tree.leaves(x))


def objective(net, params, state, x, train):
    """(a number, state) of a pass, on which every output weighs."""
    y, after = forward(net, params, state, x, KEY, train)
    terms = [jnp.sum(jnp.sin(leaf + jnp.arange(leaf.size).reshape(leaf.shape)))
             for leaf in jax.tree.leaves(y) if core.floating(leaf)]  # fmt: skip
    return sum(terms, jnp.zeros(())), after


@functools.cache
def slopes(name, train):
    """(gradient, along, numeric, state) in float64: laws 6 and 10 compile one program for both.

    gradient: of the params, and of x where it is floating, as a tuple.
    numeric: the slope along the direction `along`, by finite differences.
    """
    net, params, state, x = made(name, jnp.float64)
    params = core.cast(params, jnp.float64)  # float32 for tokens, too coarse
    learned = (params, x) if all(map(core.floating, jax.tree.leaves(x))) else (params,)

    def value(learned, state, x):
        params, x = (*learned, x)[:2]
        return objective(net, params, state, x, train)

    @jax.jit
    def derivatives(learned, along, state, x):
        def moved(step):
            there = jax.tree.map(lambda leaf, by: leaf + step * by, learned, along)
            return value(there, state, x)[0]

        low, high = jax.lax.map(moved, jnp.array([-1e-6, 1e-6]))
        gradient, after = jax.grad(value, has_aux=True)(learned, state, x)
        return gradient, (high - low) / 2e-6, after

    rng = np.random.default_rng(0)
    along = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), learned)
    gradient, numeric, after = jax.device_get(derivatives(learned, along, state, x))
    return gradient, along, numeric, after


def rounding(name):
    """What two programs of one net may differ by: XLA rounds to half precision where it likes."""
    return (
        {"rtol": 1e-2, "atol": 1e-2}
        if ENTRIES[name].exempt is HALF
        else {"rtol": 2e-5, "atol": 1e-5}
    )

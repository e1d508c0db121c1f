"""Small layers with each kind of memory, made for the tests."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn import Cell, Layer, core


def counter() -> Layer:
    """Passes x on and counts its calls in state."""

    def init(key, x):
        return (), jnp.zeros((), jnp.int32)

    def apply(params, state, x, *, key=None, train=False):
        return x, core.require_state(state, "counter") + 1

    return Layer(init, apply)


def noise() -> Layer:
    """Adds noise in training."""

    def init(key, x):
        return (), ()

    def apply(params, state, x, *, key=None, train=False):
        if not core.check_train(train):
            return x, ()
        return x + jax.random.normal(core.require_key(key, "noise"), x.shape, x.dtype), ()

    return Layer(init, apply)


def decay() -> Cell:
    """A leaky sum over time: h <- a h + x, with a learned a for each feature."""

    def init(key, x):
        return {"a": jax.random.uniform(key, x.shape[-1:], core.param_dtype(x))}, ()

    def carry(params, x):
        return jnp.zeros((x.shape[0], x.shape[-1]), x.dtype)

    def apply(params, state, carry_x, *, key=None, train=False):
        h, x = carry_x
        (a,) = core.unpack_params(params, x, "decay", "a")

        def step(h, x):
            h = a[None] * h + x
            return h, h

        h, y = jax.lax.scan(step, h, jnp.swapaxes(x, 0, 1))
        return (h, jnp.swapaxes(y, 0, 1)), ()

    return Cell(init, carry, apply)


def drawn_params(net: Any, x: Any) -> Any:
    """Params as after training, none of them zero or one, and nothing compiled for them."""
    shapes, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    rng = np.random.default_rng(0)
    draw = lambda leaf: jnp.asarray(0.3 * rng.normal(size=leaf.shape), leaf.dtype)  # noqa: E731
    return jax.tree.map(draw, shapes)

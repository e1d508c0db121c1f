"""A mixture of 8 experts, and a dense net of as many multiply-adds, in jaxnn.

Each is wrapped in a residual block, is trained by SGD with momentum in `fit`, many steps in one
dispatch, and takes 2048 rows of 256 features a step. The dense net gets hidden features in place of
the router's multiply-adds.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

import jaxnn as nn
from benchmarks.peers import cases, data
from benchmarks.peers.jaxnn.task import fitted


def sparse(top_k: int) -> nn.Layer:
    width, experts = cases.MIXTURE_WIDTH, cases.MIXTURE_EXPERTS
    return nn.mixture.sparse_mixture(width // top_k, experts, top_k, capacity=1.25)


def dense() -> nn.Layer:
    return nn.feed_forward(cases.MIXTURE_WIDTH + cases.MIXTURE_EXPERTS // 2)


def begin(make: Callable[[], nn.Layer]) -> tuple[Callable, Any, Any]:
    """The jitted step, the initial train state, and the batch on the device."""
    net, optimizer = nn.residual(make()), optax.sgd(1e-3, 0.9)
    batch = tuple(jnp.asarray(array) for array in data.mixture_rows())
    loss: Any = nn.training.supervised(net, nn.mse)
    train = nn.training.init_train(net, optimizer, jax.random.key(0), batch[0])
    if nn.mixture.routings(train.state):
        loss = nn.mixture.routed(loss)
    return nn.training.step(loss, optimizer), train, batch


CASES: dict[str, Callable] = {
    cases.DENSE: partial(fitted, partial(begin, dense)),
    cases.TOP_1: partial(fitted, partial(begin, partial(sparse, 1))),
    cases.TOP_2: partial(fitted, partial(begin, partial(sparse, 2))),
}

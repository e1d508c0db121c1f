"""A mixture of 8 experts, and the dense net of as many multiply-adds, in jaxnn.

Both stand in a residual block, learn by SGD with momentum in `fit`, many steps in one dispatch, and
take 2048 rows of 256 features a step. The router's multiply-adds are given to the dense net as
hidden features.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxnn as nn
from benchmarks.peers.layers_in_jaxnn import fitted

ROWS, FEATURES, WIDTH, EXPERTS = 2048, 256, 1024, 8
DENSE = "dense feedforward layer of as many multiply-adds, 2048 rows"
TOP_1 = "mixture of 8 experts, each row to 1, 2048 rows"
TOP_2 = "mixture of 8 experts, each row to 2, 2048 rows"


def sparse(top_k: int) -> nn.Layer:
    return nn.mixture.sparse_mixture(WIDTH // top_k, EXPERTS, top_k, capacity=1.25)


def dense() -> nn.Layer:
    return nn.feed_forward(WIDTH + EXPERTS // 2)


def begin(make: Callable[[], nn.Layer]) -> tuple[Callable, Any, Any]:
    """The jitted step, where it starts, and its batch."""
    net, optimizer = nn.residual(make()), optax.sgd(1e-3, 0.9)
    draw = np.random.default_rng(0).standard_normal
    batch = tuple(jnp.asarray(draw((ROWS, FEATURES), np.float32)) for _ in range(2))
    loss: Any = nn.training.supervised(net, nn.mse)
    train = nn.training.init_train(net, optimizer, jax.random.key(0), batch[0])
    if nn.mixture.routings(train.state):
        loss = nn.mixture.routed(loss)
    return nn.training.step(loss, optimizer), train, batch


CASES = {
    DENSE: partial(fitted, partial(begin, dense)),
    TOP_1: partial(fitted, partial(begin, partial(sparse, 1))),
    TOP_2: partial(fitted, partial(begin, partial(sparse, 2))),
}

"""The check of a loss and its gradients against float64."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxnn.core import Tree, floating, fold_in
from jaxnn.training.checking import checked_loss
from jaxnn.training.step import TrainState
from jaxnn.tree import path_of


def gradient_errors(
    loss: Callable,
    train: TrainState,
    batch: Tree,
    exact: Callable | None = None,
    training: bool = False,
) -> dict[str, float]:
    """How far the loss and each gradient are from the same in float64.

    |g - g64| / |g64| with Euclidean norms over a leaf: about 1e-7 in float32, 1e-2 in bfloat16, and
    1 for a gradient that float16 takes for zero.

    Args:
      loss: as for `step`.
      train: the `TrainState` whose params and state are used; its optimizer is not.
      batch: a batch of arrays.
      exact: the loss in float64; by default `loss` itself. Give that of the net without
        `with_dtype`, which would compute in its own dtype here as well.
      training: whether the net is in training, where noise would be drawn anew in float64.

    Returns:
      The error of "loss" and of each param by its path.

    Raises:
      TypeError: if the loss is not one.

    >>> import jax, jaxnn as nn, optax
    >>> net, x = nn.dense(1), jax.random.normal(jax.random.key(1), (8, 3))
    >>> train = nn.training.init_train(net, optax.sgd(0.1), jax.random.key(0), x)
    >>> half = nn.training.supervised(nn.with_dtype(net, jax.numpy.bfloat16), nn.mse)
    >>> exact = nn.training.supervised(net, nn.mse)
    >>> errors = nn.training.gradient_errors(half, train, (x, x[:, :1]), exact)
    >>> sorted(errors), 1e-4 < errors["w"] < 1e-2
    (['b', 'loss', 'w'], True)
    """
    key = fold_in(train.key, 0) if training else None

    def found(loss, params, state, batch):
        def objective(params):
            return checked_loss(loss(params, state, batch, key=key, train=training))[0]

        return jax.device_get(jax.jit(jax.value_and_grad(objective))(params))

    def wide(leaf):
        return np.asarray(leaf, np.float64) if floating(leaf) else leaf

    given = train.params, train.state, batch
    value, gradient = found(loss, *given)
    with jax.enable_x64(True):
        right, exactly = found(exact or loss, *jax.tree.map(wide, given))
    paths = {path_of(keys): leaf for keys, leaf in jax.tree_util.tree_leaves_with_path(exactly)}
    ours = dict(zip(paths, jax.tree.leaves(gradient), strict=True))
    pairs = {"loss": (value, right)} | {path: (ours[path], paths[path]) for path in paths}
    return {title: _error(*pair) for title, pair in pairs.items()}


def _error(value: Any, right: Any) -> float:
    """|value - right| / |right|; 0 where both are zero, infinite where only `right` is."""
    right = np.asarray(right, np.float64)
    off = float(np.linalg.norm(np.ravel(np.asarray(value, np.float64) - right)))
    size = float(np.linalg.norm(np.ravel(right)))
    return off / size if size else (0.0 if off == 0 else float("inf"))

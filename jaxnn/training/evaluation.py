"""What a trained net is worth: metrics over a whole data set."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn.core import Tree, count, signature_has
from jaxnn.training.feed import count_rows
from jaxnn.training.step import Train


def evaluate(
    loss: Callable, train: Train, data: Any, *, batch_size: int | None = None
) -> dict[str, float]:
    """The loss and its metrics over all rows, each row weighing the same.

    Args:
      loss: as for `step`; it is called with train=False and no key.
      train: whose params and state are measured.
      data: with batch_size, a pytree of arrays, measured in one dispatch; without, an iterable
        of batches.
      batch_size: rows measured at once.

    Raises:
      ValueError: for data without rows.

    >>> import jax, jaxnn as nn, optax
    >>> net, x = nn.dense(1), jax.numpy.ones((5, 3))
    >>> train = nn.training.start(net, optax.sgd(0.1), jax.random.key(0), x)
    >>> loss = nn.training.supervised(net, nn.mse)
    >>> sorted(nn.training.evaluate(loss, train, (x, x[:, :1]), batch_size=2))
    ['loss']
    """
    if batch_size is not None:
        rows = count_rows(data, "data")
        size = min(count(batch_size, "batch_size"), rows)
        measured = _resident(loss, train.params, train.state, data, rows, size)
        return {title: float(value) for title, value in measured.items()}
    totals: dict[str, float] = {}
    rows = 0
    for batch in data if isinstance(data, Iterable) else ():
        size = count_rows(batch, "a batch")
        rows += size
        for title, value in _measure(loss, train.params, train.state, batch).items():
            totals[title] = totals.get(title, 0.0) + size * float(value)
    if not rows:
        raise ValueError("no batches to evaluate: give some, or arrays and a batch_size.")
    return {title: value / rows for title, value in totals.items()}


def _value(loss, params, state, batch, **weigh) -> dict:
    value, (_, metrics) = loss(params, state, batch, key=None, train=False, **weigh)
    return {"loss": value, **metrics}


@partial(jax.jit, static_argnums=0)
def _measure(loss, params, state, batch) -> dict:
    return _value(loss, params, state, batch)


@partial(jax.jit, static_argnums=(0, 4, 5))
def _resident(loss, params, state, data: Tree, rows: int, size: int) -> dict:
    def part(index, **weigh):
        batch = jax.tree.map(lambda leaf: jnp.asarray(leaf)[index], data)
        return _value(loss, params, state, batch, **weigh)

    whole, rest = divmod(rows, size)
    means = jax.lax.map(part, jnp.arange(whole * size).reshape(whole, size))
    totals = jax.tree.map(lambda mean: size * mean.sum(axis=0), means)
    if rest and signature_has(loss, "weight"):
        index = whole * size + jnp.arange(size)
        last = part(jnp.minimum(index, rows - 1), weight=index < rows)
    elif rest:
        last = part(jnp.arange(whole * size, rows))
    if rest:
        totals = jax.tree.map(lambda total, mean: total + rest * mean, totals, last)
    return jax.tree.map(lambda total: total / rows, totals)

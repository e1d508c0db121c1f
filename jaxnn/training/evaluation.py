"""What a trained net is worth: its outputs and metrics over a whole data set."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.core import Cell, Tree, check_int, describe, lift
from jaxnn.metrics import Metric
from jaxnn.training.arrays import as_arrays, common_rows, count_rows
from jaxnn.training.checking import checked_loss
from jaxnn.training.feed import check_batches
from jaxnn.training.placement import (
    auto_axes,
    batch_shardings,
    constrain_rows,
    fetch,
    place_rows,
)
from jaxnn.training.programs import compiled_for
from jaxnn.training.sharding import Sharding, shardings
from jaxnn.training.step import TrainState, pair


def evaluate(
    loss: Callable,
    train: TrainState,
    data: Any,
    *,
    batch_size: int | None = None,
    sharding: Sharding | None = None,
) -> dict[str, float]:
    """The loss and its metrics over all rows: the mean over batches, each weighing by its rows.

    That is exact, whatever the batches, for what is a mean over rows. What is not, such as an F1
    score, a contrastive loss or a mean over the valid steps of sequences of unequal lengths,
    depends on the batches: `measure` takes metrics that do not.

    Args:
      loss: as for `step`; it is called with train=False and no key.
      train: whose params and state are measured.
      data: with batch_size, a pytree of arrays, measured in one dispatch; without, an iterable
        of batches. A last batch of fewer rows runs at its own size.
      batch_size: rows measured at once.
      sharding: how params and rows lie on the devices of a mesh; in many processes each gives its
        own rows.

    Returns:
      the mean of "loss" and of each metric by name.

    Raises:
      TypeError: if leaves are not arrays of numbers.
      ValueError: if the data have no rows, a metric is not one number, or the mesh does not divide
        batch_size.

    >>> import jax, jaxnn as nn, optax
    >>> net, x = nn.dense(1), jax.numpy.ones((5, 3))
    >>> train = nn.training.init_train(net, optax.sgd(0.1), jax.random.key(0), x)
    >>> loss = nn.training.supervised(net, nn.mse)
    >>> sorted(nn.training.evaluate(loss, train, (x, x[:, :1]), batch_size=2))
    ['loss']
    """
    rows_only = _rows_only(sharding)
    with auto_axes(sharding):
        params, state = _placed(train, sharding)
        if batch_size is not None:
            data = as_arrays(data, "data")
            rows, size = count_rows(data, "data"), check_int(batch_size, "batch_size")
            if sharding is not None:
                _check_size(sharding, data, size)
                data, (rows, *_) = place_rows(sharding, data)
            program = compiled_for(loss, _means)
            means = program(params, state, data, rows, min(size, rows), rows_only)
            return {title: float(value) for title, value in means.items()}
        totals: dict[str, float] = {}
        rows = 0
        value = compiled_for(loss, _value)
        for batch, size in _batches(data, None):
            rows += size
            placed, counts = _placed_rows(sharding, batch)
            for title, mean in value(params, state, placed, counts, rows_only).items():
                totals[title] = totals.get(title, 0.0) + size * float(mean)
        return {title: total / rows for title, total in totals.items()}


def predict(
    net: Any,
    train: TrainState,
    data: Any,
    *,
    batch_size: int | None = None,
    sharding: Sharding | None = None,
) -> Tree:
    """The outputs of a net for all rows of a data set, in their order, batch by batch.

    y = net(x) in evaluation. A last batch of fewer rows runs at its own size.

    Args:
      net: a layer.
      train: whose params and state are used.
      data: the inputs x alone, without targets: with batch_size, a pytree of arrays; without, an
        iterable of batches of them.
      batch_size: rows at once.
      sharding: how params and rows lie on the devices of a mesh; in many processes each gives its
        own rows, and gets those of all.

    Returns:
      a pytree of NumPy arrays with all rows first.

    Raises:
      TypeError: if the net is not a layer, or leaves are not arrays of numbers.
      ValueError: if the data have no rows, outputs do not have the rows of their batch, or the mesh
        does not divide batch_size.

    >>> import jax, jaxnn as nn, optax
    >>> net, x = nn.dense(1), jax.numpy.ones((5, 3))
    >>> train = nn.training.init_train(net, optax.sgd(0.1), jax.random.key(0), x)
    >>> nn.training.predict(net, train, x, batch_size=2).shape
    (5, 1)
    """
    outputs = []
    for x, y in _outputs(net, train, data, batch_size, sharding, lambda batch: batch):
        rows = common_rows(x, "a batch")
        leaves = jax.tree.leaves(y)
        if any(jnp.ndim(leaf) == 0 or rows not in (None, leaf.shape[0]) for leaf in leaves):
            raise ValueError(
                f"predict joins outputs row by row, but {rows} rows give {describe(y)}: call "
                "net.apply(params, state, x) itself for outputs that are not one a row."
            )
        outputs.append(y)
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *outputs)


def measure(
    net: Any,
    train: TrainState,
    data: Any,
    metrics: Mapping[str, Metric],
    *,
    batch_size: int | None = None,
    sharding: Sharding | None = None,
) -> dict[str, Any]:
    """Metrics of a net over a data set, the same for every batch size.

    Args:
      net: a layer.
      train: whose params and state are used.
      data: (x, target) with rows first; with batch_size, a pytree of arrays; without, an iterable
        of batches.
      metrics: those of `jaxnn.metrics` by name, or others of that kind.
      batch_size: rows at once.
      sharding: how params and rows lie on the devices of a mesh; in many processes each gives its
        own rows.

    Returns:
      the value of each metric by name.

    Raises:
      TypeError: for a net that is not a layer, metrics that are not a `Metric`, and leaves that
        are not arrays of numbers.
      ValueError: if the data have no rows, a metric refuses predictions or targets, or the mesh
        does not divide batch_size.

    >>> import jax, jaxnn as nn, optax
    >>> net, x = nn.dense(2), jax.random.normal(jax.random.key(1), (5, 3))
    >>> train = nn.training.init_train(net, optax.sgd(0.1), jax.random.key(0), x)
    >>> labels = net(train.params, x).argmax(-1)
    >>> nn.training.measure(
    ...     net, train, (x, labels), {"accuracy": nn.metrics.accuracy()}, batch_size=2
    ... )
    {'accuracy': 1.0}
    """
    for title, metric in metrics.items():
        if not isinstance(metric, Metric):
            found = getattr(metric, "__name__", type(metric).__name__)
            raise TypeError(
                f"measure: {title} must be a Metric, got {found}: use one of nn.metrics, such as "
                "nn.metrics.accuracy(), or give functions of a batch to training.supervised."
            )
    totals = {title: metric.init() for title, metric in metrics.items()}
    outputs = _outputs(net, train, data, batch_size, sharding, lambda batch: pair(batch)[0])
    for (_, target), y in outputs:
        target = jax.device_get(target)
        for title, metric in metrics.items():
            totals[title] = metric.update(totals[title], y, target)
    return {title: metric.compute(totals[title]) for title, metric in metrics.items()}


def _outputs(
    net: Any,
    train: TrainState,
    data: Any,
    batch_size: int | None,
    sharding: Sharding | None,
    x_of: Callable,
) -> Iterator:
    """(batch, output on the host) for each batch; the next is computed while one is fetched."""
    if isinstance(net, Cell):
        raise TypeError("a cell also returns a carry: make it a layer with nn.unroll(cell).")
    layer = lift(net)
    forward = compiled_for(layer.apply, _forward)
    rows_only, waiting = _rows_only(sharding), None
    with auto_axes(sharding):
        params, state = _placed(train, sharding)
        if sharding is not None and batch_size is not None:
            data = as_arrays(data, "data")
            _check_size(sharding, data, check_int(batch_size, "batch_size"))
            if jax.process_count() > 1:  # all rows in one order, whichever process has them
                data, _ = place_rows(sharding, data)
        for batch, _ in _batches(data, batch_size):
            placed, counts = _placed_rows(sharding, x_of(batch))
            y = forward(params, state, placed, counts, rows_only)
            if waiting is not None:
                yield fetch(waiting)
            waiting = batch, y
        yield fetch(waiting)


def _rows_only(sharding: Sharding | None) -> Sharding | None:
    """What a program for rows depends on, so that it is compiled once for all rules of params."""
    return None if sharding is None else sharding._replace(rules=(), recipe="")


def _placed(train: TrainState, sharding: Sharding | None) -> tuple[Tree, Tree]:
    light = train.params, train.state
    if sharding is None:
        return light
    return jax.device_put(light, shardings(sharding, light, train.params))


def _placed_rows(sharding: Sharding | None, batch: Tree) -> tuple[Tree, tuple | None]:
    return (batch, None) if sharding is None else place_rows(sharding, batch, "a batch")


def _check_size(sharding: Sharding, data: Tree, size: int) -> None:
    """Raises ValueError if the mesh does not divide the rows of a batch."""
    cut = lambda leaf: jax.ShapeDtypeStruct((size, *leaf.shape[1:]), leaf.dtype)  # noqa: E731
    batch_shardings(sharding, jax.tree.map(cut, data), "a batch of data")


def _batches(data: Any, batch_size: int | None) -> Iterator[tuple[Tree, int]]:
    """(batch, rows) of arrays cut up or of an iterable; raises ValueError where there are none."""
    if batch_size is not None:
        data = as_arrays(data, "data")
        rows, size = count_rows(data, "data"), check_int(batch_size, "batch_size")
        for start in range(0, rows, size):
            cut = slice(start, min(start + size, rows))
            yield jax.tree.map(lambda leaf, cut=cut: leaf[cut], data), cut.stop - start
        return
    check_batches(data)
    found = False
    for batch in data:
        found, batch = True, as_arrays(batch, "a batch")
        yield batch, common_rows(batch, "a batch") or 1
    if not found:
        raise ValueError("no batches to evaluate: give some, or arrays and a batch_size.")


def _forward(apply: Callable) -> Callable:
    @partial(jax.jit, static_argnums=(3, 4))
    def forward(params, state, x, counts, sharding):
        return apply(params, state, constrain_rows(sharding, x, counts))[0]

    return forward


def _measured(loss: Callable, params: Tree, state: Tree, batch: Tree) -> dict:
    value, (_, metrics) = checked_loss(loss(params, state, batch, key=None, train=False))
    return {"loss": value, **metrics}


def _value(loss: Callable) -> Callable:
    @partial(jax.jit, static_argnums=(3, 4))
    def value(params, state, batch, counts, sharding):
        return _measured(loss, params, state, constrain_rows(sharding, batch, counts))

    return value


def _means(loss: Callable) -> Callable:
    @partial(jax.jit, static_argnums=(3, 4, 5))
    def means(params, state, data: Tree, rows: int, size: int, sharding) -> dict:
        def part(index):
            batch = jax.tree.map(lambda leaf: jnp.asarray(leaf)[index], data)
            return _measured(loss, params, state, constrain_rows(sharding, batch))

        whole, rest = divmod(rows, size)
        values = jax.lax.map(part, jnp.arange(whole * size).reshape(whole, size))
        totals = jax.tree.map(lambda value: size * value.sum(axis=0), values)
        if rest:
            last = part(jnp.arange(whole * size, rows))
            totals = jax.tree.map(lambda total, value: total + rest * value, totals, last)
        return jax.tree.map(lambda total: total / rows, totals)

    return means

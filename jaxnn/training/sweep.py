"""Many runs in one program: seeds and hyperparameters of a step that is vmapped."""

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.checks import check_number
from jaxnn.core import Tree, check_int
from jaxnn.training.diagnostics import injected, is_injected
from jaxnn.training.precision import all_finite
from jaxnn.training.step import TrainState, init_train


class Sweep(NamedTuple):
    """Several runs; `fit` takes it in the place of a `TrainState`.

    runs: a `TrainState` whose leaves have a leading axis of runs.
    settings: by name, "seed" and the hyperparameters, what each run has, [runs].
    """

    runs: TrainState
    settings: dict[str, jax.Array]

    @property
    def step(self) -> jax.Array:
        """The number of steps taken, which all runs share, int32 []."""
        return self.runs.step[0]

    @property
    def key(self) -> jax.Array:
        """The root key of each run, [runs], from which the order of its data is drawn."""
        return self.runs.key


def sweep(
    step: Callable,
    net: Any,
    optimizer: Any,
    seeds: Sequence[int],
    x: Tree,
    hyperparameters: Mapping[str, Sequence[float]] | None = None,
) -> tuple[Callable, Sweep]:
    """A step and a start for many runs at once, as `fit` takes them: fit(*sweep(...), data, ...).

    Every combination of a seed and the hyperparameters is a run with its own params, noise and
    order of the data. All of them are one program, the step mapped over runs. Metrics have the
    number of the run as suffix, "loss_0"; without it they are the mean over the runs whose loss is
    finite. A run whose loss or params are not finite stays at its last good step, and the others go
    on; `fit` alone would end with an error.

    Args:
      step: what `jaxnn.training.step` returned.
      net: the net of its loss.
      optimizer: its optimizer.
      seeds: one a run; seed s gives the run of `jax.random.key(s)`.
      x: an example batch of inputs, arrays or `ShapeDtypeStruct`s.
      hyperparameters: values by name, for an optimizer of `optax.inject_hyperparams` that has them
        as numbers.

    Returns:
      (step, Sweep): a step of all runs, and their start. `runs` takes the runs apart.

    Raises:
      TypeError: if an argument is not of its kind.
      ValueError: if there are no seeds or values, or if the optimizer has no such hyperparameter,
        several, or a schedule for it, or if the step has a sharding.

    >>> import jax, jaxnn as nn, optax
    >>> net, optimizer = nn.dense(1), optax.inject_hyperparams(optax.sgd)(learning_rate=0.1)
    >>> x = jax.random.normal(jax.random.key(1), (64, 3))
    >>> update = nn.training.step(nn.training.supervised(net, nn.mse), optimizer)
    >>> rates = {"learning_rate": [0.1, 0.01, 0.001]}
    >>> six = nn.training.sweep(update, net, optimizer, [0, 1], x, rates)
    >>> end = nn.training.fit(*six, (x, x[:, :1]), steps=100, batch_size=16)
    >>> losses = [end.history[-1][f"loss_{i}"] for i in range(6)]
    >>> nn.training.runs(end.train)[losses.index(min(losses))][0]["learning_rate"]
    0.1
    """
    if getattr(step, "sharding", None) is not None:
        raise ValueError(
            "sweep: the step has a sharding, and all runs of a sweep are on one device: make it "
            "without, nn.training.step(loss, optimizer)."
        )
    seeds = [check_int(seed, "sweep: a seed", least=0) for seed in seeds]
    values = {"seed": seeds}
    for name, each in (hyperparameters or {}).items():
        if name == "seed":
            raise ValueError('sweep: "seed" is no hyperparameter: give seeds.')
        values[name] = [check_number(value, f"sweep: {name}") for value in each]
    for name, each in values.items():
        if not len(each):
            raise ValueError(f"sweep: there are no values of {name}: give one at least.")
    points = list(zip(*itertools.product(*values.values()), strict=True))
    table = {
        name: jnp.asarray(column, jnp.int32 if name == "seed" else jnp.float32)
        for name, column in zip(values, points, strict=True)
    }

    keys = jnp.stack([jax.random.key(seed) for seed in table["seed"].tolist()])

    def begin(key, settings):
        train = init_train(net, optimizer, key, x)
        return train._replace(opt_state=_set(train.opt_state, settings))

    start = Sweep(jax.vmap(begin)(keys, table), table)
    return _mapped(step), start


def runs(sweep: Sweep) -> list[tuple[dict[str, float], TrainState]]:
    """The runs of a sweep one by one, to evaluate each, or to go on with it alone.

    Args:
      sweep: the start or the end of a sweep.

    Returns:
      (settings, `TrainState`) of each run, in the order of its number.

    >>> import jax, jaxnn as nn, optax
    >>> net, optimizer, x = nn.dense(1), optax.sgd(0.1), jax.numpy.ones((4, 3))
    >>> update = nn.training.step(nn.training.supervised(net, nn.mse), optimizer)
    >>> _, start = nn.training.sweep(update, net, optimizer, range(3), x)
    >>> [settings for settings, train in nn.training.runs(start)]
    [{'seed': 0}, {'seed': 1}, {'seed': 2}]
    """
    settings = {
        # 0.1, not the 0.10000000149 that float32 holds.
        name: [json.loads(str(value)) for value in values]
        for name, values in jax.device_get(sweep.settings).items()
    }
    return [
        (
            {name: values[i] for name, values in settings.items()},
            jax.tree.map(lambda leaf, i=i: leaf[i], sweep.runs),
        )
        for i in range(len(sweep.runs.step))
    ]


def _set(opt_state: Tree, settings: dict[str, jax.Array]) -> Tree:
    """The state of an optimizer with these hyperparameters in it."""
    for name in settings.keys() - {"seed"}:
        held = [node for _, node in injected(opt_state) if name in node.hyperparams]
        if len(held) != 1:
            names = sorted({each for _, node in injected(opt_state) for each in node.hyperparams})
            raise ValueError(
                f"sweep: the optimizer has {len(held) or 'no'} hyperparameters {name!r} of "
                f"{names or 'none'}: make it with optax.inject_hyperparams(optax.adam)"
                "(learning_rate=1e-3), whose arguments these are."
            )
        if name in getattr(held[0], "hyperparams_states", {}):
            raise ValueError(
                f"sweep: {name!r} follows a schedule, which would overwrite it: give a number, or "
                "inject an argument of the schedule, optax.inject_hyperparams(lambda peak: "
                "optax.adam(optax.cosine_decay_schedule(peak, 1000)))(peak=1e-3)."
            )

    def changed(node):
        if not is_injected(node):
            return node
        new = {
            name: settings[name].astype(jnp.result_type(value)) if name in settings else value
            for name, value in node.hyperparams.items()
        }
        return node._replace(hyperparams=new)

    return jax.tree.map(changed, opt_state, is_leaf=is_injected)


def _mapped(step: Callable) -> Callable:
    """The step of all runs on one batch; its `apart` takes a batch for each, [runs, rows, ...]."""

    def one(run, batch):
        after, metrics = step(run, batch)
        good = jnp.isfinite(metrics["loss"]) & all_finite((after.params, after.state))
        kept = jax.tree.map(
            lambda new, old: jnp.where(good, new, old),
            after._replace(step=()),
            run._replace(step=()),
        )
        return kept._replace(step=after.step), metrics

    def of_all(each):
        def update(sweep: Sweep, batch: Tree) -> tuple[Sweep, dict]:
            after, measured = jax.vmap(one, in_axes=(0, 0 if each else None))(sweep.runs, batch)
            good = jnp.isfinite(measured["loss"])
            metrics = {}
            for title, values in measured.items():
                if title != "skipped":
                    metrics[title] = jnp.mean(values, where=good)
                metrics |= {f"{title}_{i}": value for i, value in enumerate(values)}
            return Sweep(after, sweep.settings), metrics

        return jax.jit(update, donate_argnums=0)

    shared, apart = of_all(False), of_all(True)

    @wraps(step)
    def update(sweep: Sweep, batch: Tree) -> tuple[Sweep, dict]:
        return shared(sweep, batch)

    update.lower = shared.lower  # pyright: ignore
    update.apart = apart  # pyright: ignore
    update.net = getattr(step, "net", "")  # pyright: ignore
    return update

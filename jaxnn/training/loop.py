"""The training loop: many steps, with history, validation, early stopping and checkpoints."""

import importlib.util
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnn.checks import install
from jaxnn.core import Tree, check_int, describe
from jaxnn.training import checkpoint as saving
from jaxnn.training import guard
from jaxnn.training.feed import resident, stream
from jaxnn.training.history import is_better, means, numbers
from jaxnn.training.placement import agreed, auto_axes, place_train
from jaxnn.training.sharding import Sharding
from jaxnn.training.step import TrainState, explained


class FitResult(NamedTuple):
    """The result of a run.

    train: the state after the last step. history: a row for every `every` steps: step, seconds, the
    mean of each metric over those steps, and the metrics of the validation as "validation_NAME".
    best: params and state of the best validation, without `opt_state`; `train` if nothing was
    validated.
    """

    train: Tree
    history: list[dict[str, float]]
    best: Tree


def fit(
    step: Callable,
    train: Tree,
    batches: Any,
    *,
    steps: int,
    batch_size: int | None = None,
    shuffle: bool = True,
    every: int = 100,
    validate: Callable[[Any], dict[str, float]] | None = None,
    monitor: str = "loss",
    highest: bool = False,
    patience: int | None = None,
    tolerate: int = 0,
    checkpoint: str | os.PathLike | None = None,
    save_every: int | None = None,
    progress: bool | None = None,
    log: Callable[[dict], None] | None = None,
    sharding: Sharding | None = None,
) -> FitResult:
    """Trains until `train.step` is `steps`.

    Args:
      step: what `jaxnn.training.step` returned.
      train: the state to start from, a `TrainState` or a NamedTuple of several with their `step`
        and `key`; it is copied, and remains valid.
      batches: with batch_size, a pytree of arrays with rows first, which is put on the device and
        shuffled there; without, any iterable of batches.
      steps: the step to reach, counted from the very first one, so that the same call resumes. A
        call for a run that is complete returns what was saved.
      batch_size: the number of rows a step.
      shuffle: whether each epoch of arrays has a random order of its own.
      every: the number of steps between rows of the history, and between validations.
      validate: (train) -> metrics, a dict of one number each, such as a call of `evaluate` on
        held-out data.
      monitor: the metric of `validate` that decides which params are best: the lowest, or with
        `highest` the highest. NaN is never the best.
      highest: whether the highest value of `monitor` is the best.
      patience: the number of validations without a better one after which the run stops.
      tolerate: the number of steps in a row whose loss may not be finite, for an optimizer that
        skips them, such as `optax.apply_if_finite`. They leave the state as it was, are left out of
        the means, and are counted in the history as "skipped".
      checkpoint: a directory; the run resumes from what is saved there and saves there. One run at
        a time may use it. A save that is damaged, or holds numbers that are not finite, is moved
        aside with a warning, and the run continues from the one before.
      save_every: the number of steps between saves, rounded up to a multiple of `every`, which is
        the default.
      progress: whether a bar is drawn; by default, if the output is a terminal.
      log: a function that is called with each row of the history.
      sharding: how train and data lie on the devices of a mesh, by default that of the step. In
        many processes each gives its own rows.

    Returns:
      A `FitResult`.

    Raises:
      FloatingPointError: at the first loss that is NaN or infinite and not tolerated, with its
        step; if params or state are not finite, with the leaf.
      TypeError: if batches are not iterable, or leaves are not arrays of numbers.
      ValueError: if the data have no rows, NaN, or less than a batch; if `train` or the checkpoint
        is at `steps` or beyond; if the checkpoint is of another network, optimizer, seed, batch
        size or number of rows, with the difference.
      OSError: if the directory cannot be written, or another run uses it.

    >>> import jax, jaxnn as nn, optax
    >>> x = jax.random.normal(jax.random.key(1), (64, 3))
    >>> net, optimizer = nn.dense(1), optax.sgd(0.1)
    >>> update = nn.training.step(nn.training.supervised(net, nn.mse), optimizer)
    >>> train = nn.training.init_train(net, optimizer, jax.random.key(0), x)
    >>> end = nn.training.fit(update, train, (x, x[:, :1]), steps=200, batch_size=16)
    >>> bool(end.history[-1]["loss"] < 1e-6)
    True
    """
    every, steps = check_int(every, "every"), check_int(steps, "steps")
    tolerate = check_int(tolerate, "tolerate", least=0)
    if patience is not None:
        check_int(patience, "patience")
        if validate is None:
            raise ValueError("patience counts validations: give validate as well.")
    save_every = every if save_every is None else check_int(save_every, "save_every")
    sharding = agreed(sharding, step)
    if batch_size is None:
        feed = stream(step, batches, sharding)
    else:
        feed = resident(step, batches, batch_size, shuffle, sharding)
    if not hasattr(train, "step") or not hasattr(train, "key"):
        raise TypeError(
            f"fit takes the whole of a Train, as nn.training.init_train makes it, got "
            f"{describe(train)[:200]}."
        )
    with ExitStack() as stack:
        stack.enter_context(auto_axes(sharding))
        train = _copy(train, sharding)  # a step donates what it is given
        history: list[dict[str, float]] = []
        best, best_value, waited, in_a_row = _light(train), None, 0, 0
        began = time.perf_counter()
        run = feed.run | {"key of the seed": saving.key_numbers(train.key)}
        finite = guard.finite(train)
        saves = None if checkpoint is None else stack.enter_context(saving.manager(checkpoint))
        restored = saves and saving.restore(
            saves, {"train": train, "best": best}, run, lambda trees: guard.spoiled(finite, trees)
        )
        if restored:
            trees, notes = restored
            train, best = trees["train"], trees.get("best", best)
            history, best_value, waited = notes["history"], notes["best_value"], notes["waited"]
            in_a_row = notes["in_a_row"]
            feed.seek(notes["position"])
            began -= notes["seconds"]
        _check_steps(int(train.step), steps, checkpoint if restored else None)
        bar = stack.enter_context(_bar(progress, steps, int(train.step)))
        at, saved, pending = int(train.step), int(train.step), None

        def settle(window, now: Tree | None) -> dict:
            # Fetches a window's metrics, which waits for the device, and makes its row.
            nonlocal in_a_row
            end, metrics, rows = window
            row = {"step": end, "seconds": time.perf_counter() - began}
            last = f" (last saved: step {saved})" if saves else ""
            averages, losses = means(metrics, rows)
            in_a_row = guard.check_losses(losses, end, in_a_row, tolerate, last)
            row |= averages
            if tolerate:
                row["skipped"] = int(np.sum(~np.isfinite(losses)))
            if now is not None:
                # A finite loss may have a gradient that is not.
                path = guard.spoiled(finite, now)
                if path is not None:
                    raise FloatingPointError(
                        f"params and state{path} are no longer finite after step {end}, though the "
                        "loss is: the gradient is not, as that of jnp.sqrt is at 0; mend the "
                        f"function, or skip such steps with optax.apply_if_finite{last}."
                    )
                if validate is not None:
                    measured = numbers(validate(now), "validate")
                    row |= {f"validation_{title}": value for title, value in measured.items()}
            history.append(row)
            bar(row)
            if log is not None:
                log(row)
            return row

        while at < steps and (patience is None or waited < patience):
            asked = min(every - at % every, steps - at)
            train, metrics, rows = feed.advance(train, at, asked)
            at += len(rows)
            ended = len(rows) < asked
            if pending:
                settle(pending, None)
                pending = None
            if not rows:
                break
            pending = (at, metrics, rows)
            last = ended or at >= steps
            due = saves and (last or at // save_every > saved // save_every)
            if validate is not None or due or last:
                row = settle(pending, train)
                pending = None
                if validate is not None:
                    improved = is_better(row, monitor, highest, best_value)
                    if improved:
                        best, best_value = _light(_copy(train)), row[f"validation_{monitor}"]
                    waited = 0 if improved else waited + 1
            if saves and (due or (patience is not None and waited >= patience)):
                trees = {"train": train} if best_value is None else {"train": train, "best": best}
                notes = {
                    "trees": list(trees),
                    "history": list(history),  # it is written while the next steps run
                    "best_value": best_value,
                    "waited": waited,
                    "in_a_row": in_a_row,
                    "run": run,
                    "net": getattr(step, "net", ""),
                    "position": feed.position(),
                    "seconds": time.perf_counter() - began,
                }
                saving.save(saves, at, trees, notes)
                saved = at
            if ended:
                break
        if at < steps and (patience is None or waited < patience):
            warnings.warn(
                f"the iterator of batches ended at step {at} of {steps}: give a list, or an "
                "iterator that goes on, to train for all of them.",
                stacklevel=2,
            )
    return FitResult(train, history, _light(train) if best_value is None else best)


def _copy(train: Tree, sharding: Sharding | None = None) -> Tree:
    try:
        return place_train(sharding, train)
    except (RuntimeError, ValueError) as error:
        raise explained(error) from error


def _check_steps(at: int, steps: int, checkpoint: Any) -> None:
    """Raises ValueError if a run is at `steps` already, unless it was saved that way."""
    if checkpoint is not None and at > steps:
        raise ValueError(
            f"the run in {checkpoint} is at step {at}, beyond steps={steps}: give {at} at least, "
            "or another directory."
        )
    if checkpoint is None and at >= steps:
        raise ValueError(
            f"train is at step {at}, and steps={steps} counts from the very first: give "
            f"steps={at + steps} for {steps} more."
        )


def _light(train: Tree) -> Tree:
    def light(node):
        return node._replace(opt_state=()) if isinstance(node, TrainState) else node

    return jax.tree.map(light, train, is_leaf=lambda node: isinstance(node, TrainState))


@contextmanager
def _bar(progress: bool | None, steps: int, at: int) -> Iterator[Callable[[dict], None]]:
    """A function that shows a row on a bar; it does nothing without a terminal."""
    if progress is None:
        progress = sys.stderr.isatty() and importlib.util.find_spec("tqdm") is not None
    if not progress:
        yield lambda row: None
        return
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise ImportError(f"a progress bar needs tqdm: {install('train')}") from error
    with tqdm(total=steps, initial=at, unit="step") as bar:

        def show(row: dict) -> None:
            bar.set_postfix({title: f"{row[title]:.4g}" for title in row if "loss" in title})
            bar.update(row["step"] - bar.n)

        yield show

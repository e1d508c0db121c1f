"""The training loop: many steps, and all that one wants to see and keep of them."""

import importlib.util
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.core import Tree, count
from jaxnn.training import checkpoint as saving
from jaxnn.training.feed import resident, stream
from jaxnn.training.step import Train, explained


class Fit(NamedTuple):
    """What a run leaves.

    train: after the last step.
    history: a row for every `every` steps: step, seconds, the mean of each metric over those steps,
      and the validation's metrics as "validation_NAME".
    best: params and state of the best validation, with `opt_state` left out; `train` where nothing
      was validated.
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
    checkpoint: Any = None,
    save_every: int | None = None,
    progress: bool | None = None,
    log: Callable[[dict], None] | None = None,
) -> Fit:
    """Trains until `train.step` is `steps`.

    Args:
      step: what `jaxnn.training.step` returned.
      train: where to start, a `Train` or a NamedTuple of several with their `step` and `key`; it is
        copied, and stays as it is.
      batches: with batch_size, a pytree of arrays with rows first, which is put on the device and
        shuffled there; without, any iterable of batches.
      steps: the step to reach, counted from the very first, so that the same call resumes.
      batch_size: rows a step.
      shuffle: whether each epoch of arrays has an order of its own.
      every: steps between rows of the history, and between validations.
      validate: (train) -> metrics, such as a call of `evaluate` on held-out data.
      monitor: the metric of `validate` that says which params are best: the lowest, or with
        `highest` the highest.
      patience: validations without a better one after which the run stops.
      checkpoint: a directory; the run resumes from what is saved there and saves there.
      save_every: steps between saves, `every` by default; rounded up to a multiple of it.
      progress: whether a bar is drawn; by default where the output is a terminal.
      log: called with each row of the history.

    Raises:
      FloatingPointError: at the first loss that is NaN or infinite, with its step.
      ValueError: for data without rows, with NaN, or fewer than a batch.

    >>> import jax, jaxnn as nn, optax
    >>> x = jax.random.normal(jax.random.key(1), (64, 3))
    >>> net, optimizer = nn.dense(1), optax.sgd(0.1)
    >>> update = nn.training.step(nn.training.supervised(net, nn.mse), optimizer)
    >>> train = nn.training.start(net, optimizer, jax.random.key(0), x)
    >>> end = nn.training.fit(update, train, (x, x[:, :1]), steps=200, batch_size=16)
    >>> bool(end.history[-1]["loss"] < 1e-6)
    True
    """
    every, steps = count(every, "every"), count(steps, "steps")
    save_every = every if save_every is None else count(save_every, "save_every")
    if batch_size is None:
        feed = stream(step, batches)
    else:
        feed = resident(step, batches, batch_size, shuffle)
    train = _copy(train)  # a step donates what it is given
    history: list[dict[str, float]] = []
    best, best_value, waited = _light(train), None, 0
    began = time.perf_counter()

    with ExitStack() as stack:
        saves = None if checkpoint is None else stack.enter_context(saving.manager(checkpoint))
        restored = saves and saving.restore(saves, {"train": train, "best": best})
        if restored:
            trees, notes = restored
            train, best = trees["train"], trees.get("best", best)
            history, best_value, waited = notes["history"], notes["best_value"], notes["waited"]
            feed.seek(notes["position"])
            began -= notes["seconds"]
        bar = stack.enter_context(_bar(progress, steps, int(train.step)))
        at, saved, pending = int(train.step), int(train.step), None

        def settle(window, now: Tree | None) -> dict:
            # Fetches a window's metrics, which waits for the device, and makes its row.
            end, metrics, rows = window
            row = {"step": end, "seconds": time.perf_counter() - began}
            row |= _means(metrics, rows, end, f" (last saved: step {saved})" if saves else "")
            if validate is not None and now is not None:
                row |= {f"validation_{title}": value for title, value in validate(now).items()}
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
                    best_value, improved = _better(row, monitor, highest, best_value)
                    best = _light(_copy(train)) if improved else best
                    waited = 0 if improved else waited + 1
            if saves and (due or (patience is not None and waited >= patience)):
                trees = {"train": train} if best_value is None else {"train": train, "best": best}
                notes = {
                    "trees": list(trees),
                    "history": list(history),  # it is written while the next steps run
                    "best_value": best_value,
                    "waited": waited,
                    "position": feed.position(),
                    "seconds": time.perf_counter() - began,
                }
                saving.save(saves, at, trees, notes)
                saved = at
            if ended:
                break
    return Fit(train, history, _light(train) if best_value is None else best)


def write_history(path: Any, history: list[dict[str, float]]) -> None:
    """Writes a history as JSON lines, one row a line."""
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in history))


def _copy(train: Tree) -> Tree:
    try:
        return jax.tree.map(jnp.copy, train)
    except (RuntimeError, ValueError) as error:
        raise explained(error) from error


def _light(train: Tree) -> Tree:
    def light(node):
        return node._replace(opt_state=()) if isinstance(node, Train) else node

    return jax.tree.map(light, train, is_leaf=lambda node: isinstance(node, Train))


def _better(row: dict, monitor: str, highest: bool, best: float | None) -> tuple[float, bool]:
    try:
        value = row[f"validation_{monitor}"]
    except KeyError:
        held = [title.removeprefix("validation_") for title in row if "validation_" in title]
        raise ValueError(f"validate returned {held}, and no {monitor!r}: set monitor.") from None
    improved = best is None or (value > best if highest else value < best)
    return (value if improved or best is None else best), improved


def _means(metrics: Any, rows: list[int], end: int, saved: str) -> dict[str, float]:
    """The mean of each metric over a window, weighed by rows; raises where the loss is none."""
    metrics = jax.device_get(metrics)
    if isinstance(metrics, list):
        metrics = {title: np.stack([each[title] for each in metrics]) for title in metrics[0]}
    loss = np.asarray(metrics["loss"])
    if not np.isfinite(loss).all():
        first = int(np.argmin(np.isfinite(loss)))
        raise FloatingPointError(
            f"the loss is {loss[first]} at step {end - len(loss) + first + 1}: lower the learning "
            f"rate, clip the gradient (optax.clip_by_global_norm) or look at the data{saved}."
        )
    return {
        title: float(np.average(np.asarray(value, np.float64), weights=rows))
        for title, value in metrics.items()
        if np.ndim(value) == 1
    }


@contextmanager
def _bar(progress: bool | None, steps: int, at: int) -> Iterator[Callable[[dict], None]]:
    """A function that shows a row on a bar; does nothing where there is no terminal."""
    if progress is None:
        progress = sys.stderr.isatty() and importlib.util.find_spec("tqdm") is not None
    if not progress:
        yield lambda row: None
        return
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise ImportError(f"a progress bar needs tqdm: {saving.INSTALL}") from error
    with tqdm(total=steps, initial=at, unit="step") as bar:

        def show(row: dict) -> None:
            bar.set_postfix({title: f"{row[title]:.4g}" for title in row if "loss" in title})
            bar.update(row["step"] - bar.n)

        yield show

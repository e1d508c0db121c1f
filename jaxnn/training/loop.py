"""The training loop: many steps, with history, validation, early stopping and checkpoints."""

import os
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnn.core import Tree, check_int, describe
from jaxnn.training import checkpoint as saving
from jaxnn.training import guard, pace
from jaxnn.training.feed import resident, stream
from jaxnn.training.history import is_better, means, numbers
from jaxnn.training.interruption import held_back, leaving
from jaxnn.training.placement import agreed, auto_axes, place_train
from jaxnn.training.sharding import Sharding
from jaxnn.training.step import TrainState, explained
from jaxnn.training.watching import watchers


class FitResult(NamedTuple):
    """The result of a run.

    train: the state after the last step. history: a row for every `every` steps: step, seconds, the
    mean of each metric over those steps, the metrics of the validation as "validation_NAME", and
    the speed of those steps: "rows_per_second"; "tokens_per_second" where the first leaf of a batch
    holds integers [batch, time]; "share_of_roof" where `roof` is given; and "peak_memory_bytes",
    the most that a device of this process had in use, where the device tells it. Compilation slows
    the first row. best: params and state of the best validation, without `opt_state`; `train` if
    nothing was validated.
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
    evaluate_as: Callable[[Any], Any] | None = None,
    monitor: str = "loss",
    highest: bool = False,
    patience: int | None = None,
    tolerate: int = 0,
    checkpoint: str | os.PathLike | None = None,
    save_every: int | None = None,
    keep: int = 3,
    progress: bool | None = None,
    sharding: Sharding | None = None,
    log: Callable[[dict], None] | Sequence[Callable[[dict], None]] | None = None,
    roof: tuple[float, float] | None = None,
    trace: str | os.PathLike | None = None,
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
      evaluate_as: (train) -> the train that is validated and kept as the best in its place, such as
        `jaxnn.training.average` for averaged params.
      monitor: the metric of `validate` that decides which params are best: the lowest, or with
        `highest` the highest. NaN is never the best.
      highest: whether the highest value of `monitor` is the best.
      patience: the number of validations without a better one after which the run stops.
      tolerate: the number of steps in a row whose loss may not be finite, for an optimizer that
        skips them, such as `optax.apply_if_finite`. They leave the state as it was, are left out of
        the means, and are counted in the history as "skipped".
      checkpoint: a directory; the run resumes from what is saved there and saves there. One run at
        a time may use it. A save that is damaged, or holds numbers that are not finite, is moved
        aside with a warning, and the run continues from the one before. Ctrl-C and SIGTERM, in the
        main thread and without handlers of the user's own, finish the steps of the row under way,
        save, and then raise; a second one raises at once.
      save_every: the number of steps between saves, rounded up to a multiple of `every`, which is
        the default.
      keep: the number of saves that are kept, the last ones; the one with the best validation is
        kept besides. With 1, a damaged save leaves none to go on from.
      progress: whether a bar is drawn; by default, if the output is a terminal.
      log: a function that is called with each row of the history, or several, such as `log_json`
        and `log_tensorboard` return; among several processes, in the first alone.
      roof: the floating-point operations that all devices together can do in a second, and those
        that one step needs, for the history.
      trace: a folder, into which the profiler of JAX records the steps of one row after
        compilation, for TensorBoard, XProf or Perfetto.
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
      KeyboardInterrupt: after Ctrl-C; the same call goes on from what was saved.
      SystemExit: after SIGTERM, likewise.

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
    keep, roof = check_int(keep, "keep"), pace.check_roof(roof)
    if batch_size is None:
        counted, tokens = pace.counting(step)
        feed = stream(counted, batches, sharding)
    else:
        feed = resident(step, batches, batch_size, shuffle, sharding)
        tokens = pace.tokens_of_rows(batches)
    if not hasattr(train, "step") or not hasattr(train, "key"):
        raise TypeError(
            f"fit takes the whole of a Train, as nn.training.init_train makes it, got "
            f"{describe(train)[:200]}."
        )
    shown = evaluate_as or (lambda train: train)
    with ExitStack() as stack:
        stack.enter_context(auto_axes(sharding))
        train = _copy(train, sharding)  # a step donates what it is given
        history: list[dict[str, float]] = []
        best, best_value, best_save, waited, in_a_row = _light(shown(train)), None, None, 0, 0
        began = time.perf_counter()
        run = feed.run | {"key of the seed": saving.key_numbers(train.key)}
        finite = guard.finite(train)
        saves = None
        if checkpoint is not None:
            saves = stack.enter_context(saving.manager(checkpoint, keep, lambda: best_save))
        restored = saves and saving.restore(
            saves, {"train": train, "best": best}, run, lambda trees: guard.spoiled(finite, trees)
        )
        if restored:
            trees, notes = restored
            train, best = trees["train"], trees.get("best", best)
            history, best_value, waited = notes["history"], notes["best_value"], notes["waited"]
            in_a_row, best_save = notes["in_a_row"], notes.get("best_save")
            feed.seek(notes["position"])
            began -= notes["seconds"]
        _check_steps(int(train.step), steps, checkpoint if restored else None)
        at, saved, pending = int(train.step), int(train.step), None
        watch = stack.enter_context(watchers(log, progress, steps, at))
        obey = stack.enter_context(held_back(saves is not None))
        when_done, lap = stack.enter_context(pace.stopwatch(train, roof))
        lengths, traced, signal = set(), False, None

        def settle(window: pace.Window, now: Tree | None) -> dict:
            # Fetches a window's metrics, which waits for the device, and makes its row.
            nonlocal in_a_row
            averages, losses, skipped = means(window.metrics, window.rows)
            end, speed = window.end, lap(window)
            row = {"step": end, "seconds": time.perf_counter() - began}
            last = f" (last saved: step {saved})" if saves else ""
            in_a_row = guard.check_losses(losses, end, in_a_row, tolerate, last)
            row |= averages
            if tolerate or "skipped" in row:
                row["skipped"] = int(np.sum(skipped))
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
                    measured = numbers(validate(shown(now)), "validate")
                    row |= {f"validation_{title}": value for title, value in measured.items()}
            row |= speed
            history.append(row)
            watch(row)
            return row

        while at < steps and (patience is None or waited < patience) and signal is None:
            asked = min(every - at % every, steps - at)
            advance = feed.advance
            if trace is not None and not traced and asked in lengths:  # its program is compiled
                if pending:
                    settle(pending, None)
                    pending = None
                advance, traced = pace.traced(advance, trace), True
            lengths.add(asked)
            sent = time.perf_counter()
            train, metrics, rows = advance(train, at, asked)
            at += len(rows)
            ended = len(rows) < asked
            if rows:
                done = when_done(metrics)
                if pending:
                    settle(pending, None)
                pending = pace.Window(at, metrics, rows, tokens(rows), sent, done)
            signal = obey(at - len(rows) + 1, at)
            last = ended or at >= steps or signal is not None
            due = last or (saves and at // save_every > saved // save_every)
            if pending and (validate is not None or due):
                row = settle(pending, train)
                pending = None
                if validate is not None:
                    improved = is_better(row, monitor, highest, best_value)
                    if improved:
                        best, best_value = _light(_copy(shown(train))), row[f"validation_{monitor}"]
                    waited = 0 if improved else waited + 1
                signal = signal or obey(1, 0)  # one may have come meanwhile
            due = due or signal is not None or (patience is not None and waited >= patience)
            if saves and pending is None and at > saved and due:
                best_save = _better_save(best_save, history[-1], monitor, highest)
                trees = {"train": train} if best_value is None else {"train": train, "best": best}
                notes = {
                    "trees": list(trees),
                    "history": list(history),  # it is written while the next steps run
                    "best_value": best_value,
                    "best_save": best_save,
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
        going_on = at < steps and (patience is None or waited < patience)
        if going_on and signal is None:
            warnings.warn(
                f"the iterator of batches ended at step {at} of {steps}: give a list, or an "
                "iterator that goes on, to train for all of them.",
                stacklevel=2,
            )
        if trace is not None and lengths and not traced and signal is None:
            warnings.warn(
                f"nothing was traced into {trace}: the first row's steps are compiled, and no row "
                "of as many came after it; give a smaller every, or more steps.",
                stacklevel=2,
            )
    signal = signal or obey(1, 0)  # one may have come after the last steps
    if signal is not None:
        raise leaving(
            signal, f"at step {at}, which is saved in {checkpoint}; the same call goes on"
        )
    return FitResult(train, history, _light(shown(train)) if best_value is None else best)


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


def _better_save(best: list | None, row: dict, monitor: str, highest: bool) -> list | None:
    """The [step, value] of the save with the best validation, among those before and a row's."""
    value = row.get(f"validation_{monitor}")
    better = value is not None and is_better(row, monitor, highest, best[1] if best else None)
    return [row["step"], value] if better else best

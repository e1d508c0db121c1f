"""Watching a run: functions for `fit(log=...)` that write its rows, and the bar of progress.

Each opens what it writes to at the first row, so that among several processes, of which the first
alone has rows, the others open nothing.
"""

import importlib.util
import json
import os
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

from jaxnn.checks import install

Log = Callable[[dict], None]


def log_json(path: str | os.PathLike) -> Log:
    """A function for `fit(log=...)` that appends each row of the history to a file of JSON lines.

    The file is open only while a row is written. Lines that it holds from the first row's step on,
    which a run that was killed after its last save had written and now trains again, are replaced.

    Args:
      path: the file; its folder is made if need be.

    Returns:
      A function (row) -> None.

    >>> import jaxnn as nn, pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "run.jsonl")
    >>> log = nn.training.log_json(path)
    >>> log({"step": 100, "loss": 0.5})
    >>> path.read_text()
    '{"step": 100, "loss": 0.5}\\n'
    """
    path, begun = Path(path), False

    def log(row: dict) -> None:
        nonlocal begun
        if not begun:
            path.parent.mkdir(parents=True, exist_ok=True)
            _keep_before(path, row["step"])
            begun = True
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    return log


def _keep_before(path: Path, step: int) -> None:
    """Leaves the lines of earlier steps in a file, and no line that is not whole."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:  # the last line of a run that was killed as it wrote
            continue
        if isinstance(row, dict) and row.get("step", step) < step:
            kept.append(line + "\n")
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text("".join(kept), encoding="utf-8")
    os.replace(partial, path)


def log_tensorboard(folder: str | os.PathLike) -> Log:
    """A function for `fit(log=...)` that writes each row's numbers as scalars for TensorBoard.

    Steps of before that are trained again after a resume are hidden by TensorBoard.

    Args:
      folder: the folder of events, which is made if need be; `tensorboard --logdir` takes it or one
        above it.

    Returns:
      A function (row) -> None.

    Raises:
      ImportError: if tensorboardX is not installed, with the command that installs it.

    >>> import jaxnn as nn
    >>> log = nn.training.log_tensorboard("runs/first")  # doctest: +SKIP
    """
    library = _library("tensorboardX", "tensorboard")
    opened: list[Any] = []

    def log(row: dict) -> None:
        if not opened:  # a thread of its own writes what comes, within a second
            given = {"purge_step": row["step"], "flush_secs": 1}
            opened.append(library.SummaryWriter(os.fspath(folder), **given))
        for title, value in _numbers(row).items():
            opened[0].add_scalar(title, value, row["step"])

    # That thread ends unheard with the process: what it has not written yet would be lost.
    weakref.finalize(log, lambda: [writer.close() for writer in opened])
    return log


def log_wandb(project: str, **options: Any) -> Log:
    """A function for `fit(log=...)` that sends each row to Weights & Biases.

    Args:
      project: the name of the project.
      options: further arguments of `wandb.init`, such as name="wide" or config={"width": 512}; with
        id="..." and resume="allow" a run that is resumed goes on in the same chart.

    Returns:
      A function (row) -> None.

    Raises:
      ImportError: if wandb is not installed, with the command that installs it.

    >>> import jaxnn as nn
    >>> log = nn.training.log_wandb("digits", mode="offline")  # doctest: +SKIP
    """
    # Otherwise wandb would hold a row back until the next one comes.
    return _tracker(_library("wandb", "wandb"), {"project": project} | options, commit=True)


def log_trackio(project: str, **options: Any) -> Log:
    """A function for `fit(log=...)` that writes each row with Trackio, to this machine by default.

    Args:
      project: the name of the project; `trackio show` shows it.
      options: further arguments of `trackio.init`, such as config={"width": 512}; with name="..."
        and resume="allow" a run that is resumed goes on in the same chart.

    Returns:
      A function (row) -> None.

    Raises:
      ImportError: if trackio is not installed, with the command that installs it.

    >>> import jaxnn as nn
    >>> log = nn.training.log_trackio("digits", name="wide")  # doctest: +SKIP
    """
    return _tracker(_library("trackio", "trackio"), {"project": project} | options)


def _tracker(library: Any, options: dict, **each: Any) -> Log:
    run: Any = None

    def log(row: dict) -> None:
        nonlocal run
        run = run or library.init(**options)
        run.log(_numbers(row), step=row["step"], **each)

    return log


def _numbers(row: dict) -> dict[str, float]:
    return {title: value for title, value in row.items() if title != "step"}


def _library(name: str, extra: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"log_{extra} needs {name}: {install(extra)}") from error


@contextmanager
def watchers(log: Any, progress: bool | None, steps: int, at: int) -> Iterator[Log]:
    """A function that hands a row to the bar and to each function of `log`.

    Among several processes it does so in the first alone.
    """
    if jax.process_index() != 0:
        yield lambda row: None
        return
    logs = () if log is None else (log,) if callable(log) else tuple(log)
    with _bar(progress, steps, at) as bar:

        def watch(row: dict) -> None:
            for each in (bar, *logs):
                each(dict(row))

        yield watch


@contextmanager
def _bar(progress: bool | None, steps: int, at: int) -> Iterator[Log]:
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

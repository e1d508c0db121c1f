"""Checkpoints of a run through Orbax: the whole `Train`, the place in the data, the history.

Notes beside the trees hold the shape and a checksum of every leaf, so that a save of another net is
told from a damaged one: the first is refused, the second is passed over for the one before.
"""

import json
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.checks import install
from jaxnn.core import Tree, describe


@contextmanager
def manager(
    directory: Any, keep: int = 3, best: Callable[[], list | None] = lambda: None
) -> Iterator[Any]:
    """An Orbax `CheckpointManager` of a directory, which is made if need be and locked.

    It keeps the last `keep` saves, and the one whose step is the first item of `best()`.

    Raises:
      ImportError: if Orbax is not installed, with the command that installs it.
      OSError: if the directory cannot be written, or another run uses it.
    """
    try:
        import orbax.checkpoint as ocp
    except ImportError as error:
        raise ImportError(f"checkpoints need orbax-checkpoint: {install('train')}") from error
    path = Path(directory).absolute()

    def kept(saves, *, context):
        steps = [save.step for save in saves]
        wanted = {*sorted(steps)[-keep:], *(best() or [])[:1]}
        return [step in wanted for step in steps]

    policy: Any = SimpleNamespace(should_preserve=kept)
    options = ocp.CheckpointManagerOptions(
        preservation_policy=policy,
        cleanup_tmp_directories=True,  # what a killed run was writing
        # Otherwise, where a folder cannot be made, the process takes five minutes to end.
        async_options=ocp.AsyncOptions(create_directories_asynchronously=False),
    )
    with _locked(path):
        opened = ocp.CheckpointManager(path, options=options)
        try:
            yield opened
            with _writing(opened, "the last save"):
                opened.wait_until_finished()
        except BaseException as error:
            # A save that cannot be written fails here once more, and would hide the first error.
            for finish in (opened.wait_until_finished, opened.close):
                try:
                    finish()
                except Exception as other:
                    if not isinstance(error, OSError):
                        error.add_note(f"and the last save was not written: {_short(other)}")
            raise
        opened.close()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds a directory for this run; the system lets go of it however the process ends."""
    if jax.process_index() > 0:  # the first holds it for all of them
        yield
        return
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = open(path / ".lock", "a")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise OSError(
            f"checkpoints cannot be written to {path}: {error.strerror or error}; give a directory "
            "that can."
        ) from error
    with lock:
        try:
            import fcntl  # not on Windows, where nothing is locked

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:
            pass
        except BlockingIOError as error:
            raise OSError(
                f"another run saves its checkpoints in {path}: wait for it, or give another "
                "directory."
            ) from error
        yield


@contextmanager
def _writing(manager: Any, what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a write that fails is a ValueError in TensorStore
        with suppress(Exception):  # the save before may still be on its way
            manager.wait_until_finished()
        manager.reload()
        whole = sorted(manager.all_steps())
        kept = f"the save of step {whole[-1]} is whole" if whole else "nothing is saved yet"
        raise OSError(
            f"{what} could not be written to {manager.directory}: "
            f"{getattr(error, 'strerror', None) or _short(error)}; "
            f"{kept}. Make room, or give another directory."
        ) from error


def save(manager: Any, step: int, trees: dict[str, Tree], notes: dict) -> None:
    """Saves pytrees by name and JSON notes under a step, in the background.

    Raises:
      OSError: if this save or the one before could not be written.
    """
    import orbax.checkpoint as ocp

    plain = {title: _plain(tree) for title, tree in trees.items()}
    notes = notes | {
        "trees": list(trees),
        "leaves": {title: _leaves(tree) for title, tree in plain.items()},
        "sums": {title: _sums(tree) for title, tree in plain.items()},
    }
    notes["sum"] = _sum_of_notes(notes)
    items = {title: ocp.args.StandardSave(tree) for title, tree in plain.items()}
    with _writing(manager, f"the save of step {step}"):
        manager.save(step, args=ocp.args.Composite(notes=ocp.args.JsonSave(notes), **items))


def restore(
    manager: Any, trees: dict[str, Tree], run: dict, spoiled: Callable[[Tree], str | None]
) -> tuple[dict[str, Tree], dict] | None:
    """The newest whole save as (trees, notes), shaped and placed as `trees`; None without any.

    A save that is damaged, or whose train is `spoiled`, is moved aside with a warning.

    Raises:
      ValueError: if the save is of another net, optimizer or run; if none is whole.
    """
    steps = sorted(manager.all_steps(), reverse=True)
    faults = []
    for step in steps:
        notes, fault = _tried(lambda step=step: _notes(manager, step))
        if fault:
            faults.append((step, fault))
            continue
        _check_run(manager, step, notes, run)
        held = {title: _plain(trees[title]) for title in notes["trees"]}
        _check_leaves(manager, step, notes, held)
        found, fault = _tried(lambda: _trees(manager, step, notes, held))  # noqa: B023 (now)
        if fault:
            faults.append((step, fault))
            continue
        found = {title: jax.tree.map(_typed, trees[title], found[title]) for title in held}
        path = spoiled(found["train"])
        if path is not None:
            faults.append((step, f"holds numbers that are not finite, in params and state{path}"))
            continue
        _move_aside(manager, faults, f"the run goes on from step {step}")
        return found, notes
    if faults:
        said = "; ".join(f"that of step {step} {fault}" for step, fault in faults)
        raise ValueError(f"no save in {manager.directory} can be used: {said}. Begin in another.")
    return None


def _tried(read: Callable) -> tuple[Any, str | None]:
    """What a function reads and None, or what is wrong; all processes agree on whether it is."""
    found, fault = None, None
    try:
        found = read()
    except (MemoryError, PermissionError):
        raise
    except Exception as error:
        fault = f"is damaged ({_short(error)})"
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        others = multihost_utils.process_allgather(np.array(fault is not None)).nonzero()[0]
        if len(others) and fault is None:
            fault = f"is damaged (as process {others[0]} finds)"
    return found, fault


def key_numbers(key: Any) -> list:
    """The numbers of a key, ready for JSON."""
    return np.asarray(jax.random.key_data(key) if _is_key(key) else key).tolist()


def _notes(manager: Any, step: int) -> dict:
    import orbax.checkpoint as ocp

    notes = manager.restore(step, args=ocp.args.Composite(notes=ocp.args.JsonRestore())).notes
    missing = {"trees", "leaves", "sums", "run", "sum"} - set(notes)
    if missing:
        raise ValueError(f"its notes lack {sorted(missing)}")
    if notes["sum"] != _sum_of_notes(notes):
        raise ValueError("its notes have another checksum than when they were saved")
    return notes


def _sum_of_notes(notes: dict) -> int:
    held = {title: value for title, value in notes.items() if title != "sum"}
    return zlib.crc32(json.dumps(held, sort_keys=True).encode())


def _trees(manager: Any, step: int, notes: dict, held: dict[str, Tree]) -> dict[str, Tree]:
    import orbax.checkpoint as ocp

    items = {title: ocp.args.StandardRestore(tree) for title, tree in held.items()}
    found = manager.restore(step, args=ocp.args.Composite(**items))
    for title, sums in notes["sums"].items():
        now = _sums(found[title])
        wrong = [
            path
            for path, each in sums.items()
            if None not in (each, now[path]) and now[path] != each
        ]
        if wrong:
            raise ValueError(f"{title}{wrong[0]} has another checksum than when it was saved")
    return found


def _check_run(manager: Any, step: int, notes: dict, run: dict) -> None:
    said = [
        f"{title} was {was} and is {run.get(title)}"
        for title, was in notes["run"].items()
        if run.get(title) != was
    ]
    if said:
        raise ValueError(
            f"the checkpoint of step {step} in {manager.directory} is of another run: "
            f"{'; '.join(said)}. Give the same to go on, or another directory."
        )


def _check_leaves(manager: Any, step: int, notes: dict, held: dict[str, Tree]) -> None:
    said = []
    for title, tree in held.items():
        was, now = notes["leaves"][title], _leaves(tree)
        for path in sorted(was.keys() | now.keys()):
            if was.get(path) != now.get(path):
                old, new = (each.get(path, "absent") for each in (was, now))
                said.append(f"{title}{path} was {old} and is {new}")
    if said:
        more = f", and {len(said) - 6} more" if len(said) > 6 else ""
        net = f" It was saved with the net {notes['net']}." if notes.get("net") else ""
        raise ValueError(
            f"the checkpoint of step {step} in {manager.directory} does not fit this net and "
            f"optimizer: {'; '.join(said[:6])}{more}. Give the ones it was saved with, or another "
            f"directory.{net}"
        )


def _move_aside(manager: Any, faults: list[tuple[int, str]], so: str) -> None:
    """Renames the folders of saves that cannot be used, since Orbax saves no earlier steps."""
    for step, fault in faults:
        old = Path(manager.directory) / str(step)
        new = old.with_name(f"unusable_{step}")
        while new.exists():
            new = new.with_name(f"{new.name}_")
        if old.exists() and jax.process_index() == 0:
            old.rename(new)
        warnings.warn(
            f"the save of step {step} in {manager.directory} {fault} and was renamed to "
            f"{new.name}: {so}.",
            stacklevel=4,
        )
    if faults:
        if jax.process_count() > 1:
            from jax.experimental import multihost_utils

            multihost_utils.sync_global_devices("saves are moved aside")
        manager.reload()


def _leaves(tree: Tree) -> dict[str, str]:
    return {
        jax.tree_util.keystr(path): describe(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def _sums(tree: Tree) -> dict[str, int | None]:
    """A checksum of each leaf by path, None for one that is not whole on this host."""
    return {
        jax.tree_util.keystr(path): _sum(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def _sum(leaf: Any) -> int | None:
    if isinstance(leaf, jax.Array) and not (leaf.is_fully_addressable or leaf.is_fully_replicated):
        return None
    values = np.ascontiguousarray(np.asarray(leaf))
    return zlib.crc32(values.reshape(-1).view(np.uint8).data)


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".split("\n")[0][:200]


def _is_key(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _plain(tree: Tree) -> Tree:
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if _is_key(leaf) else leaf, tree)


def _typed(like: Any, leaf: Any) -> Any:
    if _is_key(like):
        return jax.random.wrap_key_data(leaf, impl=jax.random.key_impl(like))
    return leaf

"""Runs that are killed at random moments and started again until they end.

`python -m tests.training.kills RESIDENT|STREAMED|GRAIN... --kills N --seed N` prints, for each kind
of data, how often its runs were killed, and whether they ended with the bits of an unbroken one.
Each attempt is a fork of this process, which has imported everything and started nothing. With
`--abandon FOLDER` each kind is killed once, some time after its first save, and left there.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

import grain
import jax
import numpy as np
import optax
import orbax.checkpoint
from jax._src import xla_bridge

import jaxnn as nn
from tests.small import noise

assert orbax.checkpoint  # imported once, for all attempts
X = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
ROWS = [(x, np.sin(x[:1])) for x in X]
BATCHES = [(X[i : i + 16], np.sin(X[i : i + 16, :1])) for i in range(0, 50, 16)]
NET = nn.serial(nn.mlp(8, 1), noise())
OPTIMIZER = optax.adam(1e-2)
STEP = nn.training.step(nn.training.supervised(NET, nn.mse), OPTIMIZER)


def data(kind: str):
    if kind == "resident":
        return (X, np.sin(X[:, :1])), 16
    if kind == "streamed":
        return BATCHES, None
    rows = grain.MapDataset.source(ROWS).seed(0).shuffle().repeat().batch(16)
    return iter(rows.to_iter_dataset()), None


def attempt(kind: str, folder: Path, steps: int) -> None:
    """Goes on with the run in a folder, and writes what it ends with beside it."""
    batches, size = data(kind)
    train = nn.training.init_train(NET, OPTIMIZER, jax.random.key(0), X)
    end = nn.training.fit(
        STEP, train, batches, batch_size=size, steps=steps, every=4, save_every=8,
        checkpoint=folder / "run", keep=2, validate=lambda train: {"loss": train.step % 24},
    )  # fmt: skip
    leaves = [*jax.tree.leaves(end.train._replace(key=())), *jax.tree.leaves(end.best.params)]
    rows = [[row[title] for title in ("step", "loss", "validation_loss")] for row in end.history]
    arrays = {str(i): np.asarray(leaf) for i, leaf in enumerate([*leaves, np.array(rows)])}
    np.savez(folder / "end.tmp.npz", **arrays)  # pyright: ignore
    os.replace(folder / "end.tmp.npz", folder / "end.npz")


def forked(*given) -> int:
    process = os.fork()
    if process:
        return process
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        attempt(*given)
        os._exit(0)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    finally:
        os._exit(1)


def ended(folder: Path) -> dict[str, bytes]:
    with np.load(folder / "end.npz") as found:
        return {title: found[title].tobytes() for title in found}


def outcome(kind: str, kills: int, steps: int, draw: random.Random, folder: Path) -> dict:
    """Kills runs until there are enough, lets the last one end, and compares all that ended."""
    whole, broken = folder / "whole", folder / "broken"
    for each in (whole, broken):
        each.mkdir(parents=True)
    began = time.monotonic()
    assert os.waitpid(forked(kind, whole, steps), 0)[1] == 0
    longest = 0.7 * (time.monotonic() - began)  # which the compilation made slow
    want, done, same, left = ended(whole), 0, [], 0
    while True:
        process = forked(kind, broken, steps)
        if done < kills:
            time.sleep(draw.uniform(0, longest))
            os.kill(process, signal.SIGKILL)
        status = os.waitpid(process, 0)[1]
        if os.WIFSIGNALED(status):
            done += 1
            continue
        assert status == 0, f"an attempt failed after {done} kills"
        same.append(ended(broken) == want)
        left += len([path for path in (broken / "run").iterdir() if "tmp" in path.name])
        left += len(list((broken / "run").glob("unusable*")))
        shutil.rmtree(broken)
        broken.mkdir()
        if done == kills:
            return {"kills": done, "ended": len(same), "same": all(same), "left": left}


def abandon(kind: str, steps: int, draw: random.Random, folder: Path) -> dict:
    """Kills a run after its first save."""
    folder.mkdir(parents=True)
    process = forked(kind, folder, steps)
    while not list((folder / "run").glob("[0-9]")):
        assert os.waitpid(process, os.WNOHANG) == (0, 0), "the run ended before its first save"
        time.sleep(0.01)
    time.sleep(draw.uniform(0, 0.2))
    os.kill(process, signal.SIGKILL)
    return {"killed": os.WIFSIGNALED(os.waitpid(process, 0)[1])}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("kinds", nargs="+", choices=("resident", "streamed", "grain"))
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--steps", type=int, default=48)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--abandon", type=Path)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    assert not xla_bridge._backends  # whose threads a fork would lack
    for title in given.kinds:
        draw = random.Random(given.seed)
        with tempfile.TemporaryDirectory() as room:
            if given.abandon:
                found = abandon(title, given.steps, draw, given.abandon / title)
            else:
                found = outcome(title, given.kills, given.steps, draw, Path(room))
        print(json.dumps({"data": title} | found), flush=True)

"""One of the processes of a run, for test_launch.py: `worker.py FOLDER RECIPE STEPS [DIES]`.

DIES is PROCESS:STEP: that process ends itself by SIGKILL then, before the step is saved.
DIES may be PROCESS:STEP:SAVED, to wait until the save of an earlier step is whole.
Process 0 writes the end to FOLDER/end.npz.
"""

import os
import signal
import sys
import time
from pathlib import Path

import jax
import numpy as np
import optax

import jaxnn as nn
from jaxnn.training.placement import fetch

ROWS, FEATURES = 64, 8
X = np.random.default_rng(0).normal(size=(ROWS, FEATURES)).astype(np.float32)
NET = nn.serial(nn.dense(16), nn.batch_norm(), jax.nn.tanh, nn.dropout(0.1), nn.dense(FEATURES))
OPTIMIZER = optax.adam(1e-2)


def run(folder, recipe, steps, devices, watch=lambda step: None):
    """The result of a run on some devices, 8 rows a step; `watch` sees every second step."""
    mesh = jax.make_mesh((len(devices),), ("data",), devices=devices)
    sharding = getattr(nn.training, recipe)(mesh, **{"smallest": 1} if "full" in recipe else {})
    step = nn.training.step(nn.training.supervised(NET, nn.mse), OPTIMIZER, sharding=sharding)
    train = nn.training.init_train(NET, OPTIMIZER, jax.random.key(0), X[:8], sharding=sharding)
    batches = nn.training.loader((X, np.sin(X)), 8, seed=1)

    def validate(now):
        watch(int(now.step))
        return {"loss": 0.0}

    return nn.training.fit(
        step, train, batches, steps=steps, every=2, checkpoint=folder, validate=validate,
        progress=False,
    )  # fmt: skip


def leaves(result):
    """The numbers of a result, whole, ready to be compared."""
    train = result.train
    found = fetch((train.params, train.state, train.opt_state))
    found = [np.asarray(leaf) for leaf in jax.tree.leaves(found)]
    return [*found, np.array([row["loss"] for row in result.history])]


def main(folder, recipe, steps, dies=""):
    dies = dies.split(":")
    process, _ = nn.training.initialize_distributed(timeout=120)

    def watch(step):
        if f"{process}:{step}" == ":".join(dies[:2]):
            while dies[2:] and not Path(folder, "checkpoint", dies[2]).exists():
                time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGKILL)

    end = leaves(run(f"{folder}/checkpoint", recipe, int(steps), jax.devices(), watch))
    if process == 0:
        np.savez(Path(folder) / "end.npz", *end)
    print(f"process {process} is at step {steps}")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""SIGTERM to one of several processes: all of them save the same step and leave."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import os, signal, sys
import jax
process, port, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]
jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=process)
import numpy as np, optax, jaxnn as nn

sharding = nn.training.data_parallel(jax.make_mesh((2,), ("data",)))
x = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)
own = slice(8 * process, 8 * process + 8)
net, optimizer = nn.mlp(8, 1), optax.sgd(0.01)
step = nn.training.step(nn.training.supervised(net, nn.mse), optimizer, sharding=sharding)
train = nn.training.init_train(net, optimizer, jax.random.key(0), x, sharding=sharding)

def log(row):
    if row["step"] == 10:
        os.kill(os.getpid(), signal.SIGTERM)

nn.training.fit(
    step, train, [(x[own], x[own, :1])], steps=100_000, every=5, save_every=100_000,
    checkpoint=folder, sharding=sharding, log=log,
)
"""


@pytest.mark.long
def test_all_processes_save_the_same_step_and_leave(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-c", SCRIPT]
    started = [
        subprocess.Popen([*command, str(i), port, str(tmp_path)], cwd=Path(__file__).parents[2])
        for i in range(2)
    ]
    try:
        assert [process.wait(timeout=300) for process in started] == [143, 143]
    finally:
        for process in started:
            process.kill()
    (step,) = (int(path.name) for path in tmp_path.iterdir() if path.name.isdigit())
    assert step % 5 == 0
    assert step < 100_000

"""What checkpoints do when the disk, the system or the run itself gives way."""

import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import jaxnn as nn
from tests.training.test_checkpoint import collected
from tests.training.test_loop import BATCHES, STEP, X, Y, equal, fit, start

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
assert collected  # for each test here as well


def wait_for(path):
    """A save is written in the background."""
    for _ in range(3000):
        if path.exists():
            return
        time.sleep(0.01)
    raise TimeoutError(path)


@contextmanager
def files_of_at_most(size):
    """The system refuses to write beyond this many bytes of a file, as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_write_that_the_system_refuses_leaves_the_last_save_whole(tmp_path):
    with contextlib.ExitStack() as stack:

        def fill(row):
            if row["step"] == 10:
                wait_for(tmp_path / "5")
                stack.enter_context(files_of_at_most(64))

        with pytest.raises(OSError, match=r"could not be .*save of step 5 is whole. Make room"):
            fit(steps=20, checkpoint=tmp_path, log=fill)
    assert equal(fit(steps=20, checkpoint=tmp_path).train, fit(steps=20).train)


@contextmanager
def only_to_read(folder):
    """The folder is of another user, and this process none that may write everywhere."""
    before = os.geteuid()
    folder.chmod(0o555)
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)
        folder.chmod(0o755)


@pytest.fixture
def reached():
    """A folder that every user may enter, which those of pytest are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_folder_that_may_only_be_read_is_refused_at_the_start(reached):
    rows = []
    with only_to_read(reached), pytest.raises(OSError, match="cannot be written to .*Permission"):
        fit(steps=5, checkpoint=reached / "run", log=rows.append)
    assert rows == []


def test_a_folder_that_may_only_be_read_from_then_on_keeps_the_last_save(reached):
    with contextlib.ExitStack() as stack:

        def protect(row):
            if row["step"] == 10:
                wait_for(reached / "5")
                stack.enter_context(only_to_read(reached))

        with pytest.raises(OSError, match=r"could not be written .*save of step 5 is whole"):
            fit(steps=20, checkpoint=reached, log=protect)
    assert equal(fit(steps=20, checkpoint=reached).train, fit(steps=20).train)


def saves(folder):
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())


@pytest.mark.parametrize("highest", [False, True])
def test_the_last_saves_and_the_best_one_are_kept(highest, tmp_path):
    found = [3.0, np.nan, 1.0, 2.0, 1.5, 1.2, 4.0, 3.0]  # of steps 5, 10, ... 40
    values = {5 * (i + 1): -value if highest else value for i, value in enumerate(found)}

    def run(steps):
        def validate(train):
            return {"loss": values[int(train.step)]}

        options: Any = {"validate": validate, "highest": highest, "keep": 2}
        return fit(steps=steps, checkpoint=tmp_path, **options)

    run(25)
    assert saves(tmp_path) == [15, 20, 25]
    assert run(40).best.step == 15  # a run that goes on remembers which one is the best
    assert saves(tmp_path) == [15, 35, 40]


def test_without_validation_the_last_saves_alone_are_kept(tmp_path):
    fit(steps=25, checkpoint=tmp_path, keep=1)
    assert saves(tmp_path) == [25]
    with pytest.raises(ValueError, match="keep must be a whole number of at least 1, got 0"):
        fit(steps=5, keep=0)


def test_what_an_iterator_gave_before_its_end_is_saved(tmp_path):
    with pytest.warns(UserWarning, match="ended at step 4 of 100"):
        nn.training.fit(
            STEP, start(), iter(BATCHES), steps=100, every=2, save_every=50, checkpoint=tmp_path
        )
    assert saves(tmp_path) == [4]


@pytest.mark.parametrize(("before", "after"), [(1, 8), (8, 2)])
def test_a_run_goes_on_with_another_number_of_devices(before, after, tmp_path):
    # Sums over devices round otherwise, so that what is restored is compared, and then the rest.
    def place(train, devices):
        mesh = jax.make_mesh((devices,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))

        def one(leaf):
            split = leaf.ndim and leaf.shape[0] % devices == 0
            spec = jax.sharding.PartitionSpec("data") if split else jax.sharding.PartitionSpec()
            return jax.device_put(leaf, jax.sharding.NamedSharding(mesh, spec))

        return jax.tree.map(one, train)

    def run(steps, devices, folder=tmp_path):
        train = place(start(), devices)
        return nn.training.fit(
            STEP, train, (X, Y), steps=steps, batch_size=16, every=5, checkpoint=folder
        )

    first = run(10, before).train
    restored = run(10, after).train
    assert equal(restored, first)
    assert restored.params[0][2]["w"].sharding.num_devices == after
    end = run(20, after).train
    for leaf, other in zip(
        *map(jax.tree.leaves, (end.params, fit(steps=20).train.params)), strict=True
    ):
        np.testing.assert_allclose(leaf, other, rtol=1e-4, atol=1e-5)


def killed(*given):
    """The lines that `tests.training.kills` prints."""
    command = [sys.executable, "-m", "tests.training.kills", *map(str, given)]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


KINDS = "resident", "streamed", "grain"


def test_a_killed_run_goes_on_to_the_same_bits(tmp_path):
    pytest.importorskip("grain")
    from tests.training import kills

    for each in killed("resident", "grain", "--steps", 400, "--abandon", tmp_path):
        assert each["killed"], each
        kind = each["data"]
        whole = tmp_path / f"whole_{kind}"
        whole.mkdir()
        steps = max(saves(tmp_path / kind / "run")) + 12
        for folder in (tmp_path / kind, whole):
            kills.attempt(kind, folder, steps)
        assert kills.ended(tmp_path / kind) == kills.ended(whole), kind


@pytest.mark.long
def test_a_run_that_is_killed_30_times_ends_with_the_same_bits():
    found = killed(*KINDS, "--kills", 30)
    assert [each["data"] for each in found] == list(KINDS)
    for each in found:
        assert each["kills"] == 30
        assert each["same"], each
        assert each["left"] == 0, each  # nothing half written, nothing that could not be used

import errno
import gc
import json
import os
import re
import shutil
import warnings
from typing import Any

import jax
import numpy as np
import optax
import pytest

import jaxnn as nn
from jaxnn.training import checkpoint
from tests.training.test_loop import BATCHES, OPTIMIZER, STEP, X, Y, equal, fit, start

# Orbax forgets readers of a file that it cannot read, and they complain once they are collected.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def collected():
    """Readers are collected here, not in the test of another file."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with saves of steps 5, 10 and 15."""
    folder = tmp_path_factory.mktemp("saved") / "run"
    fit(steps=15, checkpoint=folder)
    return folder


@pytest.fixture(scope="module")
def whole():
    return fit(steps=20).train


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    data = bytearray(path.read_bytes())
    for place in range(len(data) // 3, len(data), max(1, len(data) // 7)):
        data[place] ^= 0xFF
    path.write_bytes(data)


DAMAGES = {
    "truncated": truncate,
    "flipped": flip,
    "empty": lambda path: path.write_bytes(b""),
    "missing": os.unlink,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_save_with_a_damaged_file_is_passed_over_or_read_whole(damage, saved, whole, tmp_path):
    # Some files hold nothing that is needed; then the save is read, and is whole.
    passed_over = 0
    for i, path in enumerate(files(saved / "15")):
        folder = tmp_path / str(i)
        shutil.copytree(saved, folder)
        DAMAGES[damage](folder / path.relative_to(saved))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            end = fit(steps=20, checkpoint=folder)
        messages = [str(each.message) for each in caught if "step 15" in str(each.message)]
        assert equal(end.train, whole), path
        if messages:
            passed_over += 1
            assert "the run goes on from step 10" in messages[0]
            assert (folder / "unusable_15").exists()
            assert (folder / "20").exists()
        shutil.rmtree(folder)
    assert passed_over >= 3


def test_an_emptied_save_is_passed_over(saved, whole, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(saved, folder)
    shutil.rmtree(folder / "15")
    (folder / "15").mkdir()
    with pytest.warns(UserWarning, match="step 15 .* was renamed to unusable_15: the run goes on"):
        end = fit(steps=20, checkpoint=folder)
    assert equal(end.train, whole)


def test_where_no_save_is_whole_nothing_is_lost_and_it_is_said(saved, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(saved, folder)
    for path in files(folder):
        if path.name != ".lock":
            path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"no save in .* can be used: that of step 15 is damaged"):
        fit(steps=20, checkpoint=folder)
    assert (folder / "15").exists()


def test_a_save_that_is_not_finite_is_passed_over(saved, whole, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    shutil.copytree(saved, folder)
    train = fit(steps=18).train
    params = jax.tree.map(lambda leaf: leaf * np.nan, train.params)
    with checkpoint.manager(folder) as opened:
        restored: Any = checkpoint.restore(opened, {"train": train}, run_of(), lambda tree: None)
        kept = {k: v for k, v in restored[1].items() if k not in ("leaves", "sums", "trees")}
        checkpoint.save(opened, 18, {"train": train._replace(params=params)}, kept)
    with pytest.warns(UserWarning, match="step 18 .* holds numbers that are not finite"):
        end = fit(steps=20, checkpoint=folder)
    assert equal(end.train, whole)


def run_of():
    return {
        "data": "arrays",
        "rows": 50,
        "batch_size": 16,
        "shuffle": True,
        "key of the seed": checkpoint.key_numbers(start().key),
    }


def test_a_checkpoint_of_another_net_names_the_paths_that_differ(saved):
    net = nn.serial(nn.mlp(4, 4, 1))
    train = nn.training.init_train(net, OPTIMIZER, jax.random.key(0), X)
    step = nn.training.step(nn.training.supervised(net, nn.mse), OPTIMIZER)
    with pytest.raises(ValueError, match=r"step 15 .* does not fit this net and optimizer") as said:
        nn.training.fit(step, train, (X, Y), steps=19, batch_size=16, checkpoint=saved)
    text = str(said.value)
    assert re.search(r"train\S*\['w'\] was float32\[4,8\] and is float32\[4,4\]", text), text
    assert re.search(r"was absent and is float32|was float32\S* and is absent", text), text
    assert "It was saved with the net serial(" in text


def test_a_checkpoint_of_another_optimizer_names_the_paths_that_differ(saved):
    optimizer = optax.sgd(0.1)
    step = nn.training.step(nn.training.supervised(nn.mlp(8, 1), nn.mse), optimizer)
    train = start()._replace(opt_state=optimizer.init(start().params))
    with pytest.raises(ValueError, match=r"train\.opt_state\S* was \S+ and is absent"):
        nn.training.fit(step, train, (X, Y), steps=19, batch_size=16, checkpoint=saved)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"batch_size": 8}, "batch_size was 16 and is 8"),
        ({"shuffle": False}, "shuffle was True and is False"),
        ({"data": (X[:40], Y[:40])}, "rows was 50 and is 40"),
        ({"seed": 1}, "key of the seed was"),
        ({"data": BATCHES, "batch_size": None}, "data was arrays and is an iterable of batches"),
    ],
)
def test_going_on_with_another_run_is_refused(saved, given, message):
    options = {"batch_size": 16, "every": 5, "steps": 19} | given
    data, seed = options.pop("data", (X, Y)), options.pop("seed", 0)
    with pytest.raises(ValueError, match=f"is of another run: .*{message}"):
        nn.training.fit(STEP, start(seed), data, checkpoint=saved, **options)


def test_going_on_with_other_batches_is_refused(tmp_path):
    batches = [(X[i : i + 8], Y[i : i + 8]) for i in (0, 8, 16)]
    nn.training.fit(STEP, start(), batches, steps=4, checkpoint=tmp_path)
    smaller = [(x[:4], y[:4]) for x, y in batches]
    with pytest.raises(ValueError, match="after 4 batches of 32 rows .* begins with 4 of 16"):
        nn.training.fit(STEP, start(), smaller, steps=9, checkpoint=tmp_path)
    with pytest.raises(ValueError, match="after 4 batches of 32 rows .* begins with 2 of 16"):
        nn.training.fit(STEP, start(), iter(batches[:2]), steps=9, checkpoint=tmp_path)


def test_a_list_in_the_place_of_an_iterator_with_a_state_is_refused(tmp_path):
    grain = pytest.importorskip("grain")
    batches = [(np.asarray(X[i : i + 8]), np.asarray(Y[i : i + 8])) for i in (0, 8, 16)]
    own = iter(grain.MapDataset.source(batches).repeat().to_iter_dataset())
    nn.training.fit(STEP, start(), own, steps=4, checkpoint=tmp_path)
    with pytest.raises(ValueError, match="data was an iterator that keeps its place of batches"):
        nn.training.fit(STEP, start(), batches, steps=9, checkpoint=tmp_path)


def test_notes_of_which_a_digit_was_changed_are_passed_over(saved, whole, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(saved, folder)
    (path,) = (each for each in files(folder / "15" / "notes") if b"waited" in each.read_bytes())
    notes = json.loads(path.read_text())
    path.write_text(json.dumps(notes | {"waited": notes["waited"] + 1}))
    with pytest.warns(UserWarning, match="step 15 .* is damaged .*another checksum"):
        end = fit(steps=20, checkpoint=folder)
    assert equal(end.train, whole)


def test_fewer_steps_than_saved_are_refused(saved):
    with pytest.raises(ValueError, match="is at step 15, beyond steps=10: give 15 at least"):
        fit(steps=10, checkpoint=saved)


def test_a_second_run_in_the_folder_is_refused_and_the_first_goes_on(tmp_path):
    def again(row):
        if row["step"] == 5:
            with pytest.raises(OSError, match="another run saves its checkpoints in"):
                fit(steps=20, checkpoint=tmp_path)

    assert fit(steps=10, checkpoint=tmp_path, log=again).train.step == 10
    assert fit(steps=15, checkpoint=tmp_path).train.step == 15


def test_a_folder_that_cannot_be_written_is_refused_at_the_start(tmp_path):
    (tmp_path / "file").write_text("in the way")
    rows = []
    with pytest.raises(OSError, match=r"cannot be written to .*/file.*give a directory"):
        fit(steps=5, checkpoint=tmp_path / "file" / "run", log=rows.append)
    assert rows == []


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        ValueError("Error writing /tmp/x: No space left on device"),  # as TensorStore says it
    ],
)
def test_a_full_disk_names_the_last_whole_save(error, tmp_path, monkeypatch):
    import orbax.checkpoint as ocp

    save = ocp.CheckpointManager.save

    def full(self, step, **given):
        if step == 10:
            raise error
        return save(self, step, **given)

    monkeypatch.setattr(ocp.CheckpointManager, "save", full)
    with pytest.raises(OSError, match=r"save of step 10 .*No space left.*save of step 5 is whole"):
        fit(steps=15, checkpoint=tmp_path)
    monkeypatch.setattr(ocp.CheckpointManager, "save", save)
    assert equal(fit(steps=15, checkpoint=tmp_path).train, fit(steps=15).train)

# pyright: reportArgumentType=false
import json
import struct
import sys
import types

import jax
import numpy as np
import pytest

import jaxnn as nn
from tests.training.test_loop import fit

ROW = {"step": 5, "seconds": 0.25, "loss": 0.5}


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_function_of_a_list_is_called_with_each_row():
    first, second = [], []
    end = fit(steps=10, log=[first.append, second.append])
    assert first == second == end.history
    assert fit(steps=5, log=(first.append,)).history == first[-1:]


def test_what_a_function_does_with_its_row_reaches_neither_others_nor_the_history():
    rows = []
    end = fit(steps=5, log=[dict.clear, rows.append])
    assert rows == end.history != [{}]


@pytest.mark.parametrize("log", [1, [1], {"a": print}])
def test_what_is_no_function_is_refused(log):
    with pytest.raises(TypeError, match="log must be a function or a sequence of which each is a"):
        fit(steps=5, log=log)


def test_other_processes_than_the_first_have_no_rows(monkeypatch, capsys):
    rows = []
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    end = fit(steps=5, log=rows.append, progress=True)
    assert rows == []
    assert len(end.history) == 1
    assert capsys.readouterr().err == ""


def test_a_file_of_json_lines_is_the_history(tmp_path):
    path = tmp_path / "new" / "run.jsonl"
    end = fit(steps=15, log=nn.training.log_json(path))
    assert lines(path) == end.history


def test_a_run_that_goes_on_replaces_what_was_written_after_its_last_save(tmp_path):
    path, log = tmp_path / "run.jsonl", nn.training.log_json

    def stop(row):
        if row["step"] == 15:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fit(steps=30, save_every=10, checkpoint=tmp_path / "a", log=[log(path), stop])
    assert [row["step"] for row in lines(path)] == [5, 10, 15]
    with path.open("a") as file:
        file.write('{"step": 20, "lo')  # killed as it wrote
    fit(steps=30, save_every=10, checkpoint=tmp_path / "a", log=log(path))
    assert [row["step"] for row in lines(path)] == [5, 10, 15, 20, 25, 30]


def records(folder):
    """The payloads of a TensorBoard file: a length, its checksum, the bytes, their checksum."""
    (path,) = folder.glob("*tfevents*")
    data, place, found = path.read_bytes(), 0, []
    while place < len(data):
        (size,) = struct.unpack_from("<Q", data, place)
        found.append(data[place + 12 : place + 12 + size])
        place += size + 16
    return found


def test_tensorboard_reads_every_number_at_its_step(tmp_path):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event  # pyright: ignore

    log = nn.training.log_tensorboard(tmp_path / "runs")
    log(ROW)
    log(ROW | {"step": 10, "loss": 0.25})
    del log  # as the end of the process does, it closes the file
    events = [Event.FromString(payload) for payload in records(tmp_path / "runs")]
    found = [
        (event.step, value.tag, value.simple_value)
        for event in events
        for value in event.summary.value
    ]
    assert found == [
        (5, "seconds", 0.25),
        (5, "loss", 0.5),
        (10, "seconds", 0.25),
        (10, "loss", 0.25),
    ]
    # A run that goes on hides what was written of the steps that it trains again.
    assert [event.step for event in events if event.HasField("session_log")] == [5]


def test_trackio_keeps_every_number_at_its_step(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    trackio = pytest.importorskip("trackio")
    log = nn.training.log_trackio("rows", name="first", embed=False)
    log(ROW)
    trackio.finish()
    from trackio.sqlite_storage import SQLiteStorage

    (row,) = SQLiteStorage.get_logs("rows", "first")
    assert {title: row[title] for title in ("step", "seconds", "loss")} == ROW


def test_wandb_writes_a_run_without_a_network(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.chdir(tmp_path)
    log = nn.training.log_wandb("rows", mode="offline", dir=str(tmp_path))
    log(ROW)
    assert wandb.run.summary["loss"] == 0.5
    wandb.finish()
    assert list(tmp_path.rglob("*.wandb"))


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_a_run_of_a_tracker_begins_with_the_first_row(name, monkeypatch):
    # A stand-in with the two calls that both packages have.
    began, rows = [], []
    run = types.SimpleNamespace(log=lambda row, step, **_: rows.append((step, row)))
    module: object = types.SimpleNamespace(init=lambda **given: began.append(given) or run)
    monkeypatch.setitem(sys.modules, name, module)
    log = getattr(nn.training, f"log_{name}")("digits", config={"width": 8})
    assert began == []
    end = fit(steps=10, log=log)
    assert began == [{"project": "digits", "config": {"width": 8}}]
    assert [{"step": step} | row for step, row in rows] == end.history
    assert all("step" not in row for _, row in rows)


@pytest.mark.parametrize(
    ("name", "package"),
    [("tensorboard", "tensorboardX"), ("wandb", "wandb"), ("trackio", "trackio")],
)
def test_a_missing_package_names_the_command_before_anything_trains(name, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"needs {package}: pip install -e '.\[{name}\]'"):
        getattr(nn.training, f"log_{name}")("runs")


def test_a_missing_bar_names_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(ImportError, match=r"pip install -e '.\[train\]'"):
        fit(steps=1, progress=True)


def test_a_number_that_is_not_finite_is_written_as_python_reads_it(tmp_path):
    log = nn.training.log_json(tmp_path / "run.jsonl")
    log({"step": 1, "validation_loss": float("nan")})
    assert np.isnan(lines(tmp_path / "run.jsonl")[0]["validation_loss"])

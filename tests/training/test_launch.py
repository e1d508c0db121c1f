"""Several processes on one machine, and what becomes of the run when one of them dies."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxnn.training import launch as module
from jaxnn.training.launch import environment, free_port, launch, main
from tests.training import worker

WORKER = Path(__file__).with_name("worker.py")
ROOT = WORKER.parents[2]
pytest.importorskip("grain", reason="pip install -e '.[train]'")
pytest.importorskip("orbax.checkpoint", reason="pip install -e '.[train]'")


def python(code):
    return [sys.executable, "-c", code]


def test_each_process_is_told_its_number_and_its_lines_begin_with_it(capfd):
    code = "import os; print(os.environ['JAX_PROCESS_ID'], os.environ['JAX_NUM_PROCESSES'])"
    assert launch(python(code), 3) == 0
    lines = sorted(capfd.readouterr().out.splitlines())
    assert lines == ["[0] 0 3", "[1] 1 3", "[2] 2 3"]


def test_the_devices_of_the_machine_are_dealt_out():
    told = [environment("127.0.0.1:1", 2, process, devices=4) for process in range(2)]
    assert [each["JAX_LOCAL_DEVICE_IDS"] for each in told] == ["0,1,2,3", "4,5,6,7"]
    assert [each["JAX_NUM_CPU_DEVICES"] for each in told] == ["4", "4"]
    assert "JAX_LOCAL_DEVICE_IDS" not in environment("127.0.0.1:1", 2, 0)


@pytest.mark.parametrize(
    ("ending", "code", "said"),
    [
        ("raise SystemExit(3)", 3, "process 1 ended with exit code 3; the other 1 cannot go on"),
        ("os.kill(os.getpid(), 9)", 137, r"process 1 was ended by signal 9 (SIGKILL)"),
    ],
)
def test_when_one_fails_the_others_are_ended_and_its_code_is_passed_on(ending, code, said, capfd):
    began = time.monotonic()
    script = f"import os, time\nif os.environ['JAX_PROCESS_ID'] == '1': {ending}\ntime.sleep(60)"
    assert launch(python(script), 2) == code
    assert time.monotonic() - began < 20
    assert said in capfd.readouterr().err


def test_one_that_ignores_sigterm_is_ended_all_the_same(monkeypatch):
    monkeypatch.setattr(module, "GRACE", 0.5)
    ignore = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    script = (
        f"import os, signal, time\nif os.environ['JAX_PROCESS_ID'] == '0': {ignore}\n"
        "else: time.sleep(0.5); raise SystemExit(4)\ntime.sleep(60)"
    )
    began = time.monotonic()
    assert launch(python(script), 2) == 4
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_asks_all_to_end_by_themselves(number, capfd, tmp_path):
    script = (
        "import pathlib, signal, sys, time\ndef end(*_):\n time.sleep(0.2)\n print('saved')\n"
        f" sys.exit(143)\nsignal.signal(signal.SIGTERM, end)\n"
        f"pathlib.Path({str(tmp_path)!r}, str(time.time_ns())).touch()\ntime.sleep(60)"
    )
    _once_two_run(tmp_path, number)
    assert launch(python(script), 2) == 143
    captured = capfd.readouterr()
    assert sorted(captured.out.splitlines()) == ["[0] saved", "[1] saved"]
    assert captured.err == "launch: all are asked to end; again ends them at once.\n"


def test_a_second_signal_ends_those_that_do_not_obey(tmp_path):
    script = (
        "import pathlib, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"pathlib.Path({str(tmp_path)!r}, str(time.time_ns())).touch()\ntime.sleep(60)"
    )
    _once_two_run(tmp_path, signal.SIGINT, signal.SIGINT)
    assert launch(python(script), 2) == 137


def _once_two_run(folder, *numbers):
    """Sends signals to this process once two files are in a folder."""

    def send():
        while len(list(folder.iterdir())) < 2:
            time.sleep(0.05)
        for number in numbers:
            os.kill(os.getpid(), number)
            time.sleep(0.2)

    threading.Thread(target=send, daemon=True).start()


def test_the_script_gets_its_arguments(tmp_path, capfd):
    script = tmp_path / "script.py"
    script.write_text("import sys; print(sys.argv[1:])")
    assert main(["--processes", "1", str(script), "--processes", "7", "-x"]) == 0
    assert capfd.readouterr().out == "[0] ['--processes', '7', '-x']\n"
    assert main(["--processes", "1", "-m", "json.tool", "--help"]) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--processes", "0", "x.py"], "--processes must be at least 1, got 0"),
        (["--processes", "2", "--devices", "0", "x.py"], "--devices must be at least 1, got 0"),
        (["--processes", "2", "none.py"], "there is no file none.py"),
        (["x.py"], "--processes"),
    ],
)
def test_bad_arguments_are_told(arguments, said, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert said in capsys.readouterr().err


def trained(folder, *arguments, devices=1, code=0, said=None):
    """What two processes of `devices` devices each have trained."""
    command = ["--processes", "2", "--devices", str(devices), str(WORKER), str(folder)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-m", "jaxnn.training.launch", *command, *map(str, arguments)],
        env=environment, capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    if said is not None:
        said.append(done.stdout)
    if code == 0:
        with np.load(folder / "end.npz") as end:
            return [end[name] for name in end.files]
    return []


def same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_two_processes_of_which_one_was_killed_end_where_one_process_does(tmp_path):
    # The sum of two numbers is the same in any order: so are all bits.
    expected = worker.leaves(worker.run(None, "fully_sharded", 6, jax.devices()[:2]))
    trained(tmp_path, "fully_sharded", 6, "1:4:2", code=128 + signal.SIGKILL)
    assert (tmp_path / "checkpoint" / "2").exists()
    assert not (tmp_path / "end.npz").exists()
    same(trained(tmp_path, "fully_sharded", 6), expected)


@pytest.mark.long
@pytest.mark.parametrize("recipe", ["data_parallel", "fully_sharded"])
def test_a_killed_run_ends_with_the_bits_of_an_unbroken_one(recipe, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    expected = trained(whole, recipe, 12, devices=2)
    for dies in ("0:2", "1:6", "0:10"):
        trained(broken, recipe, 12, dies, devices=2, code=128 + signal.SIGKILL)
    same(trained(broken, recipe, 12, devices=2), expected)


@pytest.mark.long
def test_a_run_goes_on_with_another_number_of_processes(tmp_path):
    trained(tmp_path, "fully_sharded", 6)
    devices = jax.devices()[:2]
    saved = tmp_path / "checkpoint"
    found = worker.leaves(worker.run(saved, "fully_sharded", 12, devices))
    same(found, worker.leaves(worker.run(None, "fully_sharded", 12, devices)))


@pytest.mark.long
@pytest.mark.parametrize("harm", ["a short file", "no notes"])
def test_processes_agree_that_the_newest_save_is_damaged(harm, tmp_path):
    expected = worker.leaves(worker.run(None, "data_parallel", 8, jax.devices()[:2]))
    trained(tmp_path, "data_parallel", 6)
    newest = tmp_path / "checkpoint" / "6"
    if harm == "no notes":
        shutil.rmtree(newest / "notes")
    else:
        for path in (newest / "train").rglob("*"):
            if path.is_file() and path.parent.name == "d":
                path.write_bytes(path.read_bytes()[:50])
    same(trained(tmp_path, "data_parallel", 8), expected)
    assert (tmp_path / "checkpoint" / "unusable_6").exists()


@pytest.mark.long
def test_a_second_run_in_the_folder_is_refused(tmp_path):
    holds = "import sys; from jaxnn.training import checkpoint as c\nwith c.manager(sys.argv[1]):"
    holds += "\n print('held', flush=True); sys.stdin.read()"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [*python(holds), str(tmp_path / "checkpoint")],
        env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as other:  # fmt: skip
        assert other.stdout
        assert other.stdout.readline() == b"held\n"
        said = []
        trained(tmp_path, "data_parallel", 6, code=1, said=said)
        other.communicate()
    assert "another run saves its checkpoints in" in said[0]


@pytest.mark.long
def test_the_script_of_the_page_runs_on_one_process_and_on_two(tmp_path):
    page = (ROOT / "docs" / "many_machines.md").read_text()
    script = page.split("```python\n")[1].split("```")[0]
    script = script.replace("10_000", "6").replace("/shared/run", str(tmp_path / "saves"))
    (tmp_path / "train.py").write_text(script)
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.normal(size=(2048, 8)).astype(np.float32))
    np.save(tmp_path / "y.npy", rng.integers(0, 10, 2048).astype(np.int32))
    run = [sys.executable, "-m", "jaxnn.training.launch", "--devices", "1", "--processes"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    said = []
    for processes in ("1", "2"):
        done = subprocess.run(
            [*run, processes, "train.py"],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        said += [line for line in done.stdout.splitlines() if "'loss'" in line]
        shutil.rmtree(tmp_path / "saves")
    assert len(said) == 2
    losses = [float(line.split("'loss': ")[1].split(",")[0].strip("}")) for line in said]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.long
def test_what_slurm_says_starts_the_processes(tmp_path):
    job = {"JOB_ID": str(free_port()), "STEP_NODELIST": "localhost", "NTASKS": "2"}
    running = [
        subprocess.Popen(
            [sys.executable, str(WORKER), str(tmp_path), "data_parallel", "2"],
            env=os.environ
            | {f"SLURM_{name}": value for name, value in job.items()}
            | {"SLURM_PROCID": str(task), "SLURM_LOCALID": str(task), "JAX_PLATFORMS": "cpu"}
            | {"PYTHONPATH": str(ROOT), "JAX_NUM_CPU_DEVICES": "1"},
        )
        for task in range(2)
    ]
    assert [task.wait(timeout=300) for task in running] == [0, 0]
    assert (tmp_path / "end.npz").exists()


@pytest.mark.long
def test_a_run_that_is_asked_to_end_is_saved_and_goes_on_with_the_same_bits(tmp_path):
    steps = 4000
    run = [sys.executable, "-m", "jaxnn.training.launch", "--processes", "2", "--devices", "1"]
    with subprocess.Popen(
        [*run, str(WORKER), str(tmp_path), "data_parallel", str(steps)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as running:  # fmt: skip
        while not (tmp_path / "checkpoint" / "2").exists():
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=100) == 128 + signal.SIGTERM
    saved = max(int(p.name) for p in (tmp_path / "checkpoint").iterdir() if p.name.isdigit())
    assert 2 <= saved < steps
    expected = worker.leaves(worker.run(None, "data_parallel", saved + 4, jax.devices()[:2]))
    same(trained(tmp_path, "data_parallel", saved + 4), expected)

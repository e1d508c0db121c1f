"""Processes meet before JAX starts, and the one that never came is named."""

import os
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

import jax
import pytest

import jaxnn as nn
from jaxnn.training import distributed
from jaxnn.training.distributed import NAMES, Place, meet
from jaxnn.training.launch import environment, free_port

SCHEDULERS = ("SLURM_", "OMPI_", "KUBERNETES_", "TPU_", "MEGASCALE_", "JAX_COORD", "JAX_NUM_P")


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """No scheduler around the tests."""
    for name in list(os.environ):
        if name.startswith(SCHEDULERS) or name in NAMES:
            monkeypatch.delenv(name)


def gather(places, timeout=20.0):
    """What each process has met: None, or its error."""

    def one(place):
        try:
            return meet(place, timeout)
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(places)) as pool:
        return list(pool.map(one, places))


def places(count, *numbers, port=None):
    address = f"127.0.0.1:{port or free_port()}"
    return [Place(address, count, number, None) for number in numbers]


def test_all_leave_together_in_whatever_order_they_come():
    assert gather(places(4, 3, 0, 2, 1)) == [None] * 4


def test_the_port_is_free_again_afterwards():
    port = free_port()
    for _ in range(2):
        assert gather(places(2, 0, 1, port=port)) == [None, None]


def test_all_that_came_name_the_one_that_did_not():
    errors = gather(places(4, 0, 1, 3), timeout=1.0)
    for error in errors:
        assert isinstance(error, TimeoutError)
        assert "process 2 of 4 never arrived at 127.0.0.1:" in str(error)
        assert "in 1 s; there are 0 (" in str(error)
    assert len({str(error) for error in errors}) == 1


def test_many_that_did_not_come_are_counted():
    (error,) = gather(places(12, 0), timeout=0.2)
    assert "processes 1, 2, 3, 4, 5, 6, 7, 8 and 3 more of 12 never arrived" in str(error)


def test_a_missing_first_process_is_named():
    (error,) = gather(places(2, 1), timeout=0.5)
    assert isinstance(error, TimeoutError)
    assert "process 0 of 2 never arrived at 127.0.0.1:" in str(error)
    assert "(Connection refused)" in str(error)


def test_processes_that_contradict_each_other_are_told():
    for error in gather(places(3, 0, 1, 1)):
        assert isinstance(error, ValueError)
        assert "two processes say that they are process 1, on" in str(error)
    first, second = places(2, 0, 1)
    for error in gather([first, second._replace(count=3)]):
        assert "process 0 is one of 2 processes, and process 1 on" in str(error)
        assert "says one of 3" in str(error)


def test_a_stranger_at_the_port_is_passed_over():
    port = free_port()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(gather, places(2, 0, port=port))
        for _ in range(100):
            try:
                with socket.create_connection(("127.0.0.1", port)) as stranger:
                    stranger.sendall(b"GET / HTTP/1.0\r\n\r\n")
                    break
            except ConnectionRefusedError:
                continue
        assert gather(places(2, 1, port=port)) == [None]
        assert first.result() == [None]


def test_a_port_that_is_taken_is_told():
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(OSError, match=f"process 0 cannot listen on port {port}"):
            meet(Place(f"127.0.0.1:{port}", 2, 0, None), 1.0)


def test_without_a_scheduler_this_is_the_only_process():
    assert nn.training.initialize_distributed() == (0, 1)
    assert nn.training.initialize_distributed(processes=1) == (0, 1)


def place(address=None, count=None, process=None):
    return distributed._place(address, count, process, 5, os.environ)


def test_what_the_launcher_says_is_read(monkeypatch):
    for name, value in environment("127.0.0.1:1234", 4, 2).items():
        monkeypatch.setenv(name, value)
    assert place() == Place("127.0.0.1:1234", 4, 2, None)
    assert place("other:80", None, 3) == Place("other:80", 4, 3, None)


def test_what_slurm_says_is_read(monkeypatch):
    said = {"JOB_ID": "4096", "STEP_NODELIST": "node[007-015],host2", "NTASKS": "16"}
    for name, value in (said | {"PROCID": "9", "LOCALID": "1"}).items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    assert place() == Place("node007:61440", 16, 9, [1])


def test_what_gke_says_of_a_tpu_is_read(monkeypatch):
    monkeypatch.setattr("jax._src.clusters.cloud_tpu_cluster.running_in_cloud_tpu_vm", True)
    monkeypatch.setattr("jax._src.clusters.cluster.running_in_cloud_tpu_vm", True)
    said = {"TPU_WORKER_HOSTNAMES": "localhost,job-0-1.job", "TPU_WORKER_ID": "1"}
    said |= {"TPU_SKIP_MDS_QUERY": "true"}
    slices = {"COORDINATOR_ADDRESS": "localhost", "NUM_SLICES": "2", "SLICE_ID": "1"}
    for name, value in (said | {f"MEGASCALE_{k}": v for k, v in slices.items()}).items():
        monkeypatch.setenv(name, value)
    assert place() == Place("localhost:8482", 4, 3, None)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ("a:1", None, None),
            "JAX_NUM_PROCESSES, JAX_PROCESS_ID of this run are unknown, and JAX_CO",
        ),
        ((None, 2, 0), "JAX_COORDINATOR_ADDRESS of this run is unknown"),
        (("a:1", 2, 2), "process must be 0 to 1 of 2 processes, got 2"),
        (("a", 2, 0), "address must be HOST:PORT of process 0, got 'a'"),
        (("a:port", 2, 0), "address must be HOST:PORT"),
    ],
)
def test_half_of_an_environment_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        place(*given)


def test_a_number_that_is_none_is_refused(monkeypatch):
    monkeypatch.setenv("JAX_NUM_PROCESSES", "two")
    with pytest.raises(ValueError, match="JAX_NUM_PROCESSES must be a whole number, got 'two'"):
        place()
    with pytest.raises(ValueError, match="timeout must be a number of seconds above 0, got 0"):
        nn.training.initialize_distributed(timeout=0)


def test_after_the_first_use_of_jax_it_is_too_late():
    assert jax.devices()
    first, second = places(2, 0, 1)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(meet, second, 20.0)
        with pytest.raises(RuntimeError, match="must come before the first use of JAX"):
            nn.training.initialize_distributed(address=first.address, processes=2, process=0)
        other.result()


def test_an_exception_ends_its_process_at_once(monkeypatch, capsys):
    codes = []
    monkeypatch.setattr(sys, "excepthook", lambda *error: print("shown", file=sys.stderr))
    monkeypatch.setattr(os, "_exit", codes.append)
    distributed._end_at_once()
    sys.excepthook(ValueError, ValueError("x"), None)
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert codes == [1, 130]
    assert capsys.readouterr().err == "shown\nshown\n"

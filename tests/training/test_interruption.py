import os
import signal
import threading
import time

import pytest

from jaxnn.training.interruption import held_back, leaving
from tests.training.test_checkpoint_survival import saves
from tests.training.test_loop import equal, fit

PLAIN = signal.default_int_handler, signal.SIG_DFL


@pytest.fixture(autouse=True)
def as_python_starts():
    """The signals have Python's own handlers before a test, and again after it."""
    numbers = signal.SIGINT, signal.SIGTERM
    before = [signal.getsignal(number) for number in numbers]
    for number, handler in zip(numbers, PLAIN, strict=True):
        signal.signal(number, handler)
    yield
    found = [signal.getsignal(number) for number in numbers]
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)
    assert found == list(PLAIN)


def sending(number, at=10, times=1):
    """A callback that sends a signal to this process with the row of a step."""

    def log(row):
        if row["step"] == at:
            for _ in range(times):
                os.kill(os.getpid(), number)
                time.sleep(0.01)  # Python handles signals between two of its instructions

    return log


@pytest.mark.parametrize(
    ("number", "error", "said"),
    [
        (signal.SIGINT, KeyboardInterrupt, r"interrupted at step 15, which is saved in .*goes"),
        (signal.SIGTERM, SystemExit, "^143$"),
    ],
)
def test_a_run_that_is_told_to_end_saves_and_goes_on_to_the_same_bits(
    number, error, said, tmp_path, capsys
):
    with pytest.raises(error, match=said):
        fit(steps=40, save_every=40, checkpoint=tmp_path, log=sending(number))
    assert "the steps under way are finished and saved" in capsys.readouterr().err
    (step,) = saves(tmp_path)
    assert step == 15  # those steps were sent already when the row of step 10 came
    resumed = fit(steps=40, save_every=40, checkpoint=tmp_path)
    assert equal(resumed.train, fit(steps=40).train)
    assert [row["step"] for row in resumed.history] == list(range(5, 41, 5))


def test_a_signal_that_comes_in_a_validation_is_obeyed_after_it(tmp_path):
    def validate(train):
        if train.step == 10:
            os.kill(os.getpid(), signal.SIGTERM)
        return {"loss": 1.0}

    with pytest.raises(SystemExit):
        fit(steps=40, save_every=40, checkpoint=tmp_path, validate=validate)
    assert saves(tmp_path) == [10]


def test_a_second_ctrl_c_ends_the_run_at_once(tmp_path):
    with pytest.raises(KeyboardInterrupt, match="interrupted at once"):
        fit(steps=40, save_every=40, checkpoint=tmp_path, log=sending(signal.SIGINT, times=2))
    assert saves(tmp_path) == []


def test_without_checkpoints_there_is_nothing_to_wait_for():
    rows = []
    with pytest.raises(KeyboardInterrupt):
        fit(steps=40, log=[rows.append, sending(signal.SIGINT)])
    assert rows[-1]["step"] == 10


def test_a_handler_of_the_users_own_is_left_in_its_place(tmp_path):
    came = []
    signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    try:
        end = fit(steps=20, checkpoint=tmp_path, log=sending(signal.SIGTERM))
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    assert came == [signal.SIGTERM]
    assert end.train.step == 20


def test_another_thread_trains_without_touching_the_handlers(tmp_path):
    found = []

    def run():
        log = lambda row: found.append(signal.getsignal(signal.SIGINT))  # noqa: E731
        fit(steps=10, checkpoint=tmp_path, log=log)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler] * 2


def test_handlers_are_put_back_after_an_error():
    def fail():
        with held_back(True) as came:
            assert signal.getsignal(signal.SIGINT) not in PLAIN
            assert came(1, 5) is None
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_a_signal_raises():
    assert isinstance(leaving(signal.SIGINT, "at step 3"), KeyboardInterrupt)
    assert leaving(signal.SIGTERM, "at step 3").args == (143,)

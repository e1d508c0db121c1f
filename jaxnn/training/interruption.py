"""Ctrl-C and SIGTERM during a run: the steps under way are finished and saved before they act."""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax

# The signals that are held back, each with the handler of a Python that nobody has changed. A
# handler of the user's own, such as one that puts a job back into a queue, is left in its place.
PLAIN = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


@contextmanager
def held_back(wanted: bool) -> Iterator[Callable[[int, int], int | None]]:
    """Holds Ctrl-C and SIGTERM back until the block ends; a second one acts at once.

    Only the main thread may handle signals; elsewhere, and if they are not `wanted`, they act as
    ever. Among several processes SIGTERM alone is held back, by JAX's service of preemption, which
    tells all of them at the same step.

    Yields:
      (first, last) -> the number of the signal to obey after the steps first to last, None if there
      is none.
    """
    if jax.process_count() > 1:
        yield _preempted if wanted else lambda first, last: None
        return
    came: list[int] = []
    before: dict[int, Any] = {}

    def restore():
        for number, handler in before.items():
            signal.signal(number, handler)
        before.clear()

    def handle(number, frame):
        if came:
            restore()
            raise leaving(number, "at once")
        came.append(number)
        # What the signal interrupts may be writing to the same stream.
        with contextlib.suppress(RuntimeError, OSError):
            again = "; press Ctrl-C again to end at once" if number == signal.SIGINT else ""
            print(f"\nthe steps under way are finished and saved{again}", file=sys.stderr)

    if wanted and threading.current_thread() is threading.main_thread():
        for number, plain in PLAIN.items():
            if signal.getsignal(number) == plain:
                before[number] = signal.signal(number, handle)
    try:
        yield lambda first, last: came[0] if came else None
    finally:
        restore()


def leaving(number: int, where: str) -> BaseException:
    """What a signal raises: KeyboardInterrupt for Ctrl-C, else the exit that a shell expects."""
    if number == signal.SIGINT:
        return KeyboardInterrupt(f"the run was interrupted {where}.")
    # Python prints the text of a SystemExit and leaves with 1; the number has to stand alone.
    return SystemExit(128 + number)


def _preempted(first: int, last: int) -> int | None:
    from jax.experimental import multihost_utils

    try:
        # All processes agree on one step, which each of them has to ask about.
        asked = [multihost_utils.reached_preemption_sync_point(at) for at in range(first, last + 1)]
    except RuntimeError:  # the service is switched off
        return None
    return signal.SIGTERM if any(asked) else None

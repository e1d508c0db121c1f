"""`python -m jaxnn.training.launch --processes 2 script.py`: several processes on one machine.

Each process finds the others by `jaxnn.training.initialize_distributed()`. Their lines are written
with their numbers before them. When one fails, the others are ended, and its exit code is that of
the launcher: 128 and the signal for one that a signal ended, as in a shell. Ctrl-C and SIGTERM ask
all of them to save and end, and a second one ends them at once.
"""

import argparse
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any

from jaxnn.checks import check_int

# Seconds between SIGTERM and SIGKILL for the others of one that failed; JAX ignores the first.
GRACE = 3.0
SAVING = 60.0  # and for the others of one that has ended because all were asked to


def launch(command: Sequence[str], processes: int, devices: int | None = None) -> int:
    """Runs a command in several processes of this machine and returns the exit code for all.

    Args:
      command: the program and its arguments.
      processes: how many.
      devices: how many devices each has: simulated ones on a CPU, its own GPUs of the machine.

    Returns:
      0 if all ended with 0, otherwise the code of the first that did not.

    >>> launch([sys.executable, "-c", "raise SystemExit(3)"], processes=1)
    3
    """
    processes = check_int(processes, "processes")
    address = f"127.0.0.1:{free_port()}"
    lock, ended = threading.Lock(), queue.SimpleQueue()
    running: dict[int, subprocess.Popen] = {}
    readers = []
    first, grace = 0, GRACE
    with _asking(running) as (asked, told):
        for process in range(processes):
            running[process] = child = subprocess.Popen(
                command,
                env=os.environ | environment(address, processes, process, devices),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                # A Ctrl-C of the terminal reaches the launcher alone.
                start_new_session=True,
            )
            if asked and process not in told:  # the signal came while it was started
                child.send_signal(signal.SIGTERM)
            readers.append(_thread(_copy, child.stdout, process, lock))
            _thread(lambda process, child: ended.put((process, child.wait())), process, child)
        while running:
            try:
                process, code = ended.get(timeout=grace if first else None)
            except queue.Empty:
                _send(running, signal.SIGKILL)
                continue
            del running[process]
            if code and not first:
                first = code if code > 0 else 128 - code
                grace = SAVING if asked else GRACE
                if not asked:
                    _say(process, code, len(running))
                    _send(running, signal.SIGTERM)
    for reader in readers:
        reader.join(timeout=5.0)  # what they started may hold their output open
    return first


def environment(
    address: str, processes: int, process: int, devices: int | None = None
) -> dict[str, str]:
    """What one process is told by its environment."""
    told = {
        "JAX_COORDINATOR_ADDRESS": address,
        "JAX_NUM_PROCESSES": str(processes),
        "JAX_PROCESS_ID": str(process),
        "PYTHONUNBUFFERED": "1",  # else the last lines of one that is killed are lost
    }
    if devices is not None:
        own = range(process * check_int(devices, "devices"), (process + 1) * devices)
        told["JAX_NUM_CPU_DEVICES"] = str(devices)
        told["JAX_LOCAL_DEVICE_IDS"] = ",".join(map(str, own))
    return told


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def _copy(lines: IO[bytes], process: int, lock: Any) -> None:
    # Whole lines, so that those of two processes do not mix.
    with lines:
        for line in lines:
            with lock:
                sys.stdout.write(f"[{process}] {line.decode(errors='replace').rstrip()}\n")
                sys.stdout.flush()


def _say(process: int, code: int, others: int) -> None:
    how = f"ended with exit code {code}"
    if code < 0:
        how = f"was ended by signal {-code} ({signal.Signals(-code).name})"
    rest = f"; the other {others} cannot go on without it and are ended" if others else ""
    print(f"launch: process {process} {how}{rest}.", file=sys.stderr, flush=True)


def _thread(work: Any, *args: Any) -> threading.Thread:
    thread = threading.Thread(target=work, args=args, daemon=True)
    thread.start()
    return thread


def _send(running: dict[int, subprocess.Popen], number: int) -> None:
    for child in list(running.values()):
        with suppress(ProcessLookupError):
            child.send_signal(number)


@contextmanager
def _asking(running: dict[int, subprocess.Popen]) -> Iterator[tuple[list[int], set[int]]]:
    """Asks all to end at the first SIGINT or SIGTERM, ends them at the next, and leaves none.

    Yields:
      The signals that came, and the processes that were asked.
    """
    asked: list[int] = []
    told: set[int] = set()

    def ask(number, frame):
        # In JAX's processes SIGTERM is what all of them agree on.
        _send(running, signal.SIGKILL if asked else signal.SIGTERM)
        if not asked:
            with suppress(RuntimeError):  # what the signal interrupts may be writing
                print("launch: all are asked to end; again ends them at once.", file=sys.stderr)
        asked.append(number)
        told.update(running)

    held = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            held[number] = signal.signal(number, ask)
    try:
        yield asked, told
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)
        _send(running, signal.SIGKILL)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    about = (__doc__ or "").split(":")[1].strip().split("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m jaxnn.training.launch", description=about)
    parser.add_argument("--processes", type=int, required=True, help="how many")
    parser.add_argument("--devices", type=int, help="devices of each: of a CPU, or its own GPUs")
    parser.add_argument("-m", dest="module", action="store_true", help="run a module, not a file")
    parser.add_argument("script", help="a Python file, or with -m a module")
    parser.add_argument("rest", nargs=argparse.REMAINDER, help="arguments of the script")
    given = parser.parse_args(arguments)
    for name in ("processes", "devices"):
        if getattr(given, name) is not None and getattr(given, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(given, name)}")
    if not given.module and not os.path.exists(given.script):
        parser.error(f"there is no file {given.script}")
    script = ["-m", given.script] if given.module else [given.script]
    return launch([sys.executable, *script, *given.rest], given.processes, given.devices)


if __name__ == "__main__":
    sys.exit(main())

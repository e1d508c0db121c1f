"""Several processes as one: `jax.distributed`, started once all of them have arrived.

`jax.distributed.initialize` ends the whole process, without an exception, if another never comes,
and does not say which. So the processes first meet at the coordinator's port, over plain sockets.
"""

import os
import select
import socket
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import NamedTuple

import jax

from jaxnn.core import check_int

NAMES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
HELLO = "jaxnn"


class Processes(NamedTuple):
    """Where this process stands: its number, from 0 on, and how many there are."""

    process: int
    count: int


class Place(NamedTuple):
    """What the environment says: the address of process 0, and where this process stands."""

    address: str
    count: int
    process: int
    devices: Sequence[int] | None


def initialize_distributed(
    *,
    address: str | None = None,
    processes: int | None = None,
    process: int | None = None,
    timeout: float = 300.0,
) -> Processes:
    """Joins this process to the others of its run, before anything else of JAX is used.

    What is not given is read from the environment: `JAX_COORDINATOR_ADDRESS`, `JAX_NUM_PROCESSES`
    and `JAX_PROCESS_ID`, which `python -m jaxnn.training.launch` sets, or else what JAX knows of
    Slurm, Cloud TPU, GKE and Open MPI. Where none says anything, this is the only process, and
    nothing is started, so that the same script runs alone.

    From then on an exception that nobody catches ends its process at once, since JAX would first
    wait for the others, which wait for it. SIGTERM is JAX's: it writes a line and goes on, and
    `fit` saves and ends at a step that all processes agree on.

    Args:
      address: "HOST:PORT" of process 0, where a port is free.
      processes: how many processes there are in all.
      process: the number of this one, from 0 on.
      timeout: the seconds to wait until all of them have arrived.

    Returns:
      `Processes(process, count)`.

    Raises:
      TimeoutError: if a process has not arrived in time, with its number, in each that has.
      ValueError: if only a part is known of address, processes and process, or if they contradict
        each other or those of another process.
      RuntimeError: if JAX was used before, or this was called before.

    >>> import jaxnn as nn
    >>> nn.training.initialize_distributed(processes=1)
    Processes(process=0, count=1)
    """
    if processes is not None:
        check_int(processes, "processes")
    if not 0 < timeout < 1 << 31:
        raise ValueError(f"timeout must be a number of seconds above 0, got {timeout!r}.")
    if processes == 1:
        return Processes(0, 1)
    place = _place(address, processes, process, int(timeout) + 1, os.environ)
    if place is None or place.count == 1:
        return Processes(0, 1)
    if jax.distributed.is_initialized():
        raise RuntimeError("initialize_distributed was called before: once is enough.")
    meet(place, timeout)
    try:
        jax.distributed.initialize(
            coordinator_address=place.address,
            num_processes=place.count,
            process_id=place.process,
            local_device_ids=place.devices,
            initialization_timeout=int(timeout) + 1,
            # Else Slurm would give all that a launcher starts in one of its tasks the same device.
            cluster_detection_method="deactivate",
        )
    except RuntimeError as error:
        if "before" not in str(error):
            raise
        raise RuntimeError(
            "initialize_distributed must come before the first use of JAX, even of jax.devices() "
            "and of arrays: call it first in the script."
        ) from error
    _end_at_once()
    return Processes(place.process, place.count)


def _place(
    address: str | None,
    count: int | None,
    process: int | None,
    timeout: int,
    environment: Mapping[str, str],
) -> Place | None:
    """What was given, else what the environment says; None where neither says anything."""
    said = [environment.get(name) for name in NAMES]
    address = said[0] if address is None else address
    count = _number(said[1], NAMES[1]) if count is None else count
    process = _number(said[2], NAMES[2]) if process is None else process
    devices = None
    if None in (address, count, process):
        address, count, process, devices = _detected(address, count, process, timeout)
    if address is None and count is None and process is None:
        return None
    if address is None or count is None or process is None:
        known = dict(zip(NAMES, (address, count, process), strict=True))
        missing = [name for name, value in known.items() if value is None]
        raise ValueError(
            f"{', '.join(missing)} of this run {'is' if len(missing) == 1 else 'are'} unknown, and "
            f"{', '.join(f'{name}={value}' for name, value in known.items() if value is not None)} "
            "known: set what is missing, or give address=, processes= and process=."
        )
    if not 0 <= process < count:
        raise ValueError(f"process must be 0 to {count - 1} of {count} processes, got {process}.")
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) >= 1 << 16:
        raise ValueError(f"address must be HOST:PORT of process 0, got {address!r}.")
    return Place(address, count, process, devices)


def _number(text: str | None, name: str) -> int | None:
    if text is not None and not text.isdigit():
        raise ValueError(f"{name} must be a whole number, got {text!r}.")
    return None if text is None else int(text)


def _detected(address, count, process, timeout):
    """What JAX itself reads from a scheduler's environment: (address, count, process, devices)."""
    try:
        # JAX finds the environment, but has no public name for what it found.
        from jax._src.clusters import ClusterEnv

        find = ClusterEnv.auto_detect_unset_distributed_params
    except (ImportError, AttributeError):
        return address, count, process, None
    with warnings.catch_warnings():
        # In any pod of Kubernetes, of a package that is not needed.
        warnings.filterwarnings("ignore", message="Kubernetes environment detected")
        return find(address, count, process, None, None, timeout)


def meet(place: Place, timeout: float) -> None:
    """Waits until every process is there; all of them leave together.

    Process 0 listens; the others tell it who they are, and hear that all have come or who has not.

    Raises:
      TimeoutError: if one has not arrived in time.
      ValueError: if two say that they are the same, or another number of processes.
    """
    ends = time.monotonic() + timeout
    host, _, port = place.address.rpartition(":")
    if place.process == 0:
        fault = _receive(place, int(port), ends, timeout)
    else:
        fault = _report(place, host.strip("[]"), int(port), ends, timeout)
    if fault:
        raise (TimeoutError if "never arrived" in fault else ValueError)(fault)


def _receive(place: Place, port: int, ends: float, timeout: float) -> str:
    """Process 0: what is wrong, told to all that have come; empty once all have."""
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    try:
        server = socket.create_server(("", port), family=family, dualstack_ipv6=both)
    except OSError as error:
        raise OSError(
            f"process 0 cannot listen on port {port} of {place.address}: "
            f"{error.strerror or error}; give one that is free."
        ) from error
    there: dict[int, str] = {0: socket.gethostname()}
    fault = ""
    with ExitStack() as stack:
        stack.enter_context(server)
        lines = []
        while len(there) < place.count and not fault:
            ready, _, _ = select.select([server], [], [], max(0.0, ends - time.monotonic()))
            if not ready:
                fault = _absent(place, there, timeout)
                break
            connection = stack.enter_context(server.accept()[0])
            connection.settimeout(5.0)
            words = (_line(connection) or "").split(" ", 3)
            if len(words) < 4 or words[0] != HELLO:  # not one of ours
                continue
            lines.append(connection)
            process, count, name = int(words[1]), int(words[2]), words[3]
            if count != place.count:
                fault = (
                    f"process 0 is one of {place.count} processes, and process {process} on {name} "
                    f"says one of {count}: start all of them with the same number."
                )
            elif process in there:
                fault = (
                    f"two processes say that they are process {process}, on {there[process]} and "
                    f"{name}: give each a number of its own."
                )
            there[process] = name
        for connection in lines:
            with suppress(OSError):
                connection.sendall(f"{fault}\n".encode())
        for connection in lines:
            # The one that hangs up first keeps the port for a while, and this port is needed.
            with suppress(OSError):
                connection.recv(1)
    return fault


def _absent(place: Place, there: dict[int, str], timeout: float) -> str:
    missing = [process for process in range(place.count) if process not in there]
    few = ", ".join(map(str, missing[:8])) + (f" and {len(missing) - 8} more" * (len(missing) > 8))
    came = ", ".join(f"{process} ({name})" for process, name in sorted(there.items())[:4])
    more = f" and {len(there) - 4} more" * (len(there) > 4)
    word = "process" if len(missing) == 1 else "processes"
    return (
        f"{word} {few} of {place.count} never arrived at {place.address} in {timeout:g} s; there "
        f"{'is' if len(there) == 1 else 'are'} {came}{more}. See what the missing wrote, or give a "
        "longer timeout."
    )


def _report(place: Place, host: str, port: int, ends: float, timeout: float) -> str:
    """The others: tells process 0 who this is, and returns what is wrong, empty if nothing is."""
    hello = f"{HELLO} {place.process} {place.count} {socket.gethostname()}\n"
    error: OSError | None = None
    while time.monotonic() < ends:
        try:
            with socket.create_connection((host, port), timeout=5.0) as connection:
                connection.sendall(hello.encode())
                # Process 0 may have come later, and waits for as long from then on.
                connection.settimeout(timeout + 10.0)
                answer = _line(connection)
            if answer is not None:
                return answer
            error = ConnectionError("it hung up")
        except OSError as found:  # it is not there yet, or its name is not known yet
            error = found
        time.sleep(0.1)
    return (
        f"process 0 of {place.count} never arrived at {place.address} in {timeout:g} s "
        f"({getattr(error, 'strerror', None) or error}), which process {place.process} on "
        f"{socket.gethostname()} needs. See what process 0 wrote, or give a longer timeout."
    )


def _line(connection: socket.socket) -> str | None:
    """A line without its end, None if the connection closes before it."""
    with suppress(OSError), connection.makefile("r", encoding="utf-8", errors="replace") as lines:
        line = lines.readline(4096)
        return line[:-1] if line.endswith("\n") else None
    return None


def _end_at_once() -> None:
    shown = sys.excepthook

    def end(kind, value, trace):
        shown(kind, value, trace)
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        os._exit(130 if issubclass(kind, KeyboardInterrupt) else 1)

    sys.excepthook = end

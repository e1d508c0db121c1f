"""The spiking case in snnTorch with the currents of the first layer computed only once."""

from collections.abc import Callable

from benchmarks.peers import cases
from benchmarks.peers.snntorch.families import spiking

CASES: dict[str, Callable] = {cases.SPIKING: lambda: spiking(True)}

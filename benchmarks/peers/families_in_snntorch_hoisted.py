"""The spiking case in snnTorch, whose first currents are computed once and not at every step."""

from collections.abc import Callable

from benchmarks.peers.families_in_snntorch import spiking
from benchmarks.peers.family_sizes import SPIKING

CASES: dict[str, Callable] = {SPIKING: lambda: spiking(True)}

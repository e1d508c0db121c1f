"""The training cases of `benchmarks/sequences.py` in jaxnn, each step dispatched on its own."""

from functools import partial

from benchmarks.peers.layers_in_jaxnn import trained
from benchmarks.peers.sequences_in_jaxnn import TASKS

CASES = {title: partial(trained, make) for title, make in TASKS.items()}

"""The training cases of `benchmarks/sequences.py` in jaxnn, one dispatch a step."""

from functools import partial

from benchmarks.peers.jaxnn.sequences import TASKS
from benchmarks.peers.jaxnn.task import trained

CASES = {title: partial(trained, make) for title, make in TASKS.items()}

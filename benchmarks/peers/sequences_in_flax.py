"""The cases of `benchmarks/sequences.py` in Flax NNX."""

from benchmarks.peers import sizes
from benchmarks.peers.layers_in_flax import CASES as LAYERS
from benchmarks.peers.layers_in_flax import gpt

CASES = {title: LAYERS[title] for title in (sizes.GPT, sizes.LSTM, sizes.GRU)}
CASES[sizes.DEEP_GPT] = lambda: gpt(8, 128, depth=12)

"""The cases of `benchmarks/sequences.py` in Equinox."""

from benchmarks.peers import cases
from benchmarks.peers.equinox.layers import CASES as LAYERS
from benchmarks.peers.equinox.layers import gpt

CASES = {title: LAYERS[title] for title in (cases.GPT, cases.LSTM, cases.GRU)}
CASES[cases.DEEP_GPT] = lambda: gpt(8, 128, depth=12)

"""The training cases of `benchmarks/sequences.py` in PyTorch, through `torch.compile`."""

from torch import nn

from benchmarks.peers import cases
from benchmarks.peers.torch.layers import gpt, recurrent

CASES = {
    cases.GPT: lambda: gpt(8, 128, compiled=True),
    cases.DEEP_GPT: lambda: gpt(8, 128, depth=12, compiled=True),
    cases.LSTM: lambda: recurrent(nn.LSTM, 32, 64, compiled=True),
    cases.GRU: lambda: recurrent(nn.GRU, 32, 64, compiled=True),
}

"""The training cases of `benchmarks/sequences.py` in PyTorch, through `torch.compile`."""

from torch import nn

from benchmarks.peers import sizes
from benchmarks.peers.layers_in_torch import gpt, recurrent

CASES = {
    sizes.GPT: lambda: gpt(8, 128, compiled=True),
    sizes.DEEP_GPT: lambda: gpt(8, 128, depth=12, compiled=True),
    sizes.LSTM: lambda: recurrent(nn.LSTM, 32, 64, compiled=True),
    sizes.GRU: lambda: recurrent(nn.GRU, 32, 64, compiled=True),
}

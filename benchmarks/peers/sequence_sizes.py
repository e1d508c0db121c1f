"""What every framework is given for `benchmarks/sequences.py`: titles, and the same tokens."""

import numpy as np

from benchmarks.peers import sizes

ROWS, PROMPT, VOCABULARY = 8, 128, 65
TOKENS = {sizes.GPT: 1024, sizes.DEEP_GPT: 1024, sizes.LSTM: 2048, sizes.GRU: 2048}  # a step
GENERATED = {  # tokens a row, the first among them
    f"GPT of 4 layers, {count} {what} after {ROWS} x {PROMPT}": count
    for count, what in ((1, "token"), (129, "tokens"), (897, "tokens"))
}


def prompts() -> np.ndarray:
    """Tokens int32 [rows, time] to go on from."""
    return sizes.tokens(ROWS, PROMPT, VOCABULARY)[0]

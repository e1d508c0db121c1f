"""Running text, for language models."""

import numpy as np

from examples.data.fetched import fetched


def shakespeare() -> tuple[str, str]:
    """A million characters of Shakespeare's plays: nine tenths for training, the last for test.

    Raises:
      ImportError, OSError: as `fetched`.

    (Karpathy, char-rnn, 2015.)
    """
    text = fetched("tinyshakespeare.txt").read_text(encoding="utf-8")
    cut = len(text) * 9 // 10
    return text[:cut], text[cut:]


def windows(tokens: np.ndarray, length: int, stride: int) -> np.ndarray:
    """Every stride-th window [rows, length] of tokens [time].

    >>> import numpy as np
    >>> from examples.data.text import windows
    >>> windows(np.arange(6), 3, 2).tolist()
    [[0, 1, 2], [2, 3, 4]]
    """
    return np.lib.stride_tricks.sliding_window_view(tokens, length)[::stride]

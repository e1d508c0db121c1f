"""What the language model is compared with: lzma, and the same net in PyTorch."""

import importlib.util
import lzma
import math
import time
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

import jaxnn as nn
from examples.language_model.network import Scale, schedule

ROWS = 128  # windows that are evaluated at once


def lzma_loss(text: str, rest: str) -> float:
    """Nats per character that the rest adds to the compressed text."""
    alone, both = (len(lzma.compress(each.encode(), preset=9)) for each in (text, text + rest))
    return (both - alone) * 8 * math.log(2) / len(rest)


def torch_twin(scale: Scale, params: Any, windows: np.ndarray, seed: int) -> Any:
    """The same net and loop in PyTorch; None if it is not installed."""
    if importlib.util.find_spec("torch") is None:
        return None
    from examples.language_model import in_torch

    rates = np.asarray(schedule(scale)(jnp.arange(scale.steps)))
    return in_torch.twin(params, scale.heads, windows, scale.batch, rates, seed)


def validate_in_turns(
    loss: Callable,
    tested: np.ndarray,
    twin: Any,
    every: int,
    seconds: dict[str, list[float]],
) -> Callable:
    """A `validate` for `fit` that times the steps before it, then those of the twin.

    Args:
      loss: what is evaluated.
      tested: windows to evaluate on.
      twin: the net in PyTorch, which takes `every` steps in its turn; None if there is none.
      every: steps between validations.
      seconds: to its lists under "jax" and "torch", the time of each turn is appended.
    """
    start = [time.perf_counter()]

    def validate(train):
        seconds["jax"].append(time.perf_counter() - start[0])
        if twin is not None:
            start[0] = time.perf_counter()
            twin.advance(every)
            seconds["torch"].append(time.perf_counter() - start[0])
        measured = nn.training.evaluate(loss, train, tested, batch_size=ROWS)
        start[0] = time.perf_counter()
        return measured

    return validate


def median_milliseconds(seconds: list[float], every: int) -> float:
    """The median time per step, without the first turn, which includes the compilation."""
    return 1e3 * float(np.median(seconds[1:] or [math.nan])) / every

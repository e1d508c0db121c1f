"""The cases of `benchmarks/sequences.py` in jaxnn, trained by `fit`: many steps in one dispatch."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

import jaxnn as nn
from benchmarks.peers import cases, data
from benchmarks.peers.jaxnn import layers
from benchmarks.peers.jaxnn.task import begin, fitted

CONTEXT = 1024


def model(capacity: int | None = None):
    """The GPT of 4 layers."""
    return nn.gpt2(
        *(cases.VOCABULARY, 128, 4, 4),
        length=CONTEXT,
        tied=False,
        capacity=capacity,
        unroll=4,  # written out, as PyTorch has its blocks: see docs/performance.md
    )


def generator(capacity: int) -> Callable[[int], nn.Generated]:
    """A function that generates the given number of tokens, always the most likely ones."""
    cell, prompt = model(capacity), jnp.asarray(data.prompts())
    params, state = cell.init(jax.random.key(0), prompt)
    return lambda count: nn.generate(cell, params, state, prompt, steps=count, temperature=0)


def generated(count: int) -> tuple[Callable[[int], None], int]:
    """Generation with a cache of exactly the size that it needs."""
    generate = generator(cases.PROMPT_LENGTH + count - 1)

    def run(steps: int) -> None:
        for _ in range(steps):
            jax.block_until_ready(generate(count))

    params, _ = jax.eval_shape(model().init, jax.random.key(0), data.prompts())
    return run, nn.count_params(params)


TASKS = {title: layers.TASKS[title] for title in (cases.GPT, cases.LSTM, cases.GRU)}
TASKS[cases.DEEP_GPT] = partial(layers.gpt, depth=12)
CASES: dict[str, Callable] = {
    title: partial(fitted, lambda make=make: begin(make())) for title, make in TASKS.items()
}
CASES |= {title: partial(generated, count) for title, count in cases.GENERATED.items()}

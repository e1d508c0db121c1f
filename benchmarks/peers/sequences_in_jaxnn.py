"""The cases of `benchmarks/sequences.py` in jaxnn, trained by `fit`: many steps in one dispatch."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

import jaxnn as nn
from benchmarks.peers import sequence_sizes, sizes
from benchmarks.peers.layers_in_jaxnn import NETS, begin, fitted, gpt

CONTEXT = 1024


def model(capacity: int | None = None):
    """The GPT of 4 layers."""
    return nn.language_model(
        *(sequence_sizes.VOCABULARY, 128, 4, 4),
        length=CONTEXT,
        tied=False,
        capacity=capacity,
        unroll=4,  # blocks written out, as the other framework has them: 0.91 of the time
    )


def generating(capacity: int) -> Callable[[int], nn.Generated]:
    """A function that generates so many of the most likely tokens."""
    cell, prompt = model(capacity), jnp.asarray(sequence_sizes.prompts())
    params, state = cell.init(jax.random.key(0), prompt)
    return lambda count: nn.generate(cell, params, state, prompt, steps=count, temperature=0)


def generated(count: int) -> tuple[Callable[[int], None], int]:
    """Generation with a cache of the size that is needed."""
    generate = generating(sequence_sizes.PROMPT + count - 1)

    def run(steps: int) -> None:
        for _ in range(steps):
            jax.block_until_ready(generate(count))

    params, _ = jax.eval_shape(model().init, jax.random.key(0), sequence_sizes.prompts())
    return run, nn.count_params(params)


TASKS = {title: NETS[title] for title in (sizes.GPT, sizes.LSTM, sizes.GRU)}
TASKS[sizes.DEEP_GPT] = partial(gpt, depth=12)
CASES: dict[str, Callable] = {
    title: partial(fitted, lambda make=make: begin(make())) for title, make in TASKS.items()
}
CASES |= {title: partial(generated, count) for title, count in sequence_sizes.GENERATED.items()}

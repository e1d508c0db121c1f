"""An entry of the registry: how to make a layer and its input, and the laws that do not bind it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import jaxnn as nn
from jaxnn.sequences.masks import is_pair


class Entry(NamedTuple):
    """How to make a layer and its input, and the laws that do not bind it, each with its reason.

    input: (key, dtype) -> x, of 8 rows; widths are multiples of 8.
    rows: the axis of rows in the output.
    pack: (x, mask) -> x with this mask, or with segments, on its sequence of 6 steps.
    """

    make: Callable[[], Any]
    input: Callable
    exempt: dict[Any, str] = {}  # noqa: RUF012 (never written to)
    rows: int = 0
    pack: Callable = lambda x, mask: (x[0] if is_pair(x) else x, mask)


def features(*shape: int) -> Callable:
    return lambda key, dtype: jax.random.normal(key, (8, *shape), dtype)


def tokens(*shape: int, vocabulary: int = 16) -> Callable:
    return lambda key, dtype: jax.random.randint(key, (8, *shape), 0, vocabulary)


def masked(*shape: int) -> Callable:
    """(x, mask), with padding anywhere in a sequence."""

    def draw(key, dtype):
        mask = jax.random.bernoulli(jax.random.fold_in(key, 1), 0.7, (8, shape[0]))
        return jax.random.normal(key, (8, *shape), dtype), mask

    return draw


def lengths(*shape: int) -> Callable:
    """(x, lengths), of no step to one more than there are."""

    def draw(key, dtype):
        return jax.random.normal(key, (8, *shape), dtype), jnp.arange(8) % (shape[0] + 2)

    return draw


def with_noise(samples: int, latents: int, *shape: int) -> Callable:
    """(x, noise), as a variational autoencoder takes them."""

    def draw(key, dtype):
        noise = jax.random.normal(jax.random.fold_in(key, 1), (8, samples, latents), dtype)
        return jax.random.normal(key, (8, *shape), dtype), noise

    return draw


def told(*shape: int) -> Callable:
    """(x, labels), of 8 classes."""
    return lambda key, dtype: (jax.random.normal(key, (8, *shape), dtype), jnp.arange(8)[::-1])


def graphs(key, dtype):
    """A union of three graphs, with rows that are left over; edges may join any two nodes."""
    ends = jax.random.randint(jax.random.fold_in(key, 1), (2, 24), 0, 12).astype(jnp.int32)
    nodes, edges = (
        jax.random.normal(jax.random.fold_in(key, i), shape, dtype)
        for i, shape in ((2, (16, 8)), (3, (24, 8)))
    )
    sizes = jnp.zeros((8, 2), jnp.int32).at[:3, 0].set(jnp.array([5, 1, 6], jnp.int32))
    ends = ends.at[:, 20:].set(16)
    return nn.graph.Graph(nodes, edges, ends[0], ends[1], (), sizes)


def on_the_first(x, mask):
    """A triple whose first part is a pair."""
    return (x[0], mask), *x[1:]


def on_the_last(x, mask):
    """A triple whose last part is a pair."""
    return *x[:2], (x[2], mask)


KINK = {6: "an input of a rectifier lies within the step of a finite difference from zero"}
WHOLE = {8: "runs backwards from the last step, and so takes whole sequences"}
HARD = {6: "the code passes its gradient on as it is, whatever its choice of a vector"}
TOKENS = {9: "tokens say nothing of a dtype, so their vectors are float32 whatever is beside them"}
STDP = {6: "it learns in state and passes no gradient"}
SPIKES = {6: "the gradient through a spike is a surrogate"}
HALF = {6: "computes in bfloat16, too coarse for finite differences"}

SCAN = {"steps": "JAX's associative scan needs to know its length"}
SPACE = {"steps": "its axis of 6 is not time"}
PARTS = {"rows": "the number of rows must be one that its parts divide"}
POOL = {"rows": "how many nodes stay is a share of how many there are, rounded when it is traced"}
PLACES = {9: "boxes are float32 at least: bfloat16 counts pixels to 256"}
SEE = {5: "nodes see their neighbours; that graphs do not see each other, test_graph.py says"}

"""Routing: which few of many experts each row goes to, where it lies there, and how it comes back.

All shapes are fixed. A row that goes to k experts is k copies of it, each with a slot: a place in
an array that holds the rows of expert 0, then those of expert 1 and so on. `slots` says where those
of each begin; rows are brought there by `scatter` and back by `gather`.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import export

from jaxnn import core
from jaxnn.core import Tree


class Choice(NamedTuple):
    """The experts of each row, the likeliest first.

    experts: int32 [rows, k], all different in a row.
    weights: [rows, k], how much each is heard.
    ranks: int32 [rows, k], how many copies its expert got before it: all first choices come before
      all second ones, and rows in their order.
    counts: int32 [n], how many copies each expert got.
    """

    experts: jax.Array
    weights: jax.Array
    ranks: jax.Array
    counts: jax.Array


class Routing(NamedTuple):
    """What a sparse mixture says of its last pass, in state; every leaf is a float.

    balance: n sum_i u_i p_i, with p_i the mean probability of expert i: 1 where all are used alike,
      n where one does all. As a loss it draws the router away from experts that are full.
    z: the mean of log(sum_i exp(logit_i))^2, which as a loss keeps logits small.
    usage: u [n], the share of copies of rows that went to each expert: 0 for one nobody uses.
    dropped: the share of copies that found no place.
    """

    balance: jax.Array
    z: jax.Array
    usage: jax.Array
    dropped: jax.Array


export.register_namedtuple_serialization(Routing, serialized_name="jaxnn.mixture.Routing")


NOWHERE = jnp.iinfo(jnp.int32).max  # the rank of a copy that goes to no expert


def top_k_route(logits: jax.Array, top_k: int, held: jax.Array | None = None) -> Choice:
    """The top_k likeliest experts of each row of logits [rows, n].

    Rows that are not `held`, bool [rows], go to none and count for nothing. Weights are the softmax
    over all experts where top_k is 1, so that the router learns, and the softmax over the chosen
    where it is more.

    >>> import jax.numpy as jnp
    >>> from jaxnn.nets.mixture.routing import choose
    >>> choice = choose(jnp.array([[0.0, 2.0], [0.0, 3.0], [1.0, 0.0]]), 1)
    >>> choice.experts.ravel().tolist(), choice.ranks.ravel().tolist(), choice.counts.tolist()
    ([1, 1, 0], [0, 1, 0], [1, 2])
    """
    rows, n = logits.shape
    best, experts = jax.lax.top_k(logits, top_k)
    over = best if top_k > 1 else logits
    weights = jnp.exp(best - jax.nn.logsumexp(over, axis=-1, keepdims=True))
    hot = experts.T.reshape(-1, 1) == jnp.arange(n, dtype=jnp.int32)[None]
    if held is not None:
        hot &= jnp.tile(held, top_k)[:, None]
    before = jnp.cumsum(hot, axis=0, dtype=jnp.int32)
    ranks = jnp.where(hot, before - 1, 0).sum(axis=1, dtype=jnp.int32)
    counts = hot.sum(axis=0, dtype=jnp.int32)
    ranks = ranks.reshape(top_k, rows).T
    if held is not None:
        ranks = jnp.where(held[:, None], ranks, NOWHERE)
    return Choice(experts, weights, ranks, counts)


def router_stats(
    logits: jax.Array,
    choice: Choice,
    dropped: jax.Array,
    axis_name: str | None = None,
    held: jax.Array | None = None,
) -> Routing:
    """The losses and the usage of a choice, over all devices of a mesh axis if one is named.

    Means are over the rows that are `held`, all by default, or over those of all devices.
    """

    def over_all(x):
        return x if axis_name is None else jax.lax.pmean(x, axis_name)

    rows, n = logits.shape
    if held is None:
        weights, many = jnp.ones((rows, 1), logits.dtype), max(rows, 1)
    else:
        weights = held[:, None].astype(logits.dtype)
        many = jnp.maximum(over_all(weights.sum()), 1)
    copies = many * choice.experts.shape[1]
    usage = over_all(choice.counts.astype(logits.dtype) / copies)
    probabilities = over_all((jax.nn.softmax(logits) * weights).sum(axis=0) / many)
    z = (jnp.square(jax.nn.logsumexp(logits, axis=-1)) * weights[:, 0]).sum() / many
    missed = dropped.astype(logits.dtype) / copies
    return Routing(n * jnp.sum(usage * probabilities), over_all(z), usage, over_all(missed))


def capacity_slots(
    choice: Choice, starts: jax.Array, room: jax.Array | int, size: int
) -> jax.Array:
    """The slot [rows, k] of each copy, `size`, where nothing is, for one that finds no room.

    Args:
      starts: int32 [n], the first slot of each expert.
      room: how many slots an expert has; `size` for no limit.
      size: of all slots.
    """
    return jnp.where(choice.ranks < room, starts[choice.experts] + choice.ranks, size)


def scatter(x: jax.Array, slot: jax.Array, size: int) -> jax.Array:
    """Rows [rows, features] in their slots [size, features], zeros where there is none."""
    rows, k = slot.shape
    owner = jnp.full(size, rows, jnp.int32)
    copy = jnp.broadcast_to(jnp.arange(rows, dtype=jnp.int32)[:, None], (rows, k))
    owner = owner.at[slot].set(copy, mode="drop", unique_indices=False)
    return x.at[owner].get(mode="fill", fill_value=0)


def gather(y: jax.Array, slot: jax.Array, weights: jax.Array) -> jax.Array:
    """The weighed sum over the copies of each row, from their slots: [rows, features]."""
    back = y.at[slot].get(mode="fill", fill_value=0)
    # XLA:CPU takes long for the sum over a row that is the gradient of a broadcast weight.
    return jnp.einsum("rkf,rk->rf", back, weights, precision="highest")


def routings(state: Tree) -> list[Routing]:
    """Every `Routing` in the state of a net; under `repeat` each leaf has an axis of depth.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.mixture.routings([()])
    []
    """
    leaves = jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, Routing))
    return [leaf for leaf in leaves if isinstance(leaf, Routing)]


def routed(loss: Callable, *, balance: float = 1e-2, z: float = 1e-3) -> Callable:
    """A loss with those of the sparse mixtures in a net added in training, for `training.step`.

    loss + sum over mixtures of balance times their balance, and of z times their z. In evaluation
    it is the loss alone.

    Args:
      loss: (params, state, batch, *, key, train) -> (loss, (state, metrics)), such as
        `training.supervised` makes, of a net in which there is a `sparse_mixture`.
      balance, z: weights.

    Returns:
      the same with metrics more: "balance", "z" and "dropped", means over the mixtures, and
      "usage_least" and "usage_most", n times the share of the least and the most used expert among
      all: 1 where all are used alike, and 0 for the least where there is one nobody uses. State
      holds the usage of each.

    Raises:
      ValueError: for weights that are negative or not finite; for a net without a sparse mixture.

    >>> import jax, jaxnn as nn, optax
    >>> net = nn.serial(nn.dense(8), nn.mixture.sparse_mixture(16, 4), nn.dense(1))
    >>> loss = nn.mixture.routed(nn.training.supervised(net, nn.mse))
    >>> step = nn.training.step(loss, optax.adam(1e-3))
    """
    for title, weight in (("balance", balance), ("z", z)):
        if not 0 <= weight < math.inf:
            raise ValueError(f"routed: {title} must be finite, 0 or more, got {weight!r}.")

    def objective(params, state, batch, *, key=None, train=False):
        value, (after, metrics) = loss(params, state, batch, key=key, train=train)
        found = routings(after)
        if not found:
            raise ValueError("routed is for nets with a sparse_mixture, whose state has a Routing.")
        if core.check_train(train):
            added = [balance * each.balance.sum() + z * each.z.sum() for each in found]
            value = value + jnp.stack(added).sum().astype(value.dtype)
        means = {
            title: jnp.stack([getattr(each, title).mean() for each in found]).mean()
            for title in ("balance", "z", "dropped")
        }
        shares = [each.usage.shape[-1] * each.usage for each in found]
        means["usage_least"] = jnp.stack([share.min() for share in shares]).min()
        means["usage_most"] = jnp.stack([share.max() for share in shares]).max()
        return value, (after, metrics | means)

    return objective

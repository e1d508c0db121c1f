"""Routing: choose a few of many experts for each row, send the row there, and bring results back.

All shapes are static. A row that goes to k experts becomes k copies, each with a slot: a position
in an array that holds the rows of expert 0, then those of expert 1, and so on. `capacity_slots`
computes the slots, `scatter` moves the rows into them, and `gather` moves the results back.
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
    """The experts chosen for each row, the most likely first.

    experts: int32 [rows, k], all different within a row.
    weights: [rows, k], the weight of each expert's output.
    ranks: int32 [rows, k], the number of copies that the expert received before this one: all first
      choices come before all second choices, each in the order of the rows.
    counts: int32 [n], the number of copies that each expert received.
    """

    experts: jax.Array
    weights: jax.Array
    ranks: jax.Array
    counts: jax.Array


class Routing(NamedTuple):
    """Statistics of the last pass of a sparse mixture, kept in its state; all are floating point.

    balance: n sum_i u_i p_i, with u_i the usage and p_i the mean probability of expert i: 1 if all
      are used equally, n if one does everything. As a loss it draws the router away from experts
      that are overused.
    z: the mean of log(sum_i exp(logit_i))^2; as a loss it keeps the logits small.
    usage: the share u of the copies that went to each expert, [n]; 0 for an unused expert.
    dropped: the share of the copies that exceeded the capacity of their expert.
    """

    balance: jax.Array
    z: jax.Array
    usage: jax.Array
    dropped: jax.Array


export.register_namedtuple_serialization(Routing, serialized_name="jaxnn.mixture.Routing")


NOWHERE = jnp.iinfo(jnp.int32).max  # the rank of a copy that goes to no expert


def top_k_route(logits: jax.Array, top_k: int, valid: jax.Array | None = None) -> Choice:
    """The top_k most likely experts of each row of logits [rows, n].

    Rows that are not `valid`, bool [rows], go to no expert and count nowhere. The weights are the
    softmax over the chosen experts, or over all experts if top_k is 1, so that the router learns.

    >>> import jax.numpy as jnp
    >>> from jaxnn.nets.mixture.routing import top_k_route
    >>> choice = top_k_route(jnp.array([[0.0, 2.0], [0.0, 3.0], [1.0, 0.0]]), 1)
    >>> choice.experts.ravel().tolist(), choice.ranks.ravel().tolist(), choice.counts.tolist()
    ([1, 1, 0], [0, 1, 0], [1, 2])
    """
    rows, n = logits.shape
    best, experts = jax.lax.top_k(logits, top_k)
    over = best if top_k > 1 else logits
    weights = jnp.exp(best - jax.nn.logsumexp(over, axis=-1, keepdims=True))
    hot = experts.T.reshape(-1, 1) == jnp.arange(n, dtype=jnp.int32)[None]
    if valid is not None:
        hot &= jnp.tile(valid, top_k)[:, None]
    before = jnp.cumsum(hot, axis=0, dtype=jnp.int32)
    ranks = jnp.where(hot, before - 1, 0).sum(axis=1, dtype=jnp.int32)
    counts = hot.sum(axis=0, dtype=jnp.int32)
    ranks = ranks.reshape(top_k, rows).T
    if valid is not None:
        ranks = jnp.where(valid[:, None], ranks, NOWHERE)
    return Choice(experts, weights, ranks, counts)


def router_stats(
    logits: jax.Array,
    choice: Choice,
    dropped: jax.Array,
    axis_name: str | None = None,
    valid: jax.Array | None = None,
) -> Routing:
    """The auxiliary losses and the usage of a choice, over all devices of a mesh axis if named.

    The means are over the rows that are `valid`, all by default, on all devices.
    """

    def over_all(x):
        return x if axis_name is None else jax.lax.pmean(x, axis_name)

    rows, n = logits.shape
    if valid is None:
        weights, count = jnp.ones((rows, 1), logits.dtype), max(rows, 1)
    else:
        weights = valid[:, None].astype(logits.dtype)
        count = jnp.maximum(over_all(weights.sum()), 1)
    copies = count * choice.experts.shape[1]
    usage = over_all(choice.counts.astype(logits.dtype) / copies)
    probabilities = over_all((jax.nn.softmax(logits) * weights).sum(axis=0) / count)
    z = (jnp.square(jax.nn.logsumexp(logits, axis=-1)) * weights[:, 0]).sum() / count
    dropped_share = dropped.astype(logits.dtype) / copies
    balance = n * jnp.sum(usage * probabilities)
    return Routing(balance, over_all(z), usage, over_all(dropped_share))


def capacity_slots(
    choice: Choice, starts: jax.Array, room: jax.Array | int, size: int
) -> jax.Array:
    """The slot [rows, k] of each copy; `size`, which is no slot, for a copy without room.

    Args:
      choice: the experts of each row.
      starts: int32 [n], the first slot of each expert.
      room: the number of slots of an expert; `size` for no limit.
      size: the number of all slots.
    """
    return jnp.where(choice.ranks < room, starts[choice.experts] + choice.ranks, size)


def scatter(x: jax.Array, slot: jax.Array, size: int) -> jax.Array:
    """The rows [rows, features] in their slots [size, features]; an empty slot holds zeros."""
    rows, k = slot.shape
    owner = jnp.full(size, rows, jnp.int32)
    copy = jnp.broadcast_to(jnp.arange(rows, dtype=jnp.int32)[:, None], (rows, k))
    owner = owner.at[slot].set(copy, mode="drop", unique_indices=False)
    return x.at[owner].get(mode="fill", fill_value=0)


def gather(y: jax.Array, slot: jax.Array, weights: jax.Array) -> jax.Array:
    """The weighted sum over the copies of each row, read from their slots: [rows, features]."""
    copies = y.at[slot].get(mode="fill", fill_value=0)
    # Not a broadcast product: the gradient of its weight is a row sum that is slow on XLA:CPU.
    return jnp.einsum("rkf,rk->rf", copies, weights, precision="highest")


def routings(state: Tree) -> list[Routing]:
    """The statistics of every sparse mixture in a net.

    Args:
      state: the state of the net.

    Returns:
      A list of each `Routing` in the state; under `repeat`, each of its leaves has a leading axis
      of depth.

    >>> import jaxnn as nn
    >>> nn.mixture.routings([()])
    []
    """
    leaves = jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, Routing))
    return [leaf for leaf in leaves if isinstance(leaf, Routing)]


def routed(loss: Callable, *, balance: float = 1e-2, z: float = 1e-3) -> Callable:
    """A loss with the auxiliary losses of a net's sparse mixtures added, for `training.step`.

    loss + sum over the sparse mixtures of (balance * their balance loss + z * their z loss)

    The auxiliary losses are added only in training; in evaluation the value is that of `loss`.

    Args:
      loss: a loss (params, state, batch, *, key, train) -> (loss, (state, metrics)), such as
        `training.supervised` returns, of a net that contains a `sparse_mixture`.
      balance: the weight of the balance loss (see `Routing`).
      z: the weight of the z loss (see `Routing`).

    Returns:
      A loss of the same form with additional metrics: "balance", "z" and "dropped", which are means
      over the mixtures, and "usage_least" and "usage_most", which are n times the share of the
      least and of the most used expert: both are 1 if all are used equally, and the least is 0 if
      one is unused. The state holds the usage of each expert.

    Raises:
      ValueError: if a weight is negative or not finite; at the first call, if the net contains no
        sparse mixture.

    (Shazeer et al., Outrageously large neural networks, 2017; balance: Fedus, Zoph and Shazeer,
    Switch transformers, 2021; z loss: Zoph et al., ST-MoE, 2022.)

    >>> import jaxnn as nn, optax
    >>> net = nn.serial(nn.dense(8), nn.mixture.sparse_mixture(16, 4), nn.dense(1))
    >>> loss = nn.mixture.routed(nn.training.supervised(net, nn.mse))
    >>> step = nn.training.step(loss, optax.adam(1e-3))
    """
    for title, weight in (("balance", balance), ("z", z)):
        if not 0 <= weight < math.inf:
            raise ValueError(f"routed: {title} must be finite, 0 or more, got {weight!r}.")

    def objective(params, state, batch, *, key=None, train=False):
        value, (new_state, metrics) = loss(params, state, batch, key=key, train=train)
        statistics = routings(new_state)
        if not statistics:
            raise ValueError(
                "routed is for nets with a sparse_mixture, whose state has a Routing; this net has "
                "none."
            )
        if core.check_train(train):
            added = [balance * each.balance.sum() + z * each.z.sum() for each in statistics]
            value = value + jnp.stack(added).sum().astype(value.dtype)
        means = {
            title: jnp.stack([getattr(each, title).mean() for each in statistics]).mean()
            for title in ("balance", "z", "dropped")
        }
        shares = [each.usage.shape[-1] * each.usage for each in statistics]
        means["usage_least"] = jnp.stack([share.min() for share in shares]).min()
        means["usage_most"] = jnp.stack([share.max() for share in shares]).max()
        return value, (new_state, metrics | means)

    return objective

"""Entries of the registry: mixture."""

import jax
import jax.numpy as jnp

import jaxnn as nn
from tests.registry.entry import Entry, features, masked

ENTRIES = {
    "modular": Entry(
        lambda: nn.mixture.modular(
            nn.dense(8), 2, nn.mixture.join_features, parts=nn.mixture.feature_parts(2)
        ),
        features(16),
    ),
    "mixture, a tree": Entry(lambda: nn.mixture.mixture_of_experts(nn.dense(8), 2, 2), features(8)),
    "multi_task": Entry(
        lambda: nn.mixture.multi_task(nn.dense(8), 2, {"a": jnp.tanh, "b": nn.dense(8)}),
        features(8),
    ),
    "sparse_mixture": Entry(
        lambda: nn.mixture.sparse_mixture(8, 4, 2, capacity=1.0, shared=1, activation=jnp.tanh),
        features(8),
    ),
    "sparse_mixture masked": Entry(
        lambda: nn.mixture.sparse_mixture(8, 4, 2, activation=jnp.tanh), masked(6, 8)
    ),
    "expert_parallel": Entry(
        lambda: nn.mixture.expert_parallel(
            nn.mixture.sparse_mixture(8, 4, activation=jnp.tanh, axis_name="experts"),
            jax.make_mesh((1,), ("experts",), axis_types=(jax.sharding.AxisType.Auto,)),
            "experts",
        ),
        features(8),
        {10: "it holds a mesh of its own; test_sparse_mixture compares one device with four"},
    ),
}

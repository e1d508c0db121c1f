from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest

import jaxnn as nn

X = jnp.ones((8, 4))
NET = nn.serial(encoder=nn.repeat(nn.dense(4), 3), head=nn.dense(2))
PARAMS: Any = NET.init(jax.random.key(0), X)[0]


def test_labels_go_by_the_first_pattern_that_matches():
    found = nn.label_params(PARAMS, {"encoder/b": "slow", "encoder/*": "frozen"}, "trained")
    assert found == {
        "encoder": {"b": "slow", "w": "frozen"},
        "head": {"b": "trained", "w": "trained"},
    }


def test_a_pattern_that_matches_nothing_is_refused():
    with pytest.raises(ValueError, match=r"no path matches 'encodre/\*' of encoder/b"):
        nn.label_params(PARAMS, {"encodre/*": "frozen"}, "trained")


def test_a_mask_is_true_where_a_pattern_matches():
    assert nn.mask_params(PARAMS, "*/w") == {
        "encoder": {"b": False, "w": True},
        "head": {"b": False, "w": True},
    }


def test_weight_decay_skips_biases_even_stacked_ones():
    assert PARAMS["encoder"]["b"].ndim == 2
    assert nn.decayed(PARAMS) == nn.mask_params(PARAMS, "*/w")
    optimizer = optax.adamw(0.1, weight_decay=0.5, mask=nn.decayed)
    zero = jax.tree.map(jnp.zeros_like, PARAMS)
    updates: Any = optimizer.update(zero, optimizer.init(PARAMS), PARAMS)[0]
    assert (updates["head"]["w"] != 0).all()
    assert (updates["head"]["b"] == 0).all()


def test_frozen_params_stay_and_have_no_moments():
    optimizer = nn.freeze(optax.adam(0.1), "encoder/*")
    ones = jax.tree.map(jnp.ones_like, PARAMS)
    state = optimizer.init(PARAMS)
    updates: Any = optimizer.update(ones, state, PARAMS)[0]
    assert (updates["encoder"]["w"] == 0).all()
    assert (updates["head"]["w"] != 0).all()
    assert (
        nn.count_params(state) == 2 * nn.count_params(PARAMS["head"]) + 1
    )  # two moments and a count


def test_sizes_and_bytes():
    assert nn.count_params(PARAMS) == 3 * 20 + 10
    assert nn.nbytes(nn.cast(PARAMS, jnp.bfloat16)) == 2 * 70

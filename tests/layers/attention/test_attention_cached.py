# pyright: reportArgumentType=false
import chex
import jax
import jax.numpy as jnp
import pytest

import jaxnn as nn
from jaxnn.layers.attention.attention import attention
from tests.layers.attention.test_attention import MASKS, X, kind, made, run

pytestmark = pytest.mark.ordinary


def stepped(cell, params, x, lengths):
    """The outputs of a cell fed with chunks, and its last carry."""
    step = jax.jit(cell.apply)
    carry, ys, start = cell.carry(params, x), [], 0
    for length in lengths:
        part = jax.tree.map(lambda leaf, a=start, b=start + length: leaf[:, a:b], x)
        (carry, y), _ = step(params, (), (carry, part))
        ys.append(y)
        start += length
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves, axis=1), *ys), carry


@pytest.mark.parametrize("where", [None, *MASKS])
@pytest.mark.parametrize(
    ("name", "capacity"),
    [("causal rotary", 7), ("causal window alibi", 3), ("causal window alibi", 5)],
)
def test_the_cached_view_is_the_whole_one(name, capacity, where):
    layer, cell = kind(name), kind(name, capacity)
    x = X if where is None else (X, MASKS[where])
    params = made(layer, x)
    whole = run(layer, params, x)
    y, once = stepped(cell, params, x, [7])
    chex.assert_trees_all_close(y, whole, atol=1e-5)
    y, thrice = stepped(cell, params, x, [3, 1, 3])
    chex.assert_trees_all_close(y, whole, atol=1e-5)
    chex.assert_trees_all_close(once, thrice, atol=1e-5)


def test_the_cached_view_has_the_params_of_the_whole_one():
    views = [jax.jit(kind("causal rotary", c).init)(jax.random.key(4), X) for c in (None, 7)]
    chex.assert_trees_all_equal(*views)


def test_steps_beyond_the_capacity_are_not_numbers():
    cell, layer = attention(2, causal=True, capacity=5), attention(2, causal=True)
    params = made(layer)
    whole = run(layer, params, X)
    for lengths in ([4, 3], [3, 1, 3]):
        y, _ = stepped(cell, params, X, lengths)
        assert jnp.allclose(y[:, :5], whole[:, :5], atol=1e-5)
        assert jnp.isnan(y[:, 5:]).all()


def test_padding_does_not_fill_the_cache():
    cell = attention(2, causal=True, capacity=5)
    params, mask = made(cell, X[:, :5]), MASKS["between"]
    (y, _), carry = stepped(cell, params, (X, mask), [5, 2])
    assert jnp.isfinite(y).all()
    assert carry["length"].tolist() == [4, 4]


def test_a_chunk_beyond_the_capacity_is_refused():
    cell = attention(2, causal=True, capacity=5)
    with pytest.raises(ValueError, match="a chunk of 7 steps overflows a cache of 5"):
        cell.init(jax.random.key(0), X)
    params = made(cell, X[:, :5])
    with pytest.raises(ValueError, match="a chunk of 7 steps overflows a cache of 5"):
        cell.apply(params, (), (cell.carry(params, X), X))


def test_the_cache_has_the_dtype_of_the_activations():
    net = nn.with_dtype(attention(2, causal=True, capacity=8), jnp.bfloat16)
    params, _ = net.init(jax.random.key(0), X)
    carry = net.carry(params, X)
    assert carry["keys"].dtype == carry["values"].dtype == jnp.bfloat16
    assert carry["length"].dtype == jnp.int32


def test_gradients_flow_through_the_cache():
    cell, layer = attention(2, causal=True, capacity=8), attention(2, causal=True)
    params = made(layer)

    def through(net):
        def loss(params):
            y = net(params)
            return jnp.sum(jnp.sin(y + jnp.arange(y.size).reshape(y.shape)))

        return jax.jit(jax.grad(loss))(params)

    chunks = through(lambda params: stepped(cell, params, X, [3, 4])[0])
    chex.assert_trees_all_close(chunks, through(lambda p: layer(p, X)), atol=1e-4, rtol=1e-4)


def test_a_mask_of_each_query_is_not_for_the_cache():
    cell = attention(2, causal=True, capacity=8)
    with pytest.raises(ValueError, match=r"a mask \[2,7\] with"):
        cell.init(jax.random.key(0), (X, jnp.ones((2, 7, 7), bool)))

# pyright: reportArgumentType=false
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnn.layers.attention.attention import attention, cross_attention
from jaxnn.layers.attention.positions import alibi_slopes, rotary
from jaxnn.sequences.unroll import unroll

pytestmark = pytest.mark.ordinary

X = jax.random.normal(jax.random.key(1), (2, 7, 16))
MEMORY = jax.random.normal(jax.random.key(2), (2, 4, 8))


def made(net, x=X):
    """Params none of which is zero or one."""
    params = jax.eval_shape(net.init, jax.random.key(0), x)[0]
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: jnp.asarray(rng.normal(size=leaf.shape) / leaf.shape[0] ** 0.5, jnp.float32),
        params,
    )


def run(net, params, x):
    return jax.jit(net)(params, x)


def softmax(logits):
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


# Values


def test_attention_is_its_equation():
    net = attention(2)
    params = made(net)
    w, b, out, out_b = (
        np.asarray(params[a][i], np.float64) for a in ("qkv", "out") for i in ("w", "b")
    )
    joined = np.zeros(X.shape)
    qkv = np.asarray(X, np.float64) @ w + b
    for head in range(2):
        q, k, v = (qkv[..., 16 * i + 8 * head :][..., :8] for i in range(3))
        joined[..., 8 * head :][..., :8] = softmax(q @ k.swapaxes(1, 2) / np.sqrt(8)) @ v
    assert np.allclose(run(net, params, X), joined @ out + out_b, atol=1e-5)


@pytest.mark.parametrize(("kv_heads", "columns"), [(None, 48), (2, 32), (1, 24)])
def test_qkv_has_columns_for_every_head(kv_heads, columns):
    params, _ = attention(4, kv_heads=kv_heads).init(jax.random.key(0), X)
    chex.assert_trees_all_equal_shapes(
        params,
        {
            "qkv": {"w": jnp.ones((16, columns)), "b": jnp.ones(columns)},
            "out": {"w": jnp.ones((16, 16)), "b": jnp.ones(16)},
        },
    )


def test_grouped_heads_are_all_heads_with_keys_repeated():
    few, many = attention(4, kv_heads=2, bias=False), attention(4, bias=False)
    params = made(few)
    q, k, v = jnp.split(params["qkv"]["w"], [16, 24], axis=1)
    k, v = (jnp.repeat(w.reshape(16, 2, 4), 2, axis=1).reshape(16, 16) for w in (k, v))
    wide = {"qkv": {"w": jnp.concatenate([q, k, v], axis=1)}, "out": params["out"]}
    assert jnp.allclose(run(few, params, X), run(many, wide, X), atol=1e-5)


def test_heads_may_be_wider_than_the_features():
    net = attention(2, width=64, qk_norm=True)
    params = made(net)
    assert params["qkv"]["w"].shape == (16, 192)
    assert params["out"]["w"].shape == (64, 16)
    assert params["q_norm"]["scale"].shape == (32,)
    assert net(params, X).shape == X.shape


def test_initialisers_are_arguments():
    ones, zeros = jax.nn.initializers.ones, jax.nn.initializers.zeros
    params, _ = attention(2, w_init=ones, b_init=ones, out_init=zeros).init(jax.random.key(0), X)
    assert all((leaf == 1).all() for leaf in jax.tree.leaves(params["qkv"]))
    assert (params["out"]["w"] == 0).all()
    params, _ = attention(2, w_init=ones).init(jax.random.key(0), X)
    assert (params["out"]["w"] == 1).all()


def test_order_is_known_by_positions_alone():
    order = jnp.array([3, 0, 6, 1, 5, 2, 4])
    for net, knows in (
        (attention(2), False),
        (attention(2, rotary=rotary()), True),
        (attention(2, alibi=True), True),
    ):
        params = made(net)
        y, shuffled = run(net, params, X), run(net, params, X[:, order])
        assert jnp.allclose(y[:, order], shuffled, atol=1e-5) != knows


def test_alibi_is_its_slopes():
    # Queries and keys of zero: the weights are the softmax of what distance takes off.
    net = attention(2, alibi=True, bias=False)
    params = made(net)
    params["qkv"]["w"] = params["qkv"]["w"].at[:, :32].set(0)
    far = np.abs(np.arange(7)[:, None] - np.arange(7))
    weights = softmax(-alibi_slopes(2)[:, None, None] * far)
    v = np.asarray(X @ params["qkv"]["w"][:, 32:]).reshape(2, 7, 2, 8)
    joined = np.einsum("hts,bshd->bthd", weights, v).reshape(2, 7, 16)
    assert np.allclose(run(net, params, X), joined @ np.asarray(params["out"]["w"]), atol=1e-5)


def test_query_key_norm_bounds_the_logits():
    net = attention(2, qk_norm=True, bias=False)
    params = made(net)
    y = run(net, params, X)
    loud = {**params, "qkv": {"w": params["qkv"]["w"].at[:, :32].multiply(1000)}}
    assert jnp.allclose(run(net, loud, X), y, atol=1e-4)


def test_a_causal_step_does_not_see_the_next():
    net = attention(2, causal=True)
    params = made(net)
    moved = run(net, params, X.at[:, 4:].add(1))
    assert jnp.allclose(moved[:, :4], run(net, params, X)[:, :4], atol=1e-6)
    assert not jnp.allclose(moved[:, 4:], run(net, params, X)[:, 4:], atol=1e-2)


def test_dropout_draws_in_training_alone():
    net, plain = attention(2, dropout=0.5), attention(2)
    params = made(net)
    assert jnp.array_equal(run(net, params, X), run(plain, params, X))
    dropped = net(params, X, key=jax.random.key(3), train=True)
    assert not jnp.allclose(dropped, run(plain, params, X), atol=1e-2)
    assert jnp.array_equal(plain(params, X, train=True), plain(params, X))
    with pytest.raises(ValueError, match="attention draws at random"):
        net(params, X, train=True)


# Padding

# Four of seven steps are there.
MASKS = {
    "after": jnp.array([[1, 1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 0, 0, 0]], bool),
    "before": jnp.array([[0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1, 1]], bool),
    "between": jnp.array([[1, 0, 0, 1, 1, 0, 1], [0, 1, 1, 0, 1, 1, 0]], bool),
}
OPTIONS = {
    "plain": {},
    "causal rotary": {"causal": True, "rotary": rotary(100.0)},
    "causal window alibi": {"causal": True, "alibi": True, "window": 3},
    "window rotary": {"window": 2, "rotary": rotary(100.0, interleaved=True)},
}


@functools.cache
def kind(name, capacity=None):
    """One net of a kind for all tests, since jit caches."""
    return attention(2, kv_heads=1, **OPTIONS[name], capacity=capacity)


@pytest.mark.parametrize("where", MASKS)
@pytest.mark.parametrize("name", OPTIONS)
def test_a_padded_row_gives_what_it_gives_without(name, where):
    net, mask = kind(name), MASKS[where]
    params = made(net)
    y, same = run(net, params, (jnp.where(mask[..., None], X, jnp.nan), mask))
    assert jnp.array_equal(same, mask)
    assert (y[~mask] == 0).all()
    alone = run(net, params, X[mask].reshape(2, 4, 16))
    assert np.allclose(y[mask].reshape(2, 4, 16), alone, atol=1e-5)


def test_gradients_do_not_see_padding():
    net, mask = attention(2), MASKS["between"]
    params = made(net)

    def loss(params, x):
        return jnp.sum(net(params, (x, mask))[0] ** 2)

    gradients = jax.jit(jax.grad(loss, (0, 1)))(params, jnp.where(mask[..., None], X, jnp.nan))
    chex.assert_tree_all_finite(gradients)
    assert (gradients[1][~mask] == 0).all()


def test_a_query_that_sees_nothing_gives_the_bias():
    net = attention(2)
    params = made(net)
    blind = jnp.ones((2, 7, 7), bool).at[0, 2].set(False)
    y, _ = run(net, params, (X, blind))
    assert jnp.allclose(y[0, 2], params["out"]["b"], atol=1e-6)
    assert jnp.allclose(y[1], run(net, params, X)[1], atol=1e-5)


def test_a_row_of_padding_gives_zeros():
    net = attention(2)
    y, _ = net(made(net), (X, jnp.zeros((2, 7), bool)))
    assert (y == 0).all()


# Cross-attention


def test_cross_attention_gathers_from_the_memory():
    net = cross_attention(2, bias=False)
    params = made(net, (X, MEMORY))
    assert {name: leaf["w"].shape for name, leaf in params.items()} == {
        "q": (16, 16),
        "kv": (8, 32),
        "out": (16, 16),
    }
    q = np.asarray(X @ params["q"]["w"]).reshape(2, 7, 2, 8)
    k, v = np.split(np.asarray(MEMORY @ params["kv"]["w"]).reshape(2, 4, 4, 8), 2, axis=2)
    weights = softmax(np.einsum("bthd,bshd->bhts", q, k) / np.sqrt(8))
    joined = np.einsum("bhts,bshd->bthd", weights, v).reshape(2, 7, 16)
    assert np.allclose(
        run(net, params, (X, MEMORY)), joined @ np.asarray(params["out"]["w"]), atol=1e-5
    )


def test_cross_attention_with_itself_is_self_attention():
    net, cross = (
        attention(4, kv_heads=2, qk_norm=True),
        cross_attention(4, kv_heads=2, qk_norm=True),
    )
    params = made(net)
    q, kv = ({"w": w, "b": b} for w, b in zip(
        jnp.split(params["qkv"]["w"], [16], axis=1), jnp.split(params["qkv"]["b"], [16]),
        strict=True))  # fmt: skip
    rest = {name: params[name] for name in ("out", "q_norm", "k_norm")}
    assert jnp.allclose(cross({"q": q, "kv": kv, **rest}, (X, X)), run(net, params, X), atol=1e-5)


@pytest.mark.parametrize("each_query", [False, True])
def test_a_masked_memory_is_not_seen(each_query):
    net = cross_attention(2)
    mask = jnp.array([[1, 1, 0, 0], [0, 0, 0, 0]], bool)
    memory = MEMORY if each_query else jnp.where(mask[..., None], MEMORY, jnp.nan)
    params = made(net, (X, MEMORY))
    mask = jnp.repeat(mask[:, None], 7, axis=1) if each_query else mask
    y = run(net, params, (X, memory, mask))
    assert jnp.allclose(y[0], run(net, params, (X, MEMORY[:, :2]))[0], atol=1e-5)
    assert jnp.allclose(y[1], params["out"]["b"], atol=1e-6)


# Bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"heads": 0}, "attention: heads must be a whole number of at least 1, got 0"),
        ({"heads": 4, "kv_heads": 3}, "3 kv_heads do not divide 4 heads"),
        ({"heads": 2, "kv_heads": 4}, "4 kv_heads do not divide 2 heads"),
        ({"heads": 3, "width": 16}, "3 heads do not divide a width of 16: take a divisor"),
        ({"heads": 2, "window": 0}, "attention: window must be a whole number"),
        ({"heads": 2, "capacity": -1, "causal": True}, "attention: capacity must be"),
        ({"heads": 2, "capacity": 8}, "a cache cannot hold later steps: take causal=True"),
        ({"heads": 2, "dropout": 1.0}, r"rate is the fraction dropped, in \[0, 1\)"),
        ({"heads": 2, "implementation": "flash"}, 'is "xla" or "cudnn", got'),
    ],
)
def test_bad_arguments_are_refused_when_built(arguments, message):
    with pytest.raises(ValueError, match=message):
        attention(**arguments)


def test_cudnn_drops_nothing(monkeypatch):
    library = jax.nn.dot_product_attention
    monkeypatch.setattr(
        jax.nn, "dot_product_attention", lambda *args, implementation: library(*args)
    )
    assert attention(2, implementation="cudnn")
    with pytest.raises(ValueError, match='"cudnn" does not support dropout'):
        attention(2, implementation="cudnn", dropout=0.1)


@pytest.mark.parametrize(
    ("net", "x", "message"),
    [
        (attention(3), X, "attention: 3 heads do not divide a width of 16"),
        (attention(2, width=6, rotary=rotary()), X, "rotary turns pairs.*got 3 of 3 a head"),
        (attention(2), X[0], r"attention takes \[batch, time, features\], got float32\[7,16\]"),
        (cross_attention(2), X, "cross_attention takes .queries, memory. or"),
        (cross_attention(3), (X, X), "cross_attention: 3 heads do not divide"),
    ],
)
def test_bad_shapes_are_refused_at_init(net, x, message):
    with pytest.raises(ValueError, match=message):
        net.init(jax.random.key(0), x)


def test_the_params_of_another_net_are_refused():
    params = made(attention(2))
    with pytest.raises(ValueError, match="attention takes params.*q_norm.*another net"):
        attention(2, qk_norm=True)(params, X)
    with pytest.raises(ValueError, match="dense has params for 16 features") as error:
        attention(2)(params, X[..., :8])
    assert "in attention.qkv (dense), input float32[2,7,8]" in error.value.__notes__


def test_without_a_batch_or_steps_there_is_nothing():
    for net in (attention(2, causal=True), unroll(attention(2, causal=True, capacity=7))):
        params = made(attention(2))
        assert net(params, X[:0]).shape == (0, 7, 16)
        assert net(params, X[:, :0]).shape == (2, 0, 16)
    net = cross_attention(2)
    params = made(net, (X, MEMORY))
    y = run(net, params, (X, MEMORY[:, :0]))
    assert jnp.allclose(y, jnp.broadcast_to(params["out"]["b"], X.shape), atol=1e-6)

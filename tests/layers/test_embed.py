import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxnn as nn
from jaxnn import core
from jaxnn.layers.embed import embedding, learned_positions, sinusoidal_positions
from tests import golden

pytestmark = pytest.mark.ordinary

TOKENS = jnp.array([[0, 3, 3], [6, 2, 0]])
NET = embedding(7, 4)
PARAMS, _ = NET.init(jax.random.key(0), TOKENS)
W = PARAMS["w"]


# Embedding


def test_a_token_is_its_row_of_the_table():
    assert (NET(PARAMS, TOKENS) == W[TOKENS]).all()
    assert (NET(PARAMS, TOKENS[0, 1]) == W[3]).all()


def test_features_become_logits_by_the_same_table(key):
    x = jax.random.normal(key, (2, 3, 4))
    assert jnp.allclose(NET(PARAMS, x), jnp.einsum("btf,vf->btv", x, W), atol=1e-6)


def test_called_twice_in_a_wire_it_is_tied(key):
    net = nn.wire(lambda f, t: f.embed(f.body(f.embed(t))), embed=NET, body=jnp.tanh)
    params, _ = net.init(key, TOKENS)
    assert list(params) == ["embed", "body"]
    logits = net(params, TOKENS)
    assert logits.shape == (2, 3, 7)
    assert jnp.allclose(logits, jnp.tanh(params["embed"]["w"][TOKENS]) @ params["embed"]["w"].T)


def test_the_gradient_adds_up_over_equal_tokens():
    gradient = jax.grad(lambda params: NET(params, TOKENS).sum())(PARAMS)["w"]
    assert gradient[:, 0].tolist() == [2, 0, 1, 2, 0, 0, 1]


def test_padding_is_zero_and_learns_nothing():
    net = embedding(7, 4, padding=3)
    params, _ = net.init(jax.random.key(0), TOKENS)
    assert (params["w"][3] == 0).all()
    params = {"w": jnp.ones((7, 4))}  # even if it were not zero any more
    y = net(params, TOKENS)
    assert (y[0, 1:] == 0).all()
    assert (net(params, y)[..., 3] == 0).all()

    def objective(params):
        y = net(params, TOKENS)
        return y.sum() + net(params, jnp.ones((2, 4))).sum()

    gradient = jax.grad(objective)(params)["w"]
    assert (gradient[3] == 0).all()
    assert (gradient[0] == 4).all()


@pytest.mark.parametrize("outside", [7, 1000, -1, -7, 2**31 - 1])
def test_a_token_outside_the_vocabulary_gives_nan(outside):
    tokens = TOKENS.at[0, 1].set(outside)
    for net in (NET, embedding(7, 4, padding=3)):
        y = jax.jit(net)(PARAMS, tokens)
        assert jnp.isnan(y[0, 1]).all()
        assert jnp.isfinite(y[1]).all()
        half = nn.with_dtype(net, jnp.bfloat16)
        assert jnp.isnan(half(PARAMS, tokens)[0, 1]).all()


def test_a_token_outside_the_vocabulary_makes_the_loss_nan():
    net = nn.wire(lambda f, t: f.head(f.embed(t)), embed=NET, head=nn.dense(2))
    params, _ = net.init(jax.random.key(0), TOKENS)
    assert jnp.isnan(jnp.mean(net(params, TOKENS.at[0, 0].set(-1)) ** 2))


@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.int8, jnp.uint16, jnp.uint32])
@pytest.mark.first(1)
def test_tokens_may_be_narrower_than_the_vocabulary(dtype):
    tokens = jnp.array([0, 103, 127], dtype)
    net = embedding(1000, 4, padding=999)  # 8 bits make 231 of it, or -25
    params, _ = net.init(jax.random.key(0), tokens)
    assert (net(params, tokens) == params["w"][jnp.array([0, 103, 127])]).all()
    if dtype == jnp.uint8:
        assert (net(params, jnp.array(231, dtype)) == params["w"][231]).all()


def test_logits_of_unit_features_have_unit_variance(key):
    params, _ = embedding(4096, 256).init(key, TOKENS)
    logits = embedding(4096, 256)(params, jax.random.normal(key, (16, 256)))
    assert abs(logits.var() - 1) < 0.05


def test_the_dtype_of_tokens_is_that_of_params_and_of_features_their_own():
    assert NET(PARAMS, TOKENS).dtype == jnp.float32
    assert NET(core.cast(PARAMS, jnp.bfloat16), TOKENS).dtype == jnp.bfloat16
    assert NET(PARAMS, jnp.ones((2, 4), jnp.bfloat16)).dtype == jnp.bfloat16


def test_bad_arguments_of_an_embedding_are_refused(key):
    for padding in (7, 100):
        with pytest.raises(ValueError, match=rf"padding {padding} is outside \[0, 7\)"):
            embedding(7, 4, padding=padding)
    with pytest.raises(ValueError, match="padding must be a whole number of at least 0"):
        embedding(7, 4, padding=-1)
    with pytest.raises(ValueError, match="vocabulary must be a whole number"):
        embedding(0, 4)
    with pytest.raises(TypeError, match="embedding takes integer tokens or floating features"):
        NET.init(key, jnp.ones((2, 3), bool))
    with pytest.raises(
        ValueError, match=r"floats of its width 4 .*got float32\[2,3\].*cast tokens"
    ):
        NET(PARAMS, jnp.ones((2, 3)))
    for net in (NET, nn.serial(NET)):
        with pytest.raises(ValueError, match="params of another net"):
            net((nn.dense(2).init(key, jnp.ones((2, 4)))[0],) if net is not NET else (), TOKENS)
    with pytest.raises(ValueError, match=r"embedding has a table float32\[8,4\], not \[7,4\]"):
        NET({"w": jnp.ones((8, 4))}, TOKENS)


# Positions


def run(net, params, x, *chunks):
    """The outputs of a cell over chunks of these lengths, joined, and its last carry."""
    carry, parts, start = net.carry(params, x), [], 0
    for length in chunks:
        chunk = x[:, start : start + length]
        (carry, y), _ = jax.jit(net.apply)(params, (), (carry, chunk))
        parts.append(y)
        start += length
    return jnp.concatenate(parts, axis=1), carry


def test_learned_positions_add_their_row(key):
    net, x = learned_positions(6), jnp.ones((2, 5, 4))
    params, _ = net.init(key, x)
    y, carry = run(net, params, x, 5)
    assert jnp.allclose(y, x + params["w"][None, :5], atol=1e-6)
    assert carry.dtype == jnp.int32
    assert carry.tolist() == [5, 5]


def test_sinusoidal_positions_are_sines_and_cosines_in_turn():
    x = jnp.zeros((1, 50, 8))
    y, _ = run(sinusoidal_positions(base=100.0), (), x, 50)
    t = np.arange(50.0)
    for i in range(4):
        angle = t / 100 ** (2 * i / 8)
        assert np.abs(y[0, :, 2 * i] - np.sin(angle)).max() < 1e-5
        assert np.abs(y[0, :, 2 * i + 1] - np.cos(angle)).max() < 1e-5


@pytest.mark.parametrize("net", [learned_positions(8), sinusoidal_positions()])
def test_rows_may_stand_at_different_positions(net, key):
    x = jnp.zeros((2, 8, 4))
    params, _ = net.init(key, x)
    whole, _ = run(net, params, x, 8)
    (carry, y), _ = net.apply(params, (), (jnp.array([1, 5], jnp.int32), x[:, :3]))
    assert jnp.allclose(y[0], whole[0, 1:4], atol=1e-6)
    assert jnp.allclose(y[1], whole[0, 5:8], atol=1e-6)
    assert carry.tolist() == [4, 8]


def test_positions_beyond_the_length_give_nan(key):
    net, x = learned_positions(6), jnp.ones((2, 8, 4))
    params, _ = net.init(key, x[:, :6])
    y, _ = run(net, params, x, 4, 4)
    assert jnp.isfinite(y[:, :6]).all()
    assert jnp.isnan(y[:, 6:]).all()


def test_a_chunk_longer_than_the_length_is_refused(key):
    net, x = learned_positions(6), jnp.ones((2, 7, 4))
    with pytest.raises(ValueError, match="of length 6 .*at most 6 steps of width 4"):
        net.init(key, x)
    params, _ = net.init(key, x[:, :6])
    with pytest.raises(ValueError, match="of length 6 .*at most 6 steps of width 4"):
        run(net, params, x, 7)
    with pytest.raises(ValueError, match="at most 6 steps of width 4"):
        run(net, params, jnp.ones((2, 6, 8)), 6)


@pytest.mark.parametrize("net", [learned_positions(8), sinusoidal_positions()])
def test_sequences_of_another_rank_are_refused(net, key):
    for x in (jnp.ones((8, 4)), jnp.ones((2, 8, 4, 4))):
        with pytest.raises(
            ValueError, match=r"positions takes \[batch, time, width\], got float32"
        ):
            net.init(key, x)
    with pytest.raises(TypeError, match="positions takes floating features"):
        net.init(key, jnp.ones((2, 8, 4), jnp.int32))


def test_bad_arguments_of_positions_are_refused(key):
    with pytest.raises(ValueError, match=r"even width.*got float32\[2,8,5\]"):
        sinusoidal_positions().init(key, jnp.ones((2, 8, 5)))
    for base in (1, 0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="base must be above 1"):
            sinusoidal_positions(base=base)
    with pytest.raises(ValueError, match="length must be a whole number"):
        learned_positions(0)


# Against PyTorch


@pytest.mark.parametrize("name", golden.names("embed"))
def test_embeddings_are_those_of_pytorch(name):
    net = embedding(7, 4, padding=3 if name == "padding" else None)

    def ours(inputs):
        call = functools.partial(net, {"w": inputs["w"]})
        y = call(inputs["tokens"])
        return call(jnp.tanh(y)) if name == "tied" else y

    golden.check(golden.load("embed", name), ours)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    shape=st.lists(st.integers(1, 4), max_size=3),
    vocabulary=st.integers(1, 9),
    width=st.integers(1, 5),
    padded=st.booleans(),
    data=st.data(),
)
def test_random_embeddings_are_those_of_pytorch(shape, vocabulary, width, padded, data):
    torch = pytest.importorskip("torch", reason="pip install -e '.[peers]'")
    padding = data.draw(st.integers(0, vocabulary - 1)) if padded else None
    rng = np.random.default_rng(0)
    tokens, w = rng.integers(0, vocabulary, shape), rng.normal(size=(vocabulary, width))
    if padded:
        w[padding] = 0
    weigh = rng.normal(size=(*shape, width))
    leaf = torch.tensor(w, requires_grad=True)
    y = torch.nn.functional.embedding(torch.tensor(tokens), leaf, padding_idx=padding)
    (y * torch.tensor(weigh)).sum().backward()
    net = embedding(vocabulary, width, padding=padding)
    with jax.enable_x64(True):

        def objective(w):
            found = net({"w": w}, jnp.asarray(tokens))
            return (found * weigh).sum(), found

        gradient, found = jax.jit(jax.grad(objective, has_aux=True))(jnp.asarray(w))
        assert np.abs(found - y.detach().numpy()).max() < 1e-12
        assert np.abs(gradient - leaf.grad.numpy()).max() < 1e-10

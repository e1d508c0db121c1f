"""Padding takes no part in what couples rows: it equals the same rows without padding."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnn as nn
from tests import parts

RNG = np.random.default_rng(0)
LENGTHS = np.array([5, 0, 2, 3])
MASK = np.arange(5)[None] < LENGTHS[:, None]
X = np.where(MASK[..., None], RNG.normal(size=(4, 5, 8)) + 3, np.nan).astype(np.float32)
ROWS = X[MASK]  # the valid steps alone
PAIR = jnp.asarray(X), jnp.asarray(MASK)


def begin(net, x):
    return net.init(jax.random.key(0), x)


@pytest.mark.parametrize("train", [False, True])
def test_batch_norm_has_the_statistics_of_the_valid_steps(train):
    net = nn.batch_norm(momentum=0.5)
    params, state = begin(net, PAIR)
    y, after = net.apply(params, state, PAIR, train=train)
    alone, expected = net.apply(params, state, ROWS, train=train)
    np.testing.assert_allclose(np.asarray(y)[MASK], alone, rtol=1e-4, atol=1e-5)
    assert np.isfinite(y).all()
    for name, leaf in expected.items():
        np.testing.assert_allclose(after[name], leaf, rtol=1e-5)
    if train:
        wide = ROWS.astype(np.float64)
        np.testing.assert_allclose(after["mean"], 0.5 * wide.mean(axis=0), rtol=1e-5)
        expected = 0.5 + 0.5 * wide.var(axis=0, ddof=1)
        np.testing.assert_allclose(after["variance"], expected, rtol=1e-5)


@pytest.mark.parametrize("lengths", [[0, 0, 0, 0], [1, 0, 0, 0]])
def test_fewer_than_two_valid_steps_leave_the_statistics_as_they_are(lengths):
    net = nn.batch_norm()
    pair = jnp.nan_to_num(X), jnp.arange(5)[None] < jnp.array(lengths)[:, None]
    params, state = begin(net, pair)
    y, after = net.apply(params, state, pair, train=True)
    assert np.isfinite(y).all()
    for name, leaf in state.items():
        assert (after[name] == leaf).all()


def test_a_batch_of_one_value_is_normalised_by_the_running_statistics():
    net = nn.batch_norm()
    params, _ = begin(net, ROWS)
    state = {"mean": ROWS.mean(axis=0), "variance": ROWS.var(axis=0)}
    y, after = net.apply(params, state, ROWS[:1], train=True)
    expected = (ROWS[:1] - state["mean"]) / np.sqrt(state["variance"] + 1e-5)
    np.testing.assert_allclose(y, expected, rtol=1e-4)
    assert after is state


def test_a_ragged_batch_of_one_row_does_not_end_a_run():
    x = RNG.normal(size=(65, 4)).astype(np.float32)
    net, optimizer = nn.serial(nn.batch_norm(), nn.dense(1)), optax.sgd(0.01)
    step = nn.training.step(nn.training.supervised(net, nn.mse), optimizer)
    train = nn.training.init_train(net, optimizer, jax.random.key(0), x)
    batches = [(x[:64], x[:64, :1]), (x[64:], x[64:, :1])]
    end = nn.training.fit(step, train, batches, steps=200).train
    expected = x[:64].astype(np.float64).var(axis=0, ddof=1)
    np.testing.assert_allclose(end.state[0]["variance"], expected, rtol=1e-3)


@pytest.mark.parametrize("options", [{}, {"capacity": 1.0}, {"shared": 1}, {"form": "ragged"}])
@pytest.mark.parametrize("train", [False, True])
@pytest.mark.first(3)
def test_padding_takes_no_expert_and_counts_in_no_loss(options, train):
    net = nn.mixture.sparse_mixture(16, 4, 2, **options)
    params, state = begin(net, ROWS)
    y, after = net.apply(params, state, PAIR, train=train)
    alone, expected = net.apply(params, state, ROWS, train=train)
    assert (np.asarray(y)[~MASK] == 0).all()
    if "capacity" not in options or not train:
        np.testing.assert_allclose(np.asarray(y)[MASK], alone, rtol=1e-4, atol=1e-5)
    for name in ("balance", "z", "usage"):
        found, wanted = getattr(after, name), getattr(expected, name)
        np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_padding_first_does_not_flood_the_experts():
    x = jnp.concatenate([jnp.zeros((6, 1, 8)), RNG.normal(size=(6, 1, 8))], axis=1)
    mask = jnp.array([[False, True]] * 6)
    net = nn.mixture.sparse_mixture(16, 2, 1, capacity=1.0)  # room for six rows of twelve an expert
    params, state = begin(net, x)
    _, after = net.apply(params, state, (x, mask), train=True)
    assert after.dropped == 0


def test_a_code_book_follows_the_valid_vectors():
    net = nn.autoencoder.vector_quantizer(4, decay=0.5)
    params, state = begin(net, ROWS)
    found, after = net.apply(params, state, PAIR, train=True)
    alone, expected = net.apply(params, state, ROWS, train=True)
    for name, leaf in expected.items():
        np.testing.assert_allclose(after[name], leaf, rtol=1e-5)
    assert (np.asarray(found.index)[MASK] == alone.index).all()
    squares = np.square(ROWS - np.asarray(alone.code)).mean(axis=1)
    first = [squares[MASK[:i].sum() :][: MASK[i].sum()] for i in range(4)]
    expected = [part.mean() if len(part) else 0.0 for part in first]
    np.testing.assert_allclose(found.commitment, expected, rtol=1e-4)


@pytest.mark.parametrize("layer", [nn.batch_norm(), nn.mixture.sparse_mixture(16, 4)])
def test_stack_and_unroll_hand_the_mask_on(layer):
    net = nn.unroll(nn.stack(nn.gru(8), layer))
    x = jnp.nan_to_num(X)
    params, state = begin(net, (x, jnp.asarray(MASK)))
    other = jnp.where(MASK[..., None], x, 7.0)
    _, after = net.apply(params, state, (x, jnp.asarray(LENGTHS)), train=True)
    _, same = net.apply(params, state, (other, jnp.asarray(LENGTHS)), train=True)
    jax.tree.map(np.testing.assert_array_equal, after, same)


def test_stack_refuses_a_net_that_hides_such_a_layer():
    for layer in (
        nn.serial(nn.dense(8), nn.batch_norm()),
        nn.spiking.time_distributed(nn.batch_norm()),
    ):
        net = nn.unroll(nn.stack(nn.gru(8), layer))
        params, state = begin(net, jnp.nan_to_num(X))
        with pytest.raises(TypeError, match="holds a batch_norm, which must see the mask"):
            net.apply(params, state, (jnp.nan_to_num(X), jnp.asarray(LENGTHS)))


@pytest.mark.parametrize(
    "layer",
    [nn.attention(2), parts.block(2, 8), parts.transformer(2, 2, 8, alibi=True)],
    ids=["attention", "block", "transformer"],
)
@pytest.mark.first(1)
def test_attention_in_a_stack_does_not_see_padding(layer):
    net = nn.unroll(nn.stack(nn.gru(8), layer, nn.dense(2)))
    x = jnp.nan_to_num(X)
    params, _ = begin(net, x)
    for row, length in enumerate(LENGTHS):
        if length:
            alone = net(params, x[row : row + 1, :length])
            padded = net(params, (x, jnp.asarray(LENGTHS)))[row : row + 1, :length]
            np.testing.assert_allclose(padded, alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layer", [nn.group_norm(2), nn.instance_norm()])
def test_a_norm_along_time_in_a_stack_refuses_padding(layer):
    net = nn.unroll(nn.stack(nn.gru(8), layer))
    params, _ = begin(net, jnp.nan_to_num(X))
    with pytest.raises(ValueError, match="norm takes no mask, since padding would take part"):
        net(params, (jnp.nan_to_num(X), jnp.asarray(LENGTHS)))

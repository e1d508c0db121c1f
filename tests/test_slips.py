# pyright: reportArgumentType=false
"""The likeliest slips get one clear sentence that names the place and the mend."""

import jax
import jax.numpy as jnp
import pytest

import jaxnn as nn

X = jnp.ones((4, 3))
SEQUENCE = jnp.ones((4, 5, 3))


def test_a_cell_that_is_called_says_how_it_runs():
    cell = nn.gru(8)
    params, _ = cell.init(jax.random.key(0), SEQUENCE)
    with pytest.raises(TypeError, match=r"gru is a cell.*nn\.unroll\(cell\)\(params, x\)"):
        cell(params, SEQUENCE)


@pytest.mark.parametrize(
    "key", [0, None, "seed", 1.5, jnp.zeros(2), jax.random.split(jax.random.key(0))]
)
@pytest.mark.parametrize(
    "net",
    [nn.dense(2), nn.serial(nn.dense(2), jnp.tanh), nn.repeat(nn.dense(3), 2), nn.batch_norm()],
    ids=["dense", "serial", "repeat", "batch_norm"],
)
def test_what_is_no_key_is_refused(net, key):
    with pytest.raises(TypeError, match=r"key must be one of jax\.random\.key\(seed\), got"):
        net.init(key, X)


def test_keys_of_both_kinds_are_taken():
    for key in (jax.random.key(0), jax.random.PRNGKey(0), jax.random.key(0, impl="rbg")):
        nn.dense(2).init(key, X)


def test_a_layer_of_ones_own_that_forgets_its_state_is_told():
    forgetful = nn.Layer(lambda key, x: (), lambda params, state, x, *, key=None, train=False: x)
    with pytest.raises(TypeError, match=r"init of .* must return \(params, state\), got tuple"):
        forgetful.init(jax.random.key(0), X)
    with pytest.raises(TypeError, match=r"apply of .* must return \(y, state\), got Array"):
        forgetful((), X)


@pytest.mark.parametrize("cell", [nn.gru(32), 10, None])
def test_rnn_takes_a_factory_of_cells(cell):
    with pytest.raises(TypeError, match=r"rnn takes a factory of cells, .*rnn\(nn\.gru, 32\)"):
        nn.rnn(cell, 10)


def test_a_map_takes_a_grid():
    with pytest.raises(TypeError, match=r"takes a grid, such as nn\.som\.Grid\(6, 6\), got 6"):
        nn.som.self_organizing_map(6, 6)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Linear", r"it is jaxnn\.dense\(width\)"),
        ("relu", r"it is jax\.nn\.relu"),
        ("Softmax", r"it is jax\.nn\.softmax"),
        ("cross_entropy", r"optax\.softmax_cross_entropy_with_integer_labels"),
        ("CrossEntropyLoss", r"optax\.softmax_cross_entropy_with_integer_labels"),
        ("Conv2d", r"jaxnn\.conv\(width, size\)"),
        ("adam", r"optax\.adam"),
        ("Sequential", r"jaxnn\.serial"),
        ("batchnorm", r"jaxnn\.batch_norm"),
        ("attenton", "did you mean attention"),
        ("zzzz", r"jaxnn has no 'zzzz'\."),
    ],
)
def test_a_name_of_another_library_says_where_it_is(name, said):
    with pytest.raises(AttributeError, match=said):
        getattr(nn, name)
    assert not hasattr(nn, name)


def test_all_public_names_are_there():
    assert [name for name in nn.__all__ if not hasattr(nn, name)] == []


@pytest.mark.parametrize(
    "make",
    [
        lambda n: nn.dense(n),
        lambda n: nn.conv(2, 3, padding=n),
        lambda n: nn.upsample(n),
        lambda n: nn.max_pool(n),
        lambda n: nn.embedding(n, 2),
        lambda n: nn.gru(n),
        lambda n: nn.repeat(nn.dense(3), n),
    ],
)
@pytest.mark.parametrize("n", [10**12, -1, 0.5, "3", None, True, float("nan")])
def test_a_size_that_is_none_is_refused_when_the_layer_is_made(make, n):
    with pytest.raises((ValueError, TypeError)) as raised:
        make(n)
    assert "whole number" in str(raised.value) or "is one of" in str(raised.value)
    assert len(str(raised.value)) < 200

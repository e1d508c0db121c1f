import dataclasses
import functools

import jax
import jax.numpy as jnp
import pytest

import jaxnn as nn
from jaxnn import core
from tests.small import counter, decay, noise

X = jnp.ones((8, 4))


def test_a_layer_is_frozen_and_hashed_by_identity():
    net = nn.dense(2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        net.init = None  # pyright: ignore
    assert hash(net) == hash(net)
    assert net != nn.dense(2)


def test_jit_of_a_net_compiles_once(key):
    traces = []
    net = nn.serial(nn.dense(2), lambda x: (traces.append(1), x)[1])
    params, _ = net.init(key, X)
    traces.clear()
    for x in (X, X + 1):
        jax.jit(net)(params, x)
    assert len(traces) == 1


def test_a_call_gives_the_output_alone(key):
    net = nn.dense(2)
    params, state = net.init(key, X)
    assert state == ()
    assert (net(params, X) == net.apply(params, state, X)[0]).all()


def test_a_call_of_a_net_with_state_says_to_use_apply(key):
    net = nn.serial(nn.dense(2), counter())
    params, _ = net.init(key, X)
    with pytest.raises(ValueError, match=r"counter keeps state.*net\.apply"):
        net(params, X)


def test_a_call_never_loses_state():
    net = core.Layer(lambda key, x: ((), ()), lambda p, s, x, *, key=None, train=False: (x, x))
    with pytest.raises(ValueError, match=r"returned state, which a call would lose"):
        net((), X)


def test_a_misspelt_keyword_fails(key):
    net = nn.dense(2)
    params, state = net.init(key, X)
    with pytest.raises(TypeError, match="trian"):
        net(params, X, trian=True)  # pyright: ignore
    with pytest.raises(TypeError, match="trian"):
        net.apply(params, state, X, trian=True)


@pytest.mark.parametrize("make", [lambda: nn.dense(2), lambda: nn.serial(nn.dense(2))])
def test_a_traced_train_is_refused_with_the_mend(key, make):
    net = make()
    params, _ = net.init(key, X)
    with pytest.raises(TypeError, match="train must be a Python bool.*static_argnames"):
        jax.jit(lambda train: net(params, X, train=train))(True)


def test_train_may_be_a_static_argument(key):
    net = nn.serial(nn.dense(2), noise())
    params, _ = net.init(key, X)
    call = jax.jit(net, static_argnames="train")
    assert not (call(params, X, key=key, train=True) == call(params, X)).all()


def test_a_missing_key_is_an_error_only_in_a_layer_that_draws(key):
    params, _ = nn.dense(2).init(key, X)
    nn.dense(2)(params, X, train=True)
    noise()((), X)
    with pytest.raises(ValueError, match=r"noise draws at random.*pass key="):
        noise()((), X, train=True)


def test_what_is_no_layer_is_refused():
    with pytest.raises(TypeError, match="3 is not a layer"):
        nn.lift(3)


def test_a_factory_without_its_parentheses_is_refused():
    with pytest.raises(TypeError, match=r"dense makes layers and is none itself.*dense\(\.\.\.\)"):
        nn.serial(nn.dense, jax.nn.relu)


def test_a_function_that_returns_a_layer_is_refused_when_it_runs(key):
    net = nn.serial(lambda x: nn.dense(2))
    with pytest.raises(TypeError, match="returned Layer, not arrays"):
        net.init(key, X)


def test_names_are_those_of_the_factories():
    assert nn.dense(2).name == "dense"
    assert nn.mlp(2, 2).name == "mlp"
    assert nn.lift(jnp.tanh).name == "tanh"
    assert nn.lift(functools.partial(jax.nn.gelu, approximate=False)).name == "gelu"
    assert decay().name == "decay"


def test_describe_shows_dtypes_and_shapes():
    assert core.describe(X) == "float32[8,4]"
    assert core.describe((X, {"a": jnp.ones(2, int)})) == "(float32[8,4], {a: int32[2]})"


def test_params_follow_the_examples_floats():
    half, whole = jnp.ones(2, jnp.bfloat16), jnp.ones(2, jnp.int32)
    assert core.param_dtype(half) == jnp.float32
    assert core.param_dtype(whole) == jnp.float32
    with jax.enable_x64(True):
        assert core.param_dtype((whole, jnp.ones(2, jnp.float64))) == jnp.float64


def test_cast_leaves_integers_alone():
    tree = core.cast({"a": X, "b": jnp.arange(3), "c": jax.random.key(0)}, jnp.bfloat16)
    assert tree["a"].dtype == jnp.bfloat16
    assert tree["b"].dtype == jnp.int32


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "8", None])
def test_a_width_is_a_whole_number(value):
    with pytest.raises((TypeError, ValueError), match="dense: width must be a whole number"):
        nn.dense(value)


def test_same_refuses_what_would_broadcast():
    core.check_same_spec(X, X + 1, "here")
    for other in (X[:1], X[..., None], X.astype(jnp.bfloat16), (X,)):
        with pytest.raises(ValueError, match="here: .* against .*make them equal"):
            core.check_same_spec(X, other, "here")


def test_images_of_bytes_are_refused_with_their_scale():
    with pytest.raises(TypeError, match=r"uint8\[2,4\]: cast with .*float32\) / 255"):
        core.check_features(jnp.ones((2, 4), jnp.uint8), "conv")

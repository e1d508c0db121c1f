import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxnn as nn
from jaxnn import core
from jaxnn.layers.weight_reparam import spectral_norm, weight_norm
from tests import golden
from tests.small import counter, decay

pytestmark = pytest.mark.ordinary

X = jax.random.normal(jax.random.key(1), (8, 4))


def weight():
    """A layer whose output is its weight."""

    def init(key, x):
        return {"w": jax.random.normal(key, x.shape, x.dtype)}, ()

    def apply(params, state, x, *, key=None, train=False):
        return params["w"], ()

    return core.Layer(init, apply)


def largest(w):
    """The largest singular value of a weight with outputs last."""
    return np.linalg.norm(np.asarray(w, np.float64).reshape(-1, w.shape[-1]), 2)


# Spectral norm


def test_the_weight_is_divided_by_its_largest_singular_value(key):
    net = spectral_norm(weight(), steps=50)
    for shape in ((4, 4), (2, 3, 4, 5)):
        params, state = net.init(key, jnp.ones(shape))
        w, _ = net.apply(params, state, jnp.ones(shape), train=True)
        assert abs(largest(w) - 1) < 1e-5
        assert jnp.allclose(w * largest(params["w"]), params["w"], rtol=1e-4)


def test_init_has_iterated_already(key):
    net = spectral_norm(nn.dense(16, bias=False))
    params, state = net.init(key, X)
    y, _ = net.apply(params, state, X)
    assert jnp.allclose(y * largest(params["w"]), X @ params["w"], rtol=0.02, atol=0.02)


def test_in_training_the_iteration_goes_on_and_in_evaluation_it_rests(key):
    net = spectral_norm(nn.dense(16))
    apply = jax.jit(net.apply, static_argnames="train")
    params, state = net.init(key, X)
    params = jax.tree.map(lambda leaf: leaf[..., ::-1], params)  # another weight by now
    _, rested = apply(params, state, X)
    chex.assert_trees_all_equal(rested, state)
    for _ in range(50):
        y, state = apply(params, state, X, train=True)
    again, _ = apply(params, state, X)
    assert jnp.allclose(y, again, atol=1e-6)
    assert jnp.allclose((y - params["b"]) * largest(params["w"]), X @ params["w"], atol=1e-4)


def test_params_are_those_of_the_layer_and_its_state_lies_beside_the_vectors(key):
    net = spectral_norm(nn.serial(nn.dense(8), counter(), nn.dense(2)))
    params, state = net.init(key, X)
    assert jax.tree.structure(params) == jax.tree.structure(nn.mlp(8, 2).init(key, X)[0])
    assert [pair["u"].shape + pair["v"].shape for pair in state["vectors"]] == [(8, 4), (2, 8)]
    for calls in (1, 2):
        _, state = net.apply(params, state, X, train=True)
        assert state["layer"] == ((), calls, ())


def test_no_gradient_passes_through_the_vectors(key):
    # With u and v held, the derivative of w / sigma is (dw - w (v . dw u) / sigma) / sigma.
    net = spectral_norm(weight())
    params, state = net.init(key, jnp.ones((5, 4)))
    w, (dw, weigh) = params["w"], jax.random.normal(key, (2, 5, 4))

    def objective(w):
        y, after = net.apply({"w": w}, state, w, train=True)
        return (y * weigh).sum(), after

    gradient, after = jax.grad(objective, has_aux=True)(w)
    u, v = after["vectors"][0]["u"], after["vectors"][0]["v"]
    sigma = v @ w @ u
    by_hand = ((dw - w * (v @ dw @ u) / sigma) / sigma * weigh).sum()
    assert jnp.allclose((gradient * dw).sum(), by_hand, rtol=1e-4)


def test_weights_of_zeros_stay_and_the_iteration_outlives_them(key):
    net = spectral_norm(nn.dense(4, w_init=jax.nn.initializers.zeros))
    apply = jax.jit(net.apply, static_argnames="train")
    params, state = net.init(key, X)
    y, state = apply(params, state, X, train=True)
    gradient = jax.grad(lambda p: apply(p, state, X, train=True)[0].sum())(params)
    assert (y == 0).all()
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves((gradient, state)))
    params["w"] = 3 * jnp.eye(4)
    for _ in range(50):
        y, state = apply(params, state, X, train=True)
    assert jnp.allclose(y, X, atol=1e-5)


# Weight norm


@pytest.mark.parametrize("inner", [nn.dense(3), nn.mlp(16, 8), nn.serial(nn.dense(3), counter())])
def test_the_layer_is_at_first_as_it_was(inner, key):
    net = weight_norm(inner)
    params, state = net.init(key, X)
    plain, _ = inner.init(key, X)
    y, _ = net.apply(params, state, X)
    z, _ = inner.apply(plain, state, X)
    assert jnp.allclose(y, z, atol=1e-6)


def test_g_is_the_length_of_every_output_whatever_the_direction(key):
    net = weight_norm(weight())
    params, _ = net.init(key, jnp.ones((2, 3, 4, 5)))
    g, v = jnp.arange(5.0) - 2, params["w"]["v"]
    w = net({"w": {"g": g, "v": 7 * v}}, X)
    lengths = jnp.sqrt((v**2).sum((0, 1, 2)))
    assert jnp.allclose(w, v * (g / lengths), atol=1e-6)


def test_zero_weights_have_finite_gradients(key):
    net = weight_norm(nn.dense(4, w_init=jax.nn.initializers.zeros))
    params, _ = net.init(key, X)
    gradient = jax.grad(lambda p: net(p, X).sum())(params)
    assert (net(params, X) == 0).all()
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


# Both


@pytest.mark.parametrize("wrap", [spectral_norm, weight_norm])
def test_around_a_cell_it_is_a_cell(wrap, key):
    net = wrap(nn.serial(nn.dense(4), decay()))
    x = jnp.ones((8, 3, 4))
    params, state = net.init(key, x)
    assert isinstance(net, nn.Cell)
    assert net.name == wrap.__name__
    (_, y), _ = net.apply(params, state, (net.carry(params, x), x), train=True)
    assert y.shape == x.shape


@pytest.mark.parametrize("wrap", [spectral_norm, weight_norm])
def test_weights_are_chosen_by_path(wrap, key):
    seen = []
    net = wrap(nn.mlp(8, 2), where=lambda path: seen.append(path) or path == "2/w")
    params, state = net.init(key, X)
    assert set(seen) == {"0/b", "0/w", "2/b", "2/w"}
    changed = [state["vectors"]] if wrap is spectral_norm else params[2]["w"]
    assert len(changed) == (1 if wrap is spectral_norm else 2)
    assert params[0]["w"].shape == (4, 8)


@pytest.mark.parametrize("wrap", [spectral_norm, weight_norm])
def test_it_is_computed_in_float32_and_passed_on_in_half_precision(wrap, key):
    seen = []

    def spy():
        def apply(params, state, x, *, key=None, train=False):
            seen.append(params["w"].dtype)
            return x @ params["w"], ()

        return core.Layer(nn.dense(4, bias=False).init, apply)

    net = nn.with_dtype(wrap(spy()), jnp.bfloat16)
    params, state = net.init(key, X)
    _, after = net.apply(params, state, X, train=True)
    assert set(seen) == {jnp.dtype(jnp.bfloat16)}
    assert {leaf.dtype for leaf in jax.tree.leaves((params, after))} == {jnp.dtype(jnp.float32)}


@pytest.mark.parametrize("wrap", [spectral_norm, weight_norm])
def test_a_layer_without_weights_is_refused(wrap, key):
    with pytest.raises(ValueError, match=rf"{wrap.__name__} found no weight.*\['a'\].*where="):
        wrap(decay()).init(key, jnp.ones((8, 3, 4)))
    with pytest.raises(ValueError, match=r"two axes at least, got float32\[4\] among"):
        wrap(decay(), where=lambda path: path == "a").init(key, jnp.ones((8, 3, 4)))


def test_what_is_of_another_net_is_refused(key):
    params, state = nn.dense(3).init(key, X)
    with pytest.raises(ValueError, match=r"weight_norm takes {'g', 'v'}.*another net"):
        weight_norm(nn.dense(3)).apply(params, state, X)
    with pytest.raises(ValueError, match=r"spectral_norm keeps state.*net\.apply"):
        spectral_norm(nn.dense(3))(params, X)
    with pytest.raises(ValueError, match="steps must be a whole number of at least 1"):
        spectral_norm(nn.dense(3), steps=0)


# Against PyTorch


def ours(name):
    title, _, how = name.partition("-")
    if title == "weight_norm":
        return lambda inputs: weight_norm(weight())({"w": inputs}, X)

    def spectral(inputs):
        state = {"vectors": ({"u": inputs["u"], "v": inputs["v"]},), "layer": ()}
        net = spectral_norm(weight(), steps=3 if how == "steps" else 1)
        w, state = net.apply({"w": inputs["w"]}, state, X, train=how != "evaluation")
        return w, state["vectors"][0]

    return spectral


@pytest.mark.parametrize("name", golden.names("reparam"))
def test_reparametrizations_are_those_of_pytorch(name):
    golden.check(golden.load("reparam", name), ours(name))


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    kernel=st.lists(st.integers(1, 3), max_size=2),
    inputs=st.integers(1, 5),
    outputs=st.integers(1, 5),
    steps=st.integers(1, 4),
    train=st.booleans(),
)
def test_random_weights_are_divided_as_by_pytorch(kernel, inputs, outputs, steps, train):
    torch = pytest.importorskip("torch", reason="pip install -e '.[peers]'")
    made = [torch.nn.Linear, torch.nn.Conv1d, torch.nn.Conv2d][len(kernel)]
    module = made(inputs, outputs, *([tuple(kernel)] if kernel else [])).double()
    module = torch.nn.utils.parametrizations.spectral_norm(module, n_power_iterations=steps)
    module = module.train(train)
    held = module.parametrizations.weight
    raw, u, v = (t.detach().clone().numpy() for t in (held.original, held[0]._u, held[0]._v))
    expected = np.moveaxis(module.weight.detach().numpy(), 0, -1)
    with jax.enable_x64(True):
        w = jnp.moveaxis(jnp.asarray(raw), 0, -1)
        # Inputs come before the kernel there and after it here.
        state = {"vectors": ({"u": jnp.asarray(u), "v": jnp.asarray(v)},), "layer": ()}
        net = spectral_norm(weight(), steps=steps)
        found, _ = jax.jit(net.apply, static_argnames="train")({"w": w}, state, w, train=train)
        assert np.abs(found - expected).max() < 1e-10

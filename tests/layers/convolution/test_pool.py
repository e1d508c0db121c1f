import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnn.layers.convolution import pool, window
from jaxnn.layers.convolution.pool import (
    adaptive_avg_pool,
    adaptive_max_pool,
    avg_pool,
    global_avg_pool,
    global_max_pool,
    max_pool,
)
from tests import golden

pytestmark = pytest.mark.ordinary

X = jax.random.normal(jax.random.key(1), (2, 7, 6, 3))
TIES = jnp.round(X).clip(0, 1)  # many equal values in every window
LINE = jnp.array([1.0, 3.0, 2.0, 0.0, 5.0])[None, :, None]


def line(net, x=LINE):
    return net((), x)[0, :, 0].tolist()


# Values


def test_a_pool_leaves_out_what_fills_no_window():
    assert line(max_pool(2)) == [3, 2]
    assert line(avg_pool(2)) == [2, 1]


def test_windows_overlap_where_the_stride_is_smaller():
    assert line(max_pool(3, stride=1)) == [3, 3, 5]
    assert line(avg_pool(3, stride=2)) == pytest.approx([2, 7 / 3])


def test_a_stride_larger_than_the_window_leaves_gaps():
    assert line(max_pool(2, stride=3)) == [3, 5]


def test_padding_is_never_the_largest_and_is_counted_or_not():
    assert line(max_pool(2, padding="SAME"), LINE - 9) == [-6, -7, -4]
    assert line(max_pool(3, stride=2, padding="SYMMETRIC"), LINE - 9) == [-6, -6, -4]
    assert line(avg_pool(2, padding="SAME")) == [2, 1, 2.5]
    assert line(avg_pool(2, padding="SAME", count_include_pad=False)) == [2, 1, 5]
    assert line(avg_pool(3, padding=((1, 0),), count_include_pad=False)) == pytest.approx(
        [2, 7 / 3]
    )


def test_causal_windows_end_at_their_place():
    assert line(max_pool(2, stride=1, padding="CAUSAL")) == [1, 3, 3, 2, 5]


def test_global_pools_leave_one_value_a_channel():
    assert jnp.array_equal(global_max_pool()((), X), X.max((1, 2)))
    assert jnp.allclose(global_avg_pool()((), X), X.mean((1, 2)), atol=1e-6)
    assert global_max_pool(keepdims=True)((), X).shape == (2, 1, 1, 3)
    assert global_avg_pool(keepdims=True)((), X[0]).shape == (7, 1, 3)


def test_adaptive_pools_give_the_size_they_are_asked_for():
    assert adaptive_max_pool((5, 2))((), X).shape == (2, 5, 2, 3)
    assert line(adaptive_max_pool(2)) == [3, 5]
    assert line(adaptive_avg_pool(2)) == pytest.approx([2, 7 / 3])
    assert jnp.allclose(adaptive_avg_pool(1)((), X)[:, 0, 0], X.mean((1, 2)), atol=1e-6)
    assert jnp.array_equal(adaptive_max_pool((7, 6))((), X), X)


@pytest.mark.parametrize(
    "net", [max_pool(2), max_pool(3, stride=1), global_max_pool(), adaptive_max_pool(2)]
)
@pytest.mark.first(1)
def test_the_first_of_equals_gets_the_whole_gradient(net):
    gradient = jax.jit(jax.grad(lambda x: net((), x).sum()))(jnp.ones((1, 5, 5, 1)))
    assert gradient[0, 0, 0, 0] >= 1
    assert jnp.array_equal(gradient, jnp.round(gradient))
    assert gradient.sum() == net((), jnp.ones((1, 5, 5, 1))).size
    assert gradient[0, -1].sum() == 0


@pytest.mark.parametrize(
    "net", [max_pool(2), max_pool(2, stride=1), global_max_pool(), adaptive_max_pool(3)]
)
def test_what_is_no_number_stays_none(net):
    for place in range(4):
        y = net((), jnp.ones((1, 4, 1)).at[0, place, 0].set(jnp.nan))
        assert jnp.isnan(y).any()


@pytest.mark.parametrize(
    "net", [avg_pool(8), avg_pool(8, stride=4), global_avg_pool(), adaptive_avg_pool(3)]
)
def test_means_of_half_precision_are_summed_in_single(net):
    x = jnp.full((1, 640, 1), 1.0, jnp.bfloat16)
    assert (net((), x) == 1).all()
    assert net((), x).dtype == jnp.bfloat16


@pytest.mark.parametrize(
    "net",
    [max_pool(2), max_pool(2, stride=1), avg_pool(2), avg_pool(3, stride=1), adaptive_max_pool(3)],
)
@pytest.mark.first(1)
def test_an_empty_batch_gives_an_empty_batch(net):
    x = jnp.ones((0, 4, 4, 3))
    assert net((), x).shape[0] == 0
    assert jax.jit(jax.grad(lambda x: net((), x).sum()))(x).shape == x.shape
    assert global_max_pool()((), x).shape == global_avg_pool()((), x).shape == (0, 3)


# Forms


@pytest.mark.parametrize("x", [X, TIES], ids=["", "ties"])
@pytest.mark.parametrize(
    ("size", "stride", "pads"),
    [
        ((2, 3), (2, 3), ((0, 0), (0, 0))),
        ((3, 2), (1, 2), ((1, 1), (0, 1))),
        ((2, 2), (2, 2), ((1, 0), (0, 1))),
        ((1, 4), (2, 1), ((0, 0), (3, 2))),
    ],
)
def test_the_forms_of_a_maximum_agree(x, size, stride, pads):
    at = window.over(2, size, stride, 1)._replace(pads=pads)
    forms = [pool.max_by_places, pool.max_by_window]
    if size == stride:
        forms.append(lambda x, at: max_pool(size, padding=pads)((), x))

    @jax.jit
    def results(x):
        y = [f(x, at) for f in forms]
        c = jnp.cos(jnp.arange(y[0].size)).reshape(y[0].shape)
        one = [jax.grad(lambda x, f=f: jnp.sum(c * jnp.sin(f(x, at))))(x) for f in forms]
        return list(zip(y, one, strict=True))

    first, *others = results(x)
    for other in others:
        chex.assert_trees_all_close(first, other, rtol=1e-6, atol=1e-6)


def test_the_forms_of_a_mean_agree():
    at = window.over(2, (2, 3), (2, 3), 1)
    tiles = avg_pool((2, 3))((), X)
    assert jnp.allclose(pool.mean_by_window(X, at, True), tiles, atol=1e-6)
    assert jnp.allclose(pool.mean_by_window(X, at, False), tiles, atol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 13])
@pytest.mark.first(2)
def test_the_largest_pair_by_pair_is_the_maximum(n):
    x = jnp.arange(n * 2.0).reshape(n, 2) % 5
    value, gradient = jax.value_and_grad(lambda x: pool.largest(x, 0).sum())(x)
    assert value == x.max(0).sum()
    first = jax.nn.one_hot(jnp.argmax(x, 0), n, axis=0)
    assert jnp.array_equal(gradient, first)


# Bad input


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: max_pool(0), "max_pool: size must be a whole number of at least 1"),
        (lambda: max_pool(2, stride=-1), "max_pool: stride must be a whole number of at least 1"),
        (
            lambda: max_pool(2, padding="SYMMETRIC"),
            "max_pool: SYMMETRIC padding takes a size of odd",
        ),
        (lambda: avg_pool((2, 2), padding="CAUSAL"), "avg_pool: CAUSAL padding is for one axis"),
        (lambda: avg_pool(2, padding=-1), "avg_pool: padding must be a whole number of at least 0"),
        (lambda: avg_pool((2, 2), stride=(1,)), r"avg_pool got arguments for \[1, 2\] axes"),
        (lambda: adaptive_max_pool(0), "adaptive_max_pool: size must be a whole number"),
        (lambda: adaptive_avg_pool((2, 0)), "adaptive_avg_pool: size must be a whole number"),
    ],
)
def test_a_bad_argument_is_refused_when_the_layer_is_built(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("net", "shape", "message"),
    [
        (
            max_pool(5),
            (2, 4, 8, 3),
            r"max_pool: a window of \(5, 5\) is larger than its input float",
        ),
        (avg_pool(5), (2, 4, 3), r"avg_pool: a window of \(5,\) is larger"),
        (max_pool(2, padding=2), (2, 4, 3), r"max_pool: padding \(\(2, 2\),\) fills whole windows"),
        (
            max_pool((2, 2)),
            (2, 4, 3),
            "max_pool: window has 2 entries .2, 2., the input has 1 spat",
        ),
        (max_pool(2), (4, 3), "max_pool takes .batch, .space, channels. with 1 to 3 spatial axes"),
        (global_avg_pool(), (4, 3), "global_avg_pool takes .batch, .space, channels"),
        (global_max_pool(), (4, 0, 3), "global_max_pool takes at least one position"),
        (adaptive_avg_pool(2), (4, 0, 3), "adaptive_avg_pool takes at least one position"),
        (adaptive_max_pool((2, 2)), (4, 5, 3), "adaptive_max_pool: size has 2 entries"),
    ],
)
def test_a_bad_shape_is_refused_with_the_place(net, shape, message):
    with pytest.raises(ValueError, match=message):
        net((), jnp.ones(shape))


def test_inputs_that_are_no_floats_are_refused():
    for net in (max_pool(2), avg_pool(2), global_max_pool(), adaptive_avg_pool(2)):
        with pytest.raises(TypeError, match="pool takes floating features, got int32"):
            net((), jnp.ones((2, 4, 3), jnp.int32))


# Against PyTorch

CASES = {
    "max-1d": max_pool(3),
    "max-2d": max_pool(2),
    "max-2d-ties": max_pool(2),
    "max-2d-tiles-padded": max_pool(3, padding=1),
    "max-2d-overlap": max_pool(3, stride=2, padding=1),
    "max-2d-overlap-ties": max_pool((3, 2), stride=1),
    "max-2d-gaps": max_pool(2, stride=3),
    "max-1d-long": max_pool(11, stride=2, padding=3),
    "max-3d": max_pool(2, stride=(1, 2, 2)),
    "avg-1d": avg_pool(4),
    "avg-2d": avg_pool(2),
    "avg-2d-overlap": avg_pool(3, stride=2, padding=1),
    "avg-2d-exclusive": avg_pool(3, stride=2, padding=1, count_include_pad=False),
    "avg-3d": avg_pool(2, stride=1),
    "global-max": global_max_pool(),
    "global-avg": global_avg_pool(),
    "adaptive-max": adaptive_max_pool((3, 2)),
    "adaptive-max-ties": adaptive_max_pool((5, 4)),
    "adaptive-avg": adaptive_avg_pool((3, 2)),
    "adaptive-avg-3d": adaptive_avg_pool((2, 3, 1)),
    "adaptive-avg-larger": adaptive_avg_pool(7),
}


def test_every_golden_case_is_checked():
    assert sorted(CASES) == golden.names("pool")


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_pytorchs(name):
    golden.check(golden.load("pool", name), lambda inputs: CASES[name]((), inputs["x"]))


@st.composite
def setting(draw):
    """A shape, and PyTorch's options."""
    n = draw(st.sampled_from([1, 2, 2, 3]))
    size = draw(st.lists(st.integers(1, 4), min_size=n, max_size=n))
    stride = draw(st.lists(st.integers(1, 4), min_size=n, max_size=n) | st.just(size))
    pads = [draw(st.integers(0, k // 2)) for k in size]
    space = [draw(st.integers(k, 8)) for k in size]
    return (2, *space, 2), tuple(size), tuple(stride), tuple(pads)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(setting(), st.booleans(), st.booleans())
def test_any_configuration_is_pytorchs(found, ties, counted):
    torch = pytest.importorskip("torch", reason="pip install -e '.[peers]'")
    functional = torch.nn.functional
    shape, size, stride, pads = found
    x = np.random.default_rng(0).normal(size=shape)
    x = np.round(x) if ties else x
    ours = {
        "max_pool": max_pool(size, stride=stride, padding=pads),
        "avg_pool": avg_pool(size, stride=stride, padding=pads, count_include_pad=counted),
        "adaptive_max_pool": adaptive_max_pool(size),
        "adaptive_avg_pool": adaptive_avg_pool(size),
    }

    def peers(name):
        theirs = torch.tensor(x).movedim(-1, 1).contiguous().requires_grad_()
        options = {"count_include_pad": counted} if name == "avg_pool" else {}
        windows = (size,) if "adaptive" in name else (size, stride, pads)
        y = getattr(functional, f"{name}{len(size)}d")(theirs, *windows, **options)
        (y**2).sum().backward()
        assert theirs.grad is not None
        return y.detach().movedim(1, -1).numpy(), theirs.grad.movedim(1, -1).numpy()

    @jax.jit
    def through(x):
        pairs = {name: jax.vjp(lambda x, net=net: net((), x), x) for name, net in ours.items()}
        return {name: (y, *back(2 * y)) for name, (y, back) in pairs.items()}

    with jax.enable_x64(True):
        chex.assert_trees_all_close(
            through(x), {name: peers(name) for name in ours}, rtol=0, atol=1e-10
        )

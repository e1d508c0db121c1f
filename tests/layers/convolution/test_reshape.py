# pyright: reportArgumentType=false
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnn.layers.convolution.reshape import flatten, pixel_shuffle, upsample
from tests import golden

pytestmark = pytest.mark.ordinary

X = jax.random.normal(jax.random.key(1), (2, 4, 3, 8))


# Values


def test_nearest_repeats_each_place():
    y = upsample((2, 3))((), X)
    assert jnp.array_equal(y, X.repeat(2, 1).repeat(3, 2))


def test_linear_lies_between_the_two_nearest_places():
    x = jnp.array([0.0, 4.0, 0.0])[None, :, None]
    y = upsample(2, "linear")((), x)
    assert jnp.allclose(y[0, :, 0], jnp.array([0.0, 1.0, 3.0, 3.0, 1.0, 0.0]))


def test_linear_of_a_ramp_is_a_ramp_inside():
    x = jnp.arange(5.0)[None, :, None]
    y = upsample(4, "linear")((), x)[0, 2:-2, 0]
    assert jnp.allclose(jnp.diff(y), 0.25, atol=1e-6)


@pytest.mark.parametrize("method", ["nearest", "linear"])
def test_a_scale_of_one_changes_nothing(method):
    assert jnp.allclose(upsample(1, method)((), X), X, atol=1e-6)


def test_pixel_shuffle_lays_the_channels_of_a_place_out_as_pixels():
    y = pixel_shuffle(2)((), X)
    assert y.shape == (2, 8, 6, 2)
    for a in range(2):
        for b in range(2):
            assert jnp.array_equal(y[:, a::2, b::2], X[..., a * 2 + b :: 4])


def test_pixel_shuffle_is_over_any_number_of_axes():
    assert pixel_shuffle(4)((), X[0]).shape == (4, 12, 2)
    assert pixel_shuffle((1, 2, 2))((), X[None]).shape == (1, 2, 8, 6, 2)


def test_flatten_keeps_the_order_of_its_input():
    assert jnp.array_equal(flatten()((), X), X.reshape(2, 96))
    assert flatten()((), X[:, 0, 0, 0]).shape == (2, 1)


def test_an_empty_batch_gives_an_empty_batch():
    for net in (upsample(2), upsample(2, "linear"), pixel_shuffle(2), flatten()):
        assert net((), X[:0]).shape == (0, *net((), X).shape[1:])


# Bad input


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: upsample(0), "upsample: scale must be a whole number of at least 1"),
        (lambda: upsample(1.5), "upsample: scale must be a whole number of at least 1, got 1.5"),
        (
            lambda: upsample(2, "cubic"),
            "upsample: method is one of 'nearest', 'linear', got 'cubic'",
        ),
        (lambda: pixel_shuffle(-2), "pixel_shuffle: scale must be a whole number of at least 1"),
    ],
)
def test_a_bad_argument_is_refused_when_the_layer_is_built(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("net", "shape", "message"),
    [
        (upsample(2), (4, 8), "upsample takes .batch, .space, channels. with 1 to 3 spatial axes"),
        (
            upsample((2, 2)),
            (2, 4, 8),
            "upsample: scale has 2 entries .2, 2., the input has 1 spatial",
        ),
        (pixel_shuffle(2), (2, 4, 4, 6), "pixel_shuffle by .2, 2. takes a multiple of 4 channels"),
        (flatten(), (), "flatten takes .batch, ...., got a scalar"),
    ],
)
def test_a_bad_shape_is_refused_with_the_place(net, shape, message):
    with pytest.raises(ValueError, match=message):
        net((), jnp.ones(shape))


# Against PyTorch

CASES = {
    "nearest-1d": upsample(3),
    "nearest-2d": upsample((2, 3)),
    "linear-1d": upsample(3, "linear"),
    "linear-2d": upsample((2, 5), "linear"),
    "linear-3d": upsample((2, 1, 3), "linear"),
    "pixel_shuffle": pixel_shuffle(2),
}


def test_every_golden_case_is_checked():
    assert sorted(CASES) == golden.names("reshape")


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_pytorchs(name):
    golden.check(golden.load("reshape", name), lambda inputs: CASES[name]((), inputs["x"]))


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 6)), min_size=1, max_size=3))
def test_any_configuration_is_pytorchs(axes):
    torch = pytest.importorskip("torch", reason="pip install -e '.[peers]'")
    space, scale = zip(*axes, strict=True)
    x = np.random.default_rng(0).normal(size=(2, *space, math.prod(scale)))
    mode = ("linear", "bilinear", "trilinear")[len(scale) - 1]
    theirs = torch.tensor(x).movedim(-1, 1)
    interpolate = torch.nn.functional.interpolate
    wanted = {
        upsample(scale): interpolate(theirs, scale_factor=scale),
        upsample(scale, "linear"): interpolate(
            theirs, scale_factor=scale, mode=mode, align_corners=False
        ),
    }
    if len(set(scale)) == 1 and len(scale) == 2:
        wanted[pixel_shuffle(scale)] = torch.nn.functional.pixel_shuffle(theirs, scale[0])
    with jax.enable_x64(True):
        for net, there in wanted.items():
            assert np.allclose(net((), jnp.asarray(x)), there.movedim(1, -1), rtol=0, atol=1e-10)


def test_an_infinity_stays_between_its_neighbours():
    x = jnp.array([1.0, 2.0, jnp.inf, 4.0, 5.0]).reshape(1, 5, 1)
    y = upsample(3, "linear")((), x)[0, :, 0]
    assert y[:5].tolist() == pytest.approx([1, 1, 4 / 3, 5 / 3, 2])
    assert np.isinf(y[5:10]).all()
    assert y[10:].tolist() == pytest.approx([4, 13 / 3, 14 / 3, 5, 5])

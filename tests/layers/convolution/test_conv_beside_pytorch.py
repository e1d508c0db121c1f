# pyright: reportCallIssue=false
import importlib

import jax
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from jaxnn.layers.convolution.conv import conv, conv_transpose, depthwise_conv
from tests import golden

pytestmark = pytest.mark.ordinary


CASES = {
    "conv-1d": conv(3, 4, stride=2, padding=0),
    "conv-1d-dilated": conv(4, 3, dilation=2, padding="SYMMETRIC"),
    "conv-2d": conv(3, 3),
    "conv-2d-strided": conv(2, (3, 2), stride=2, padding=(1, 0), bias=False),
    "conv-2d-point": conv(4, 1, stride=(2, 1)),
    "conv-2d-groups": conv(6, 3, groups=3),
    "conv-2d-11-groups": conv(11, 2, groups=11, padding="VALID"),
    "conv-2d-depthwise": depthwise_conv(3, multiplier=2, stride=2, dilation=(1, 2), padding=2),
    "conv-3d": conv(3, (3, 2, 1), stride=(2, 1, 1), padding=(1, (1, 1), 0)),
    "conv-3d-groups": conv(4, 2, groups=2, dilation=(2, 1, 1), padding=0),
    "conv_transpose-1d": conv_transpose(2, 4, stride=3, padding=1),
    "conv_transpose-2d": conv_transpose(2, 3, stride=2, padding=1, output_padding=(1, 0)),
    "conv_transpose-2d-tiles": conv_transpose(2, 2, stride=2),
    "conv_transpose-2d-gaps": conv_transpose(2, (2, 1), stride=3, padding=0),
    "conv_transpose-2d-dilated": conv_transpose(
        2, 2, stride=2, dilation=(3, 1), padding=0, bias=False
    ),
    "conv_transpose-2d-groups": conv_transpose(3, 3, groups=3, stride=2, padding=(1, 2)),
    "conv_transpose-3d": conv_transpose(2, (3, 2, 2), stride=(2, 2, 1), padding=0),
}


def test_every_golden_case_is_checked():
    assert sorted(CASES) == golden.names("conv")


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_pytorchs(name):
    def function(inputs):
        params = {key: value for key, value in inputs.items() if key != "x"}
        return CASES[name](params, inputs["x"])

    golden.check(golden.load("conv", name), function)


def numbers(draw, n, least, most):
    return tuple(draw(st.lists(st.integers(least, most), min_size=n, max_size=n)))


@st.composite
def setting(draw, transpose):
    """The shape of x and of w, and options that both take."""
    n, groups = draw(st.sampled_from([1, 2, 2, 3])), draw(st.sampled_from([1, 1, 2, 3, 9]))
    deep, wide = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    size, options = numbers(draw, n, 1, 4), {"groups": groups}
    for name, least, most in (("stride", 1, 3), ("dilation", 1, 2), ("padding", 0, 3)):
        options[name] = numbers(draw, n, least, most)
    both = list(zip(options["stride"], options["dilation"], strict=True))
    if transpose:
        options["output_padding"] = tuple(draw(st.integers(0, max(pair) - 1)) for pair in both)
    space = numbers(draw, n, 1, 7)
    for length, k, s, d, p in zip(space, size, *list(options.values())[1:4], strict=True):
        span = d * (k - 1) + 1
        assume((length - 1) * s + span > 2 * p if transpose else length + 2 * p >= span)
    return (2, *space, deep * groups), (*size, deep, wide * groups), options


@pytest.mark.parametrize("transpose", [False, True], ids=["conv", "conv_transpose"])
@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.data())
def test_any_configuration_is_pytorchs(transpose, data):
    torch = pytest.importorskip("torch", reason="pip install -e '.[peers]'")
    peer = importlib.import_module("tests.golden.conv")
    x, w, options = data.draw(setting(transpose))
    net = (conv_transpose if transpose else conv)(w[-1], w[:-2], bias=False, **options)
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=x), rng.normal(size=w)
    theirs = [torch.tensor(each, requires_grad=True) for each in (x, w)]
    wanted = (peer.conv_transpose if transpose else peer.conv)(*theirs, **options)
    (wanted**2).sum().backward()
    with jax.enable_x64(True):

        @jax.jit
        def through(x, w):
            y, back = jax.vjp(lambda x, w: net({"w": w}, x), x, w)
            return y, back(2 * y)

        y, gradients = through(x, w)
        assert np.allclose(y, wanted.detach(), rtol=0, atol=1e-10)
        for mine, their in zip(gradients, theirs, strict=True):
            assert np.allclose(mine, their.grad, rtol=0, atol=1e-9)

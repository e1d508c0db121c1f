# pyright: reportCallIssue=false
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnn import core
from jaxnn.layers.convolution import convolve as forms
from jaxnn.layers.convolution import window
from jaxnn.layers.convolution.conv import conv, conv_transpose, depthwise_conv
from tests.layers.convolution.test_conv import made, normal

pytestmark = pytest.mark.ordinary


WINDOWS = [
    ((1, 5, 4, 8), 3, 1, 1, ((1, 1), (1, 1))),
    ((2, 7, 6, 8), (3, 2), 2, 1, ((0, 1), (2, 0))),
    ((2, 9, 8), 3, 1, 2, ((4, 0),)),
    ((1, 5, 4, 6, 8), 2, (2, 1, 1), (1, 2, 1), ((1, 0), (0, 1), (1, 1))),
]


def drawn(shape, size, stride, dilation, pads, groups, width=16):
    n = len(shape) - 2
    at = window.over(n, size, stride, dilation)._replace(pads=pads)
    w = normal(jax.random.key(2), (*at.size, shape[-1] // groups, width))
    return normal(jax.random.key(1), shape), w, at


def agree(one, other, x, w):
    """The two agree in value, and in first and second derivatives."""

    @jax.jit
    def derivatives(x, w):
        tangents = (jnp.sin(x), jnp.cos(w))
        found = []
        for f in (one, other):
            first = jax.jvp(f, (x, w), tangents)
            c = jnp.cos(jnp.arange(first[0].size)).reshape(first[0].shape)
            gradient = jax.grad(lambda *xw, f=f, c=c: jnp.sum(c * jnp.sin(f(*xw) / 8)), (0, 1))
            found.append((first, jax.jvp(gradient, (x, w), tangents)))
        return found

    chex.assert_trees_all_close(*derivatives(x, w), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("sizes", "groups"),
    [(WINDOWS[i], groups) for i, groups in ((0, 1), (0, 2), (1, 8), (2, 8), (3, 1), (3, 2))],
    ids=["2d", "2d groups", "2d depthwise", "1d depthwise", "3d", "3d groups"],
)
def test_the_forms_of_a_convolution_agree(sizes, groups):
    x, w, at = drawn(*sizes, groups)
    there = partial(forms.native, at=at, groups=groups)
    agree(partial(forms.on_cpu, at=at, groups=groups), there, x, w)


def test_gradients_on_the_cpu_have_the_order_of_axes_that_is_fast_in_loops():
    x, w, at = drawn(*WINDOWS[0], 1)
    forward = partial(forms.on_cpu, at=at)
    gradient = jax.grad(lambda x, w: jnp.sum(forward(x, w) ** 2), (0, 1))
    orders = {
        str(equation.params["dimension_numbers"])
        for function in (forward, gradient)
        for equation in jax.make_jaxpr(function)(x, w).eqns
        if equation.primitive.name == "conv_general_dilated"
    }
    assert len(orders) == 1


def test_many_groups_share_blocks():
    x, w, at = drawn((2, 5, 4, 48), 2, 1, 1, ((0, 0), (0, 0)), 24, 24)
    there = partial(forms.native, at=at, groups=24)
    agree(partial(forms.on_cpu, at=at, groups=24), there, x, w)


def test_a_wide_depthwise_kernel_is_a_convolution_in_blocks():
    x, w, at = drawn((1, 12, 11, 4), (9, 8), 1, 1, ((4, 4), (4, 4)), 4, 8)
    assert np.prod(at.size) > forms.PLACES
    there = partial(forms.native, at=at, groups=4)
    agree(partial(forms.on_cpu, at=at, groups=4), there, x, w)


@pytest.mark.parametrize(
    ("shape", "size", "stride", "pads", "extra", "groups"),
    [
        ((2, 5, 4), 4, 2, ((1, 1),), (0,), 2),
        ((2, 5, 4, 4), (2, 5), 3, ((0, 1), (0, 0)), (2, 0), 1),
        ((2, 3, 4, 4), 2, 2, ((0, 0), (0, 0)), (0, 1), 4),
        ((1, 3, 2, 4, 4), (3, 2, 1), (1, 2, 3), ((0, 1), (1, 0), (0, 0)), (0, 1, 2), 1),
    ],
)
def test_the_forms_of_a_transposed_convolution_agree(shape, size, stride, pads, extra, groups):
    x, w, at = drawn(shape, size, stride, 1, pads, groups, 8)
    options = {"at": at, "groups": groups, "extra": extra}
    agree(partial(forms.subpixel, **options), partial(forms.native_transpose, **options), x, w)


@pytest.mark.parametrize("dilation", [1, (2, 3)])
@pytest.mark.parametrize("width", [4, 8])
def test_a_transposed_depthwise_convolution_is_xlas(dilation, width):
    # In a form of its own on every platform, for cuDNN refuses XLA's.
    x, w, at = drawn((2, 5, 4, 4), (3, 2), 2, dilation, ((1, 1), (0, 1)), 4, width)
    options = {"at": at, "groups": 4, "extra": (1, 0)}
    there = partial(forms.native_transpose, **options)
    agree(partial(forms.convolve_transpose, **options), there, x, w)


@pytest.mark.parametrize("net", [conv(8, 3, groups=4), depthwise_conv(3), conv_transpose(8, 3)])
def test_sums_of_half_precision_are_rounded_once(net):
    x = normal(jax.random.key(1), (1, 6, 6, 8)).astype(jnp.bfloat16)
    params = core.cast(core.cast(made(net, x), jnp.bfloat16), jnp.float32)
    y, exact = net(params, x), net(params, x.astype(jnp.float32))
    assert y.dtype == jnp.bfloat16
    assert jnp.abs(y - exact).max() <= jnp.abs(exact).max() * 2**-8

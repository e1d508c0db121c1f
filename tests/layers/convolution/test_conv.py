# pyright: reportCallIssue=false

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnn.layers.convolution.conv import conv, conv_transpose, depthwise_conv

pytestmark = pytest.mark.ordinary

normal = jax.random.normal
X = normal(jax.random.key(1), (2, 6, 5, 4))


def made(net, x):
    return net.init(jax.random.key(0), x)[0]


def output(net, *shape):
    """The shape of the output for an input of this shape."""
    x = jnp.ones(shape)
    return jax.eval_shape(lambda: net(made(net, x), x)).shape


def by_hand(x, w, stride, pads, dilation, groups):
    """A convolution over two axes, as its definition has it."""
    x = np.pad(x, [(0, 0), *pads, (0, 0)])
    (kh, kw, channels, width), (sh, sw), (dh, dw) = w.shape, stride, dilation
    rows = range(0, x.shape[1] - dh * (kh - 1), sh)
    columns = range(0, x.shape[2] - dw * (kw - 1), sw)
    y = np.zeros((x.shape[0], len(rows), len(columns), width))
    for o in range(width):
        first = o // (width // groups) * channels
        seen = x[..., first : first + channels]
        for i, top in enumerate(rows):
            for j, left in enumerate(columns):
                patch = seen[:, top : top + dh * kh : dh, left : left + dw * kw : dw]
                y[:, i, j, o] = (patch[:, :kh, :kw] * w[..., o]).sum((1, 2, 3))
    return y


# Values


@pytest.mark.parametrize(
    ("options", "pads"),
    [
        ({}, ((1, 1), (1, 1))),
        ({"padding": "VALID", "stride": 2}, ((0, 0), (0, 0))),
        ({"padding": 2, "dilation": 2}, ((2, 2), (2, 2))),
        ({"padding": ((0, 3), 1), "stride": (1, 2)}, ((0, 3), (1, 1))),
        ({"groups": 2}, ((1, 1), (1, 1))),
        ({"groups": 4, "dilation": (2, 1), "stride": 2, "padding": 3}, ((3, 3), (3, 3))),
        ({"stride": 2}, ((0, 1), (1, 1))),
        ({"stride": 2, "padding": "SYMMETRIC"}, ((1, 1), (1, 1))),
    ],
)
def test_conv_is_its_definition(options, pads):
    net = conv(8, 3, **options)
    params = made(net, X)
    params["b"] = jnp.arange(8.0)
    numbers = [options.get(name, 1) for name in ("stride", "dilation")]
    stride, dilation = (n if isinstance(n, tuple) else (n, n) for n in numbers)
    wanted = by_hand(X, params["w"], stride, pads, dilation, options.get("groups", 1))
    assert jnp.allclose(net(params, X), wanted + np.arange(8.0), atol=1e-5)


def test_the_rank_of_the_input_says_over_how_many_axes():
    assert output(conv(8, 3), 2, 7, 4) == (2, 7, 8)
    assert output(conv(8, 3), 2, 7, 6, 4) == (2, 7, 6, 8)
    assert output(conv(8, 3, stride=2), 2, 7, 6, 5, 4) == (2, 4, 3, 3, 8)


def test_weights_are_space_then_channels_of_a_group_then_width():
    params = made(conv(8, (3, 2), groups=2), X)
    assert params["w"].shape == (3, 2, 2, 8)
    assert params["b"].shape == (8,)
    assert list(made(conv(8, 3, bias=False), X)) == ["w"]


def test_weights_keep_the_variance_of_what_one_output_sees():
    params = made(conv(512, 3, groups=2), jnp.ones((1, 4, 4, 128)))
    assert abs(params["w"].var() * 9 * 64 - 1) < 0.02
    assert (params["b"] == 0).all()


def test_a_causal_conv_sees_no_later_step():
    x = normal(jax.random.key(2), (1, 9, 2))
    net = conv(3, 3, padding="CAUSAL", dilation=2)
    params = made(net, x)
    y = net(params, x)
    assert y.shape == (1, 9, 3)
    later = net(params, x.at[:, 5].add(1.0))
    assert jnp.array_equal(y[:, :5], later[:, :5])
    assert not jnp.allclose(y[:, 5], later[:, 5])


def test_a_kernel_of_one_place_is_a_matmul():
    net = conv(8, 1, stride=2)
    params = made(net, X)
    assert jnp.allclose(net(params, X), X[:, ::2, ::2] @ params["w"][0, 0], atol=1e-6)


def test_depthwise_is_a_group_for_each_channel():
    one, other = depthwise_conv(3, multiplier=2), conv(8, 3, groups=4)
    params = made(one, X)
    assert params["w"].shape == (3, 3, 1, 8)
    assert jnp.array_equal(one(params, X), other(params, X))


@pytest.mark.parametrize("padding", ["SAME", "VALID", 1, ((2, 0), 1)])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.first(5)
def test_conv_transpose_is_the_gradient_of_conv(padding, stride):
    forward = conv(3, 3, stride=stride, padding=padding, bias=False)
    x = normal(jax.random.key(3), (2, 9, 12, 4))  # strides of 3 and 2 leave nothing over
    if stride == 2:
        x = x[:, :, :11] if padding in ("VALID", 1) else x[:, :8]
    params = made(forward, x)
    y, back = jax.vjp(lambda x: forward(params, x), x)
    net = conv_transpose(4, 3, stride=stride, padding=padding, bias=False)
    turned = {"w": params["w"].swapaxes(2, 3)}
    z = net(turned, y)
    (wanted,) = back(y)
    shape = tuple(map(min, z.shape, wanted.shape))  # conv leaves out what its stride does not reach
    cut = tuple(map(slice, shape))
    assert jnp.allclose(z[cut], wanted[cut], atol=1e-4)


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.first(12)
def test_conv_transpose_has_the_places_of_jax_lax(kernel_size, stride, padding):
    x = normal(jax.random.key(3), (2, 5, 3))
    net = conv_transpose(4, kernel_size, stride=stride, padding=padding)
    params = made(net, x)
    wanted = jax.lax.conv_transpose(
        x, jnp.flip(params["w"], 0), (stride,), padding, dimension_numbers=("NHC", "HIO", "NHC")
    )
    assert jnp.allclose(net(params, x), wanted, atol=1e-5)
    span = max(kernel_size - stride, 0)
    assert wanted.shape[1] == 5 * stride + (span if padding == "VALID" else 0)


def test_conv_transpose_by_numbers_has_the_places_of_the_formula():
    net = conv_transpose(3, 4, stride=3, padding=(1, 2), output_padding=2, dilation=1)
    assert output(net, 1, 5, 6, 2) == (1, 4 * 3 - 2 + 4 + 2, 5 * 3 - 4 + 4 + 2, 3)
    net = conv_transpose(3, 3, padding=((0, 2),), dilation=4)
    assert output(net, 1, 5, 2) == (1, 4 - 2 + 9, 3)


def test_an_empty_batch_gives_an_empty_batch_and_no_gradient():
    nets = [conv(8, 3), conv(8, 3, groups=2), depthwise_conv(3), conv_transpose(8, 4, stride=2)]

    @jax.jit
    def through(params, x):
        pairs = [jax.vjp(net, p, x) for net, p in zip(nets, params, strict=True)]
        return [y for y, _ in pairs], [back(y) for y, back in pairs]

    for space in ((4,), (4, 4), (4, 4, 4)):
        x = jnp.ones((0, *space, 4))
        outputs, gradients = through([made(net, x) for net in nets], x)
        assert {y.shape[0] for y in outputs} == {0}
        assert all((leaf == 0).all() for leaf in jax.tree.leaves(gradients))


# Bad input


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: conv(0, 3), "conv: width must be a whole number of at least 1, got 0"),
        (lambda: conv(8, 0), "conv: kernel_size must be a whole number of at least 1"),
        (lambda: conv(8, (3, 3, 3, 3)), "conv: kernel_size takes a number for each of 1 to 3 axes"),
        (lambda: conv(8, 3, stride=-1), "conv: stride must be a whole number of at least 1"),
        (lambda: conv(8, 3, dilation=-2), "conv: dilation must be a whole number of at least 1"),
        (lambda: conv(8, (3, 3), stride=(1, 1, 1)), r"conv got arguments for \[2, 3\] axes"),
        (lambda: conv(8, 3, groups=0), "conv: groups must be a whole number of at least 1"),
        (lambda: conv(8, 3, groups=3), "conv: 3 groups do not divide a width of 8"),
        (lambda: conv(8, 3, padding="FULL"), "conv: padding is one of SAME, VALID.*got 'FULL'"),
        (lambda: conv(8, 3, padding=-1), "conv: padding must be a whole number of at least 0"),
        (
            lambda: conv(8, 3, padding=((1, 1, 1),)),
            r"conv: padding takes \(low, high\) for an axis",
        ),
        (lambda: conv(8, 4, padding="SYMMETRIC"), "conv: SYMMETRIC padding takes.*of odd extent"),
        (lambda: conv(8, (3, 2), padding="SYMMETRIC"), "of odd extent, got .3, 2.*make it odd"),
        (lambda: conv(8, (3, 3), padding="CAUSAL"), "conv: CAUSAL padding is for one axis of time"),
        (lambda: depthwise_conv(3, multiplier=0), "depthwise_conv: multiplier must be"),
        (lambda: depthwise_conv(3, stride=0), "depthwise_conv: stride must be"),
        (lambda: conv_transpose(8, 3, padding="CAUSAL"), "conv_transpose: padding is one of SAME"),
        (lambda: conv_transpose(8, 3, groups=5), "conv_transpose: 5 groups do not divide"),
        (lambda: conv_transpose(8, 3, output_padding=1), "output_padding goes with padding as num"),
        (
            lambda: conv_transpose(8, 3, stride=2, padding=1, output_padding=2),
            "output_padding must be less than stride or dilation, got 2 for a stride of 2",
        ),
    ],
)
def test_a_bad_argument_is_refused_when_the_layer_is_built(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_symmetric_padding_of_an_even_kernel_is_whole_where_dilation_is_even():
    assert output(conv(8, 4, padding="SYMMETRIC", dilation=2), 2, 9, 4) == (2, 9, 8)


@pytest.mark.parametrize(
    ("net", "shape", "message"),
    [
        (conv(8, 3, groups=4), (2, 6, 6), "conv: 4 groups do not divide the 6 channels of float32"),
        (conv(8, 7, padding="VALID"), (2, 6, 8, 4), r"a window of \(7, 7\) is larger than its inp"),
        (conv(8, 3, dilation=3, padding=0), (2, 6, 4), r"conv: a window of \(7,\) is larger than"),
        (conv(8, 3), (2, 0, 4), r"is larger than its input float32\[2,0,4\]"),
        (
            conv(8, 3, padding="CAUSAL"),
            (2, 6, 6, 4),
            "CAUSAL padding is for .batch, time, channels",
        ),
        (conv(8, (3, 3)), (2, 6, 4), "conv: window has 2 entries .3, 3., the input has 1 spatial"),
        (conv(8, 3, stride=(1, 2)), (2, 6, 4), "conv: stride has 2 entries"),
        (conv(8, 3, padding=(1, 2)), (2, 6, 4), "conv: padding has 2 entries"),
        (conv(8, 3), (6, 4), "conv takes .batch, .space, channels. with 1 to 3 spatial axes"),
        (conv(8, 3), (1, 1, 1, 1, 1, 4), "with 1 to 3 spatial axes"),
        (
            depthwise_conv(3, padding="VALID"),
            (2, 2, 4),
            "depthwise_conv: a window of .3,. is larger",
        ),
        (conv_transpose(8, 3, groups=2), (2, 6, 3), "2 groups do not divide the 3 channels"),
        (
            conv_transpose(8, 3, padding=4),
            (2, 6, 3),
            "padding .* crops the whole output of float32",
        ),
        (conv_transpose(8, 3), (2, 0, 3), "crops the whole output"),
        (conv_transpose(8, 3, padding=0, output_padding=(0, 0)), (2, 4, 3), "output_padding has 2"),
    ],
)
def test_a_bad_shape_is_refused_with_the_place(net, shape, message):
    with pytest.raises(ValueError, match=message):
        net.init(jax.random.key(0), jnp.ones(shape))


@pytest.mark.parametrize("net", [conv(8, 3), depthwise_conv(3), conv_transpose(8, 3)])
def test_inputs_that_are_no_floats_and_params_for_others_are_refused(net):
    with pytest.raises(TypeError, match="conv.* takes floating features, got int32"):
        net.init(jax.random.key(0), jnp.ones((2, 6, 4), jnp.int32))
    params = made(net, X)
    with pytest.raises(ValueError, match=r"has w \[3, 3, \d, \d\], and needs \[3, 3, \d, \d\] for"):
        net(params, jnp.ones((2, 6, 5, 6)))
    with pytest.raises(ValueError, match=r"has w \[3, 3, .* and needs \[3, "):
        net(params, jnp.ones((2, 6, 4)))
    with pytest.raises(ValueError, match="takes params .*another net"):
        net((), X)

# pyright: reportArgumentType=false
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn
from jaxnn.nets.vision.convnext import layer_scale
from tests import golden

KEY = jax.random.key(0)
X = jax.random.normal(jax.random.key(1), (2, 16, 12, 3))
NETS = {
    "lenet": nn.lenet(5, widths=(4, 4, 8, 8)),
    "resnet": nn.resnet(5, (1, 2), width=4, small=True),
    "convnext": nn.convnext(5, depths=(1, 2), widths=(4, 8), patch=2, kernel_size=3),
    "unet": nn.unet(5, widths=(4, 8)),
}


def shapes(net, *shape):
    """The shapes of params, and of the output, for an input of this shape."""
    x = jax.ShapeDtypeStruct(shape, jnp.float32)

    def run(x):
        params, state = net.init(KEY, x)
        return params, net.apply(params, state, x)[0]

    params, y = jax.eval_shape(run, x)
    return nn.count_params(params), y.shape


# Sizes, as published


@pytest.mark.parametrize(
    ("depth", "size"),
    [(34, 21797672), (152, 60192808)],
)
def test_resnet_has_the_published_number_of_params(depth, size):
    assert shapes(nn.resnet(1000, depth, repeated=True), 2, 64, 64, 3) == (size, (2, 1000))


def test_convnext_and_lenet_have_the_published_number_of_params():
    tiny = nn.convnext(1000, depths=(3, 3, 9, 3), widths=(96, 192, 384, 768))
    assert shapes(tiny, 2, 64, 64, 3) == (28589128, (2, 1000))
    assert shapes(nn.lenet(10), 2, 28, 28, 1) == (61706, (2, 10))


def test_without_classes_the_last_map_comes_out():
    assert shapes(nn.resnet(None, (1, 1), width=8), 2, 64, 96, 3)[1] == (2, 8, 12, 16)
    net = nn.resnet(None, (1, 1), width=8, small=True, bottleneck=True)
    assert shapes(net, 2, 32, 32, 3)[1] == (2, 16, 16, 64)
    net = nn.convnext(None, depths=(1, 1), widths=(4, 8))
    assert shapes(net, 2, 16, 24, 3)[1] == (2, 2, 3, 8)


# Values


def bound(net, case):
    """The net of a golden case as a function of its inputs, params in PyTorch's order."""
    first = jnp.asarray(case.inputs["x"], jnp.float32)
    params, state = jax.eval_shape(net.init, KEY, first)
    state = jax.tree_util.tree_map_with_path(
        lambda path, leaf: jnp.full(leaf.shape, float("variance" in str(path[-1]))), state
    )
    leaves, structure = jax.tree_util.tree_flatten_with_path(params)
    paths = [jax.tree_util.keystr(path) for path, _ in leaves]
    # PyTorch has w before b, a scale of channels before all within, and a body before a shortcut.
    order = sorted(range(len(paths)), key=lambda i: _place(paths[i]))

    def function(inputs):
        held = [inputs[f"p{i:02}"] for i in range(len(order))]
        found = dict(zip(order, held, strict=True))
        wanted = [found[i].reshape(leaf.shape) for i, (_, leaf) in enumerate(leaves)]
        return net.apply(jax.tree.unflatten(structure, wanted), state, inputs["x"])[0]

    return function


def _place(path):
    parts = ["stem", "stage1", "stage2", "pool", "norm", "head", "body", "shortcut"]
    parts = {f"['{part}']": f"{i:02}" for i, part in enumerate(parts)}
    for part, i in parts.items():
        path = path.replace(part, f"[{i}]")
    return path.replace("['w']", "0").replace("['scale']", "0").replace("['b']", "1")


@pytest.mark.parametrize("name", golden.names("cnn"))
@pytest.mark.first(1)
def test_it_is_what_pytorchs_layers_compute(name):
    net = {
        "resnet of basic blocks": nn.resnet(5, (1, 1), width=4),
        "resnet of bottlenecks": nn.resnet(5, (1, 1), width=4, bottleneck=True),
        "convnext": nn.convnext(5, depths=(1, 1), widths=(4, 8), patch=2, kernel_size=3),
    }[name]
    case = golden.load("cnn", name)
    golden.check(case, bound(net, case))


def test_equal_blocks_repeated_are_the_same_blocks_in_a_row():
    x = X[:, :8, :8]
    chain, scan = (nn.resnet(4, (3,), width=4, small=True, repeated=each) for each in (False, True))
    params, state = scan.init(KEY, x)

    def unstacked(tree):
        first, rest = tree["stage1"]
        slices = [jax.tree.map(lambda leaf, i=i: leaf[i], rest) for i in range(2)]
        return tree | {"stage1": (first, *slices)}

    y, after = scan.apply(params, state, x, train=True)
    z, wanted = chain.apply(unstacked(params), unstacked(state), x, train=True)
    assert jnp.allclose(y, z, atol=1e-5)
    after = unstacked(after)
    for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(wanted), strict=True):
        assert jnp.allclose(a, b, atol=1e-5)


def test_a_convnext_starts_near_the_identity_in_every_block():
    net = nn.convnext(None, depths=(3,), widths=(4,), patch=2, kernel_size=3)
    stem = nn.convnext(None, depths=(1,), widths=(4,), patch=2, kernel_size=3)
    params, _ = net.init(KEY, X)
    y, z = net(params, X), stem({"stage1": params["stage1"][:3]}, X)
    assert 0 < jnp.abs(y - z).max() < 1e-4


def test_blocks_are_dropped_ever_more_often_but_never_the_first():
    net = nn.convnext(
        None, depths=(2,), widths=(4,), patch=4, kernel_size=3, drop_rate=0.5, scale=1.0
    )
    x = jnp.tile(X[:1], (64, 1, 1, 1))
    params, _ = net.init(KEY, x)
    y = np.asarray(net(params, x, key=KEY, train=True))
    kinds, counts = np.unique(y.reshape(64, -1).round(4), axis=0, return_counts=True)
    assert len(kinds) == 2  # with and without the last block
    assert 16 < counts.min() < 48


@pytest.mark.parametrize(("widths", "reach"), [((4, 4, 4), 8), ((4,), 2)])
def test_a_unet_sees_as_far_as_it_goes_down(widths, reach):
    net = nn.unet(1, widths=widths)

    @jax.jit
    def seen(x):
        params, state = net.init(KEY, x)
        return jax.grad(lambda x: net.apply(params, state, x)[0][0, 8, 6, 0])(x)

    found = np.asarray(seen(X))
    assert (found[1] == 0).all()
    rows = np.flatnonzero(np.abs(found[0]).sum((1, 2)))
    assert abs(rows - 8).max() == reach


# What is refused


@pytest.mark.parametrize("name", NETS)
def test_images_of_other_channels_are_refused(name):
    net = NETS[name]
    params, state = jax.eval_shape(net.init, KEY, X)
    with pytest.raises(ValueError, match=r"has w .*, and needs .*: feed the input it was init"):
        jax.eval_shape(lambda p, s: net.apply(p, s, X[..., :1])[0], params, state)


@pytest.mark.parametrize("name", NETS)
def test_bytes_are_refused_with_the_scale_they_want(name):
    x = jnp.zeros((2, 16, 12, 3), jnp.uint8)
    with pytest.raises(TypeError, match=r"x.astype\(jnp.float32\) / 255"):
        NETS[name].init(KEY, x)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: nn.lenet(10, widths=(6, 16)), "takes four widths"),
        (lambda: nn.resnet(10, 20), "depth is one of 18, 34, 50, 101, 152"),
        (lambda: nn.resnet(10, ()), "depth is one of"),
        (lambda: nn.resnet(10, (1, 0)), "blocks of a stage must be a whole number"),
        (lambda: nn.resnet(10, width=0), "width must be a whole number"),
        (
            lambda: nn.convnext(10, depths=(1,)),
            "one number of blocks and one of channels",
        ),
        (
            lambda: nn.convnext(10, depths=(), widths=()),
            "one number of blocks and one of channels",
        ),
        (lambda: nn.convnext(10, depths=(0,), widths=(8,)), "blocks of a stage must be"),
        (lambda: nn.convnext(10, drop_rate=1.0), "rate is the fraction dropped"),
        (lambda: nn.unet(1, widths=()), "takes the channels of each level"),
    ],
)
def test_bad_arguments_are_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_images_of_other_sizes_are_refused_by_name():
    with pytest.raises(ValueError, match="sides that are multiples of 4.*: pad it"):
        nn.unet(1, widths=(4, 4, 4)).init(KEY, jnp.ones((2, 18, 16, 1)))
    with pytest.raises(ValueError, match="is larger than its input"):
        nn.lenet(10).init(KEY, jnp.ones((2, 8, 8, 1)))


def test_layer_scale_scales_channels():
    net = layer_scale(0.5)
    params, _ = net.init(KEY, X)
    assert (net({"scale": jnp.array([1.0, 2, 3])}, X) == X * jnp.array([1.0, 2, 3])).all()
    assert params["scale"].tolist() == [0.5] * 3

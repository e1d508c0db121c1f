# pyright: reportArgumentType=false
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn

KEY = jax.random.key(0)
X = jax.random.normal(KEY, (2, 6, 8, 8, 2))


def shapes(net, *shape):
    """The number of params, and the shape of the output, for an input of this shape."""
    x = jax.ShapeDtypeStruct(shape, jnp.float32)

    def run(x):
        params, state = net.init(KEY, x)
        return params, net.apply(params, state, x)[0]

    params, y = jax.eval_shape(run, x)
    return nn.count_params(params), y.shape


@pytest.mark.parametrize(("factored", "size"), [(False, 33371472), (True, 31505325)])
@pytest.mark.first(1)
def test_it_has_the_published_number_of_params(factored, size):
    net = nn.video_resnet(400, 18, factored=factored)
    assert shapes(net, 2, 8, 32, 32, 3) == (size, (2, 400))


def test_stages_halve_space_and_time():
    net = nn.video_resnet(None, (1, 1, 1), width=4)
    assert shapes(net, 2, 8, 32, 48, 3)[1] == (2, 2, 4, 6, 16)
    net = nn.video_resnet(None, (1, 2), width=4, factored=True, small=True)
    assert shapes(net, 2, 6, 8, 8, 3)[1] == (2, 3, 4, 4, 8)


@pytest.mark.parametrize("factored", [False, True])
def test_a_block_sees_two_steps_and_two_pixels_to_all_sides(factored):
    net = nn.video_block(2, 2, factored=factored)

    @jax.jit
    def seen(x):
        params, state = net.init(KEY, x)
        return jax.grad(lambda x: net.apply(params, state, x)[0][0, 3, 4, 4].sum())(x)

    found = np.asarray(seen(X))
    assert (found[1] == 0).all()
    places = np.argwhere(np.abs(found[0]).sum(-1))
    assert (np.abs(places - [3, 4, 4]).max(0) == 2).all()


def test_a_factored_block_is_one_over_space_and_then_one_over_time():
    net = nn.video_block(2, 2, factored=True)
    params, _ = jax.eval_shape(net.init, KEY, X)
    body = params[0]["body"]
    assert [layer["w"].shape for layer in body if "w" in layer] == [
        (1, 3, 3, 2, 4), (3, 1, 1, 4, 2), (1, 3, 3, 2, 4), (3, 1, 1, 4, 2)
    ]  # fmt: skip
    whole, _ = jax.eval_shape(nn.video_block(2, 2).init, KEY, X)
    assert whole[0]["body"][0]["w"].shape == (3, 3, 3, 2, 2)
    assert 2 * 4 * 9 + 4 * 2 * 3 <= 27 * 2 * 2


def test_clips_of_other_channels_and_bytes_and_images_are_refused():
    net = nn.video_resnet(4, (1,), width=4, small=True)
    params, state = jax.eval_shape(net.init, KEY, X)
    with pytest.raises(ValueError, match="feed the input it was init"):
        jax.eval_shape(lambda p, s: net.apply(p, s, X[..., :1])[0], params, state)
    with pytest.raises(TypeError, match=r"x.astype\(jnp.float32\) / 255"):
        net.init(KEY, X.astype(jnp.uint8))
    with pytest.raises(ValueError, match=r"takes clips \[batch, time, height, width, channels\]"):
        net.init(KEY, X[0])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: nn.video_resnet(4, 50), "depth is one of 18, 34"),
        (lambda: nn.video_resnet(4, ()), "depth is one of 18, 34"),
        (lambda: nn.video_resnet(4, (0,)), "blocks of a stage must be a whole number"),
        (lambda: nn.video_resnet(4, width=0), "width must be a whole number"),
        (lambda: nn.video_block(0, 8), "channels must be a whole number"),
    ],
)
def test_bad_arguments_are_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()

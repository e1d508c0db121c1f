import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn
from jaxnn import core

Z = jax.random.normal(jax.random.key(1), (8, 6))
X = jax.random.normal(jax.random.key(2), (8, 8, 8, 2))
LABELS = jnp.array([0, 1, 2, 0, 1, 2, 0, 2])


def shape(net, x):
    """The shape of the output of a net; nothing is computed."""

    def output(x):
        params, state = net.init(jax.random.key(0), x)
        return net.apply(params, state, x)[0]

    return jax.eval_shape(output, x).shape


# The nets of DCGAN


@pytest.mark.parametrize(
    ("size", "channels", "depth"), [(28, 1, 2), (64, 3, 4), ((16, 24), 2, 3), (8, 1, 1)]
)
def test_a_generator_draws_images_of_any_size_that_halves(size, channels, depth):
    sides = size if isinstance(size, tuple) else (size, size)
    net = nn.gan.dcgan_generator(size, channels, depth=depth, width=8)
    assert shape(net, Z) == (8, *sides, channels)


def test_the_widths_halve_where_the_size_doubles():
    params, _ = nn.gan.dcgan_generator(32, depth=3, width=8).init(jax.random.key(0), Z)
    weights = [leaf.shape for leaf in jax.tree.leaves(params) if leaf.ndim > 1]
    assert weights == [(6, 4 * 4 * 32), (4, 4, 32, 16), (4, 4, 16, 8), (4, 4, 8, 1)]
    params, _ = nn.gan.dcgan_discriminator(depth=3, width=8).init(jax.random.key(0), X)
    weights = [leaf.shape for leaf in jax.tree.leaves(params) if leaf.ndim > 1]
    assert weights == [(4, 4, 2, 8), (4, 4, 8, 16), (4, 4, 16, 32), (32, 1)]


def test_a_generator_has_a_norm_after_all_but_its_last_layer_and_a_discriminator_after_the_middle():
    norms = [
        (nn.gan.dcgan_generator(8, width=8), Z, 2),
        (nn.gan.dcgan_generator(8, norm=None), Z, 0),
    ]
    norms += [(nn.gan.dcgan_discriminator(depth=3, norm=nn.batch_norm), X, 2)]
    for net, x, wanted in norms:
        params, state = jax.eval_shape(net.init, jax.random.key(0), x)
        paths = [
            jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)
        ]
        assert sum("scale" in path for path in paths) == wanted
        assert core.is_stateless(state) == (wanted == 0)


def test_the_last_activation_bounds_the_pixels(key):
    for output, low in ((jnp.tanh, -1), (jax.nn.sigmoid, 0)):
        net = nn.gan.dcgan_generator(8, width=8, output=output, norm=None)
        y = net(net.init(key, Z)[0], 50 * Z)
        assert low <= float(y.min()) < low + 0.1
        assert 0.9 < float(y.max()) <= 1


def test_spectral_norm_holds_for_all_of_a_discriminator(key):
    net = nn.spectral_norm(nn.gan.dcgan_discriminator(width=8))
    params, state = net.init(key, X)
    weights = sum(leaf.ndim > 1 for leaf in jax.tree.leaves(params))
    assert len(state["vectors"]) == weights == 3
    larger = jax.tree.map(lambda leaf: 7 * leaf, params)  # the biases are zero at first
    y, _ = net.apply(params, state, X)
    z, _ = net.apply(larger, state, X)
    assert jnp.allclose(y, z, atol=1e-5)


# Classes


def test_a_class_is_laid_beside_the_features(key):
    net = nn.gan.class_conditional(nn.dense(5), 3)
    params, _ = net.init(key, (Z, LABELS))
    hot = np.eye(3, dtype=np.float32)[np.asarray(LABELS)]
    by_hand = np.concatenate([Z, hot], axis=1) @ params["net"]["w"]
    assert jnp.allclose(net(params, (Z, LABELS)), by_hand, atol=1e-5)


def test_an_embedded_class_is_a_row_of_its_table(key):
    net = nn.gan.class_conditional(nn.dense(5), 3, width=4)
    params, _ = net.init(key, (Z, LABELS))
    table = np.asarray(params["embed"]["w"])
    assert table.shape == (3, 4)
    by_hand = np.concatenate([Z, table[np.asarray(LABELS)]], axis=1) @ params["net"]["w"]
    assert jnp.allclose(net(params, (Z, LABELS)), by_hand, atol=1e-5)


def test_beside_a_image_a_class_is_channels_of_one_value():
    net = nn.gan.class_conditional(lambda x: x, 3)
    y = net({"embed": (), "net": ()}, (X, LABELS))
    assert y.shape == (8, 8, 8, 5)
    assert (y[..., :2] == X).all()
    assert (y[..., 2:] == jax.nn.one_hot(LABELS, 3)[:, None, None]).all()


def test_a_projection_adds_the_product_with_the_vector_of_the_class(key):
    net = nn.gan.projection_discriminator(nn.mlp(16, 4), 3)
    params, _ = net.init(key, (Z, LABELS))
    h = nn.mlp(16, 4)(params["features"], Z)
    v = np.asarray(params["classes"]["w"]).T[np.asarray(LABELS)]
    by_hand = h @ params["logit"]["w"] + params["logit"]["b"] + (v * h).sum(1, keepdims=True)
    assert jnp.allclose(net(params, (Z, LABELS)), by_hand, atol=1e-5)


@pytest.mark.parametrize(
    "net",
    [
        nn.gan.class_conditional(nn.dense(5), 3),
        nn.gan.class_conditional(nn.dense(5), 3, width=4),
        nn.gan.projection_discriminator(nn.dense(4), 3),
    ],
    ids=["one-hot", "embedded", "projection"],
)
def test_a_class_outside_the_range_gives_nan_in_its_row_alone(net, key):
    params, _ = net.init(key, (Z, LABELS))
    y = net(params, (Z, LABELS.at[2].set(3).at[5].set(-1)))
    assert np.isnan(y).all(axis=1).tolist() == [i in (2, 5) for i in range(8)]


# Bad input


def test_arguments_that_cannot_be_are_refused():
    for make, said in [
        (lambda: nn.gan.dcgan_generator(30), "a multiple of 4, got 30"),
        (lambda: nn.gan.dcgan_generator((28, 30)), r"a multiple of 4, got \(28, 30\)"),
        (lambda: nn.gan.dcgan_generator([28, 28, 1]), r"a number or \(height, width\)"),
        (lambda: nn.gan.dcgan_generator(28, depth=0), "depth must be a whole number of at least 1"),
        (
            lambda: nn.gan.dcgan_generator(28, 0),
            "width must be a whole number of at least 1, got 0",
        ),
        (lambda: nn.gan.dcgan_features(width=0), "dcgan_features: width must be"),
        (
            lambda: nn.gan.class_conditional(nn.dense(1), 0),
            "classes must be a whole number of at least 1",
        ),
        (lambda: nn.gan.projection_discriminator(nn.dense(1), 0), "classes must be a whole number"),
    ]:
        with pytest.raises(ValueError, match=said):
            make()


def test_inputs_that_do_not_fit_are_refused(key):
    generator, discriminator = (
        nn.gan.dcgan_generator(8, width=8),
        nn.gan.dcgan_discriminator(width=8),
    )
    told = nn.gan.class_conditional(nn.dense(2), 3)
    judge = nn.gan.projection_discriminator(nn.conv(4, 3), 3)
    for net, x, error, said in [
        (generator, jnp.ones((8, 0)), ValueError, r"with at least one feature, got float32\[8,0\]"),
        (generator, X, ValueError, r"takes noise \[rows, latent\]"),
        (generator, LABELS[:, None], TypeError, "takes floating features"),
        (discriminator, X.astype(jnp.uint8), TypeError, r"astype\(jnp.float32\) / 255"),
        (discriminator, Z, ValueError, "spatial axes"),
        (told, Z, ValueError, r"takes \(x, labels\), got float32\[8,6\]: give it a pair"),
        (told, (Z, Z[:, 0]), TypeError, r"labels that are integers, got float32\[8\]"),
        (told, (Z, LABELS[:4]), ValueError, r"a label for each row.*make them \[8\]"),
        (judge, (X, LABELS), ValueError, r"takes features \[rows, features\]"),
    ]:
        with pytest.raises(error, match=said):
            net.init(key, x)
    params, _ = discriminator.init(key, X)
    with pytest.raises(ValueError, match=r"conv has w \[4, 4, 2, 8\], and needs \[4, 4, 1, 8\]"):
        discriminator(params, X[..., :1])

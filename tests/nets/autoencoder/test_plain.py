# pyright: reportArgumentType=false
import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnn as nn

X = jax.random.uniform(jax.random.key(1), (8, 6))
PICTURES = jax.random.uniform(jax.random.key(1), (4, 7, 5, 2))


def identity():
    return nn.autoencoder.plain_autoencoder(lambda x: x, lambda z: z)


def measured(loss, params=None, state=(), x=X, **settings):
    params = {"encoder": (), "decoder": ()} if params is None else params
    value, (state, metrics) = loss(params, state, x, **settings)
    return value, state, metrics


# The net


def test_an_autoencoder_is_its_halves_in_a_row(key):
    encoder, decoder = nn.mlp(8, 2), nn.mlp(8, 6)
    net = nn.autoencoder.plain_autoencoder(encoder, decoder)
    params, _ = net.init(key, X)
    code = encoder(params["encoder"], X)
    assert code.shape == (8, 2)
    assert jnp.array_equal(net(params, X), decoder(params["decoder"], code))


def test_another_shape_than_the_inputs_is_refused(key):
    with pytest.raises(
        ValueError,
        match="the decoder must return the shape and dtype that the encoder takes.*8,6.*8,5",
    ):
        nn.autoencoder.plain_autoencoder(nn.dense(2), nn.dense(5)).init(key, X)


def test_an_empty_code_is_refused(key):
    with pytest.raises(ValueError, match="the code float32.8,0. is empty"):
        nn.autoencoder.plain_autoencoder(lambda x: x[:, :0], nn.dense(6)).init(key, X)


def test_a_dense_coder_is_a_mirrored_pair_of_mlps(key):
    encoder, decoder = nn.autoencoder.dense_coder((7, 5, 2), 3, 16, 8)
    params, _ = nn.autoencoder.plain_autoencoder(encoder, decoder).init(key, PICTURES)
    widths = {half: [leaf.shape for leaf in jax.tree.leaves(params[half]) if leaf.ndim == 2]
              for half in params}  # fmt: skip
    assert widths == {
        "encoder": [(70, 16), (16, 8), (8, 3)],
        "decoder": [(3, 8), (8, 16), (16, 70)],
    }
    assert encoder(params["encoder"], PICTURES).shape == (4, 3)
    assert decoder(params["decoder"], jnp.ones((9, 3))).shape == (9, 7, 5, 2)


@pytest.mark.parametrize(("spatial", "shape"), [(False, (4, 3)), (True, (4, 2, 2, 3))])
def test_a_conv_coder_takes_sides_that_do_not_halve(spatial, shape, key):
    encoder, decoder = nn.autoencoder.conv_coder((7, 5, 2), 3, 8, 16, spatial=spatial)
    params, _ = jax.jit(nn.autoencoder.plain_autoencoder(encoder, decoder).init)(key, PICTURES)
    code = jax.eval_shape(encoder, params["encoder"], PICTURES)
    assert code.shape == shape
    assert jax.eval_shape(decoder, params["decoder"], code).shape == PICTURES.shape


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: nn.autoencoder.dense_coder(8, 0),
            "dense_coder: code must be a whole number of at least 1",
        ),
        (
            lambda: nn.autoencoder.conv_coder((8, 8, 1), 0, 4),
            "conv_coder: code must be a whole number of at",
        ),
        (
            lambda: nn.autoencoder.dense_coder((8, 0), 2),
            "dense_coder: shape must be a whole number of at",
        ),
        (
            lambda: nn.autoencoder.conv_coder((8, 8), 2, 4),
            "conv_coder: shape must be 3 values",
        ),
        (
            lambda: nn.autoencoder.conv_coder((8, 8, 1), 2),
            "and the width of each convolution, got .8, 8, 1.",
        ),
    ],
)
def test_a_bad_size_is_refused_when_the_halves_are_built(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


@pytest.mark.parametrize(
    "halves",
    [nn.autoencoder.dense_coder((8, 8, 1), 2), nn.autoencoder.conv_coder((8, 8, 1), 2, 4)],
    ids=["dense", "conv"],
)
def test_images_of_another_shape_or_of_bytes_are_refused(halves, key):
    net = nn.autoencoder.plain_autoencoder(*halves)
    with pytest.raises(
        ValueError, match="_coder takes rows of shape .8, 8, 1., got float32.4,8,8,3."
    ):
        net.init(key, jnp.ones((4, 8, 8, 3)))
    with pytest.raises(TypeError, match="/ 255, as images are"):
        net.init(key, jnp.ones((4, 8, 8, 1), jnp.uint8))


# The loss


def test_the_loss_is_the_distance_to_the_input(key):
    net = nn.autoencoder.plain_autoencoder(nn.dense(2), nn.dense(6))
    params, _ = net.init(key, X)
    value, _, metrics = measured(nn.autoencoder.reconstruction(net), params)
    assert value == metrics["reconstruction"] == nn.mse(net(params, X), X)
    value, _, _ = measured(
        nn.autoencoder.reconstruction(net, lambda y, x: jnp.abs(y - x).sum()), params
    )
    assert jnp.allclose(value, jnp.abs(net(params, X) - X).sum())


def test_denoising_spoils_what_goes_in_and_not_what_is_wanted(key):
    loss = nn.autoencoder.reconstruction(identity(), corrupt=nn.gaussian_noise(0.3))
    x = jnp.zeros((200, 50))
    assert measured(loss, x=x)[0] == 0
    value = measured(loss, x=x, key=key, train=True)[0]
    assert abs(value - 0.09) < 0.005  # the identity leaves all of the noise


def test_state_goes_through_the_loss(key):
    encoder = nn.serial(nn.batch_norm(), nn.dense(2))
    net = nn.autoencoder.plain_autoencoder(encoder, nn.dense(6))
    params, state = net.init(key, X)
    loss = nn.autoencoder.reconstruction(
        net, encoder=encoder, penalties={"size": lambda encode, x: (encode(x) ** 2).mean()}
    )
    value, after, metrics = measured(loss, params, state, train=True)
    _, wanted = net.apply(params, state, X, train=True)
    assert jnp.array_equal(after["encoder"][0]["mean"], wanted["encoder"][0]["mean"])
    assert not jnp.array_equal(after["encoder"][0]["mean"], state["encoder"][0]["mean"])
    assert jnp.allclose(value, metrics["reconstruction"] + metrics["size"])


def test_penalties_see_the_code_that_the_net_drew(key):
    drop = nn.dropout(0.5)
    loss = nn.autoencoder.reconstruction(
        nn.autoencoder.plain_autoencoder(drop, lambda z: z),
        lambda y, x: y.sum(),
        encoder=drop,
        penalties={"same": lambda encode, x: encode(x).sum()},
    )
    _, _, metrics = measured(loss, key=key, train=True)
    assert metrics["same"] == metrics["reconstruction"] != X.sum()


def test_penalties_without_an_encoder_are_refused():
    with pytest.raises(ValueError, match="penalties need the code: give the encoder"):
        nn.autoencoder.reconstruction(
            identity(), penalties={"sparsity": nn.autoencoder.l1_sparsity(1.0)}
        )
    with pytest.raises(ValueError, match="is the name of the distance: rename the penalty"):
        nn.autoencoder.reconstruction(
            identity(), encoder=jnp.tanh, penalties={"reconstruction": max}
        )


def test_a_linear_autoencoder_learns_the_principal_components(key):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 6)) @ np.diag([3, 2, 0.1, 0.1, 0.1, 0.1])
    x = (x - x.mean(0)).astype(np.float32)
    least = (np.linalg.svd(x)[1][2:] ** 2).sum() / x.size
    net, optimizer = (
        nn.autoencoder.plain_autoencoder(nn.dense(2, bias=False), nn.dense(6, bias=False)),
        optax.adam(0.03),
    )
    step = nn.training.step(nn.autoencoder.reconstruction(net), optimizer)
    train = nn.training.init_train(net, optimizer, key, jnp.asarray(x[:64]))
    end = nn.training.fit(step, train, x, steps=400, batch_size=64)
    assert least <= end.history[-1]["loss"] < 1.02 * least


# The penalties


def test_kl_sparsity_is_its_equation():
    mean = np.asarray(X).mean(0)
    wanted = 0.1 * np.log(0.1 / mean) + 0.9 * np.log(0.9 / (1 - mean))
    assert jnp.allclose(
        nn.autoencoder.kl_sparsity(0.1, 2.0)(lambda x: x, X), 2 * wanted.sum(), rtol=1e-5
    )


def test_kl_sparsity_of_a_code_outside_of_its_range_is_no_number():
    assert jnp.isnan(nn.autoencoder.kl_sparsity(0.1)(lambda x: -1 - x, X))


def test_l1_sparsity_is_a_sum_over_units_and_a_mean_over_rows():
    assert jnp.allclose(nn.autoencoder.l1_sparsity(0.5)(lambda x: -x, X), 0.5 * X.sum() / 8)


@pytest.mark.parametrize("width", [3, 9], ids=["backwards", "forwards"])
def test_the_jacobian_norm_is_that_of_the_jacobian(width, key):
    net = nn.serial(nn.dense(width), jnp.tanh, lambda y: y.reshape(-1, width, 1))
    params, _ = net.init(key, X)
    whole = jax.vmap(jax.jacobian(lambda row: net(params, row[None])[0]))(X)
    wanted = (whole**2).sum((1, 2, 3))
    assert jnp.allclose(
        nn.autoencoder.jacobian_norm(lambda x: net(params, x), X), wanted, rtol=1e-5
    )
    penalty = nn.autoencoder.contraction(0.5)(lambda x: net(params, x), X)
    assert jnp.allclose(penalty, 0.5 * wanted.mean(), rtol=1e-5)


def test_the_jacobian_norm_of_sigmoids_has_the_closed_form_of_the_paper(key):
    net = nn.serial(nn.dense(4), jax.nn.sigmoid)
    params, _ = net.init(key, X)

    def paper(params):
        code = net(params, X)
        return ((code * (1 - code)) ** 2) @ (params[0]["w"] ** 2).sum(0)

    def norm(params):
        return nn.autoencoder.jacobian_norm(lambda x: net(params, x), X)

    assert jnp.allclose(norm(params), paper(params), rtol=1e-5)
    here, there = (jax.grad(lambda p, f=f: f(p).mean())(params) for f in (norm, paper))
    chex.assert_trees_all_close(here, there, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: nn.autoencoder.kl_sparsity(0.0),
            "kl_sparsity: rate, a mean activation, must be a finite number",
        ),
        (
            lambda: nn.autoencoder.kl_sparsity(0.1, -1.0),
            "kl_sparsity: weight must be a finite number of at least 0",
        ),
        (
            lambda: nn.autoencoder.l1_sparsity(float("nan")),
            "l1_sparsity: weight must be a finite number of at least 0",
        ),
        (
            lambda: nn.autoencoder.contraction(-1.0),
            "contraction: weight must be a finite number of at least 0",
        ),
    ],
)
def test_a_bad_penalty_is_refused_when_it_is_built(make, message):
    with pytest.raises(ValueError, match=message):
        make()

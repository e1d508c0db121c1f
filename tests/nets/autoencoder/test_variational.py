# pyright: reportArgumentType=false, reportCallIssue=false
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn

# A linear model whose every integral is known: x = W z + b + S n, with the columns of W orthogonal,
# so that the posterior's factors are independent.
S, LATENTS = 0.7, 2
W = np.linalg.qr(np.random.default_rng(0).normal(size=(5, LATENTS)))[0] @ np.diag([2.0, 0.8])
B = np.arange(5) / 5
X = np.random.default_rng(1).normal(size=(4, 5))
# Moments up to the second are those of a standard normal: quadratics have exact means.
EXACT = np.sqrt(LATENTS) * np.concatenate([np.eye(LATENTS), -np.eye(LATENTS)])


def evidence(x):
    """log p(x), in closed form."""
    covariance = W @ W.T + S**2 * np.eye(5)
    deviation = x - B
    squares = np.einsum("ni,ij,nj->n", deviation, np.linalg.inv(covariance), deviation)
    return -(squares + np.linalg.slogdet(2 * np.pi * covariance)[1]) / 2


def net(shift=0.0, spread=1.0):
    """The linear model, with its posterior, shifted and spread by as much."""
    precision = (W**2).sum(0) / S**2 + 1

    def encode(x):
        mean = (x - B) @ W / S**2 / precision + shift
        return jnp.concatenate([mean, jnp.zeros_like(mean) + np.log(spread / precision)], axis=-1)

    model = nn.autoencoder.variational(encode, lambda z: z @ W.T + B)
    return lambda x, noise: model({"encoder": (), "decoder": ()}, (x, noise))


def exact(shift=0.0, spread=1.0):
    noise = np.broadcast_to(EXACT, (len(X), *EXACT.shape))
    return net(shift, spread)(jnp.asarray(X), jnp.asarray(noise))


@pytest.fixture(autouse=True)
def _in_double():
    with jax.enable_x64(True):
        yield


likelihood = nn.autoencoder.gaussian_log_likelihood(S)


# The bounds


def test_the_elbo_of_the_true_posterior_is_the_evidence():
    assert np.allclose(nn.autoencoder.elbo(X, exact(), likelihood), evidence(X))


def test_the_elbo_falls_short_by_the_divergence_from_the_true_posterior():
    shift, spread = 0.3, 1.5
    precision = (W**2).sum(0) / S**2 + 1
    short = (spread + shift**2 * precision - 1 - np.log(spread)).sum() / 2
    assert np.allclose(
        nn.autoencoder.elbo(X, exact(shift, spread), likelihood), evidence(X) - short
    )


def test_the_importance_bound_of_the_true_posterior_is_the_evidence_with_any_draw(key):
    noise = jax.random.normal(key, (4, 3, LATENTS), jnp.float64)
    latent = net()(jnp.asarray(X), noise)
    assert np.allclose(nn.autoencoder.importance_bound(X, latent, likelihood), evidence(X))


def test_the_importance_bound_is_at_least_the_elbo():
    latent = exact(0.3, 1.5)
    weighted, plain = (
        nn.autoencoder.importance_bound(X, latent, likelihood),
        nn.autoencoder.elbo(X, latent, likelihood),
    )
    assert (weighted > plain + 0.01).all()


def test_the_importance_bound_grows_to_the_evidence_with_the_draws(key):
    model, means = net(0.5, 2.0), []
    for draws in (1, 8, 64):
        noise = jax.random.normal(key, (1000, draws, LATENTS), jnp.float64)
        latent = model(jnp.broadcast_to(X[0], (1000, 5)), noise)
        bounds = nn.autoencoder.importance_bound(
            jnp.broadcast_to(X[0], (1000, 5)), latent, likelihood
        )
        means.append(float(bounds.mean()))
    assert means[0] < means[1] - 0.1 < means[2] - 0.1 < evidence(X)[0]
    assert evidence(X)[0] - means[2] < 0.03
    latent = net(0.1, 1.5)(X[:1], jax.random.normal(key, (1, 50_000, LATENTS), jnp.float64))
    assert np.allclose(
        nn.autoencoder.importance_bound(X[:1], latent, likelihood), evidence(X)[0], atol=0.01
    )


def test_one_draw_of_importance_is_the_elbo_in_expectation():
    latent = exact(0.3, 1.5)
    each = [
        nn.autoencoder.importance_bound(X, latent._replace(code=latent.code[:, i : i + 1],
                                               output=latent.output[:, i : i + 1]), likelihood)
        for i in range(len(EXACT))
    ]  # fmt: skip
    assert np.allclose(np.mean(each, axis=0), nn.autoencoder.elbo(X, latent, likelihood))


def test_kl_divergence_is_the_integral():
    latent = nn.autoencoder.Latent(jnp.array([[0.4]]), jnp.array([[0.6]]), (), ())
    z, step = np.linspace(-12, 12, 20001, retstep=True)
    log_q = -((z - 0.4) ** 2 / np.exp(0.6) + 0.6 + np.log(2 * np.pi)) / 2
    log_p = -(z**2 + np.log(2 * np.pi)) / 2
    assert np.allclose(
        nn.autoencoder.kl_divergence(latent), (np.exp(log_q) * (log_q - log_p)).sum() * step
    )


def test_beta_weighs_the_divergence():
    latent = exact(0.3)
    once, thrice = (nn.autoencoder.elbo(X, latent, likelihood, beta) for beta in (1.0, 3.0))
    assert np.allclose(once - thrice, 2 * nn.autoencoder.kl_divergence(latent))


# The likelihoods


def test_a_bernoulli_likelihood_is_the_probability_of_every_pixel():
    x, logits = np.array([[0.0, 1, 1]]), np.array([[[0.3, -1, 2], [0, 0, 0]]])
    on = 1 / (1 + np.exp(-logits))
    wanted = np.log(np.where(x[:, None] == 1, on, 1 - on)).sum(-1)
    assert np.allclose(
        nn.autoencoder.bernoulli_log_likelihood(jnp.asarray(logits), jnp.asarray(x)), wanted
    )


def test_a_gaussian_likelihood_is_the_density():
    mean = np.random.default_rng(2).normal(size=(4, 3, 5))
    density = np.exp(-((X[:, None] - mean) ** 2) / (2 * S**2)) / np.sqrt(2 * np.pi * S**2)
    assert np.allclose(likelihood(mean, X), np.log(density).sum(-1))


# The loss


def problem(key, **settings):
    model = nn.autoencoder.variational(*nn.autoencoder.dense_coder((2, 3), 4, 8))
    x = jax.random.uniform(key, (8, 2, 3), jnp.float32)
    params, _ = model.init(key, (x, jnp.zeros((8, 1, 2), jnp.float32)))
    loss = nn.autoencoder.variational_loss(
        model, 2, nn.autoencoder.bernoulli_log_likelihood, **settings
    )
    return lambda **call: loss(params, (), x, **call)


def test_the_loss_is_distortion_and_rate(key):
    value, (state, metrics) = problem(key, beta=0.5, samples=4)(key=key, train=True)
    assert state == ()
    assert jnp.allclose(value, metrics["distortion"] + 0.5 * metrics["rate"], rtol=1e-6)


def test_importance_weighs_the_draws(key):
    plain, weighted = (
        problem(key, samples=16, importance=importance)(key=key, train=True)[0]
        for importance in (False, True)
    )
    assert weighted < plain


def test_without_a_key_the_noise_is_always_the_same(key):
    loss = problem(key)
    assert loss(train=False)[0] == loss(train=False)[0] != loss(key=key, train=False)[0]


# Bad input


@pytest.mark.parametrize(
    ("width", "noise", "message"),
    [
        (
            3,
            (8, 1, 2),
            "an encoder to .batch, 2 latents., means and log variances; this encoder returns",
        ),
        (4, (8, 2), "variational takes noise .8, samples, 2. for this encoder, got"),
        (4, (8, 1, 3), "variational takes noise .8, samples, 2. for this encoder, got"),
        (4, (4, 1, 2), "variational takes noise .8, samples, 2. for this encoder, got"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(width, noise, message, key):
    model = nn.autoencoder.variational(*nn.autoencoder.dense_coder(5, width))
    with pytest.raises(ValueError, match=message):
        model.init(key, (jnp.ones((8, 5)), jnp.ones(noise)))


def test_x_without_noise_is_refused(key):
    with pytest.raises(ValueError, match="takes .x, noise., with standard normal noise"):
        nn.autoencoder.variational(*nn.autoencoder.dense_coder(5, 4)).init(key, jnp.ones((8, 5)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"latents": 0}, "variational_loss: latents must be a whole number of at least 1"),
        ({"samples": 0}, "variational_loss: samples must be a whole number of at least 1"),
        ({"beta": -1.0}, "beta must be a finite number of at least 0, got -1.0"),
        ({"beta": 2.0, "importance": True}, "with importance beta must be 1"),
    ],
)
def test_a_bad_argument_is_refused_when_the_loss_is_built(settings, message):
    with pytest.raises(ValueError, match=message):
        nn.autoencoder.variational_loss(
            **{"net": None, "latents": 2, "log_likelihood": likelihood} | settings
        )


def test_likelihoods_of_other_rows_are_refused():
    with pytest.raises(ValueError, match="bernoulli_log_likelihood takes .batch, samples, ...."):
        nn.autoencoder.bernoulli_log_likelihood(jnp.ones((4, 2, 5)), jnp.ones((4, 1)))
    with pytest.raises(ValueError, match="gaussian_log_likelihood takes .batch, samples, ...."):
        likelihood(jnp.ones((4, 5)), jnp.ones((4, 5)))
    with pytest.raises(
        ValueError, match="gaussian_log_likelihood: stddev must be a finite number greater than 0"
    ):
        nn.autoencoder.gaussian_log_likelihood(0)

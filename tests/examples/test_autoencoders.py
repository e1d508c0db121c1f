# pyright: reportAttributeAccessIssue=false, reportArgumentType=false
"""The parts of the examples compression, anomaly, denoising and variational."""

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.decomposition import PCA

import jaxnn as nn
from examples import Options, anomaly, denoising, variational
from examples.common.images import warped
from examples.compression import faces as face_coder

# compression


def test_warped_digits_keep_their_place_and_most_of_their_ink(key):
    x = jnp.zeros((64, 28, 28, 1)).at[:, 11:17, 11:17].set(1.0)
    y = jax.jit(warped)(key, x)
    assert y.shape == x.shape
    assert np.allclose(y.sum((1, 2, 3)), 36, rtol=0.35)
    assert y[:, 14, 14].min() > 0.99
    assert y.std(0).max() > 0.1  # each with its own random numbers


def test_moved_faces_are_among_all_moves(key):
    faces = np.random.default_rng(0).random((3, 25 * 25)).astype(np.float32)
    moves = face_coder.every_move(faces)
    assert moves.shape == (3 * 25 * 2, 25 * 25)
    assert len(np.unique(moves, axis=0)) == 150
    for one in np.asarray(face_coder.moved(key, jnp.asarray(faces))):
        assert (moves == one).all(axis=1).any()


def test_a_net_of_faces_starts_as_its_components(key):
    x = np.random.default_rng(0).random((20, 25 * 25)).astype(np.float32)
    start = PCA(3, svd_solver="full").fit(x)
    net = face_coder.autoencoder(start)
    params, _ = jax.jit(net.init)(key, x)
    assert np.allclose(net(params, jnp.asarray(x)), start.inverse_transform(start.transform(x)),
                       atol=1e-4)  # fmt: skip


# anomaly


def test_the_threshold_is_that_of_the_best_f1():
    scores, y = np.array([0.1, 0.2, 0.3, 0.4, 0.5]), np.array([0, 0, 1, 0, 1])
    threshold = anomaly.threshold(scores, y)
    assert threshold == 0.3
    assert anomaly.judged(scores, y, threshold) == {"recall": 1, "precision": 2 / 3, "f1": 4 / 5}


def test_readings_are_scaled_by_what_was_learned_from():
    x = np.arange(5.0)[:, None] * [[1, 100]]
    scale = anomaly.scaled(x)
    assert np.allclose(scale(x), np.arcsinh((np.arange(5) - 2) / 2)[:, None] * [[1, 1]])


# denoising


def test_a_denoiser_of_zeros_gives_back_its_input(key):
    net, x = denoising.denoiser(8, 1), jax.random.uniform(key, (2, 6, 4, 1))
    params, _ = net.init(key, x)
    assert net(params, x).shape == x.shape
    assert jnp.array_equal(net(jax.tree.map(jnp.zeros_like, params), x), x)


def test_turned_crops_are_the_eight_views(key):
    x = np.random.default_rng(0).random((1, 4, 4, 1)).astype(np.float32)
    views = {np.rot90(one, k)[..., 0].tobytes() for one in (x[0], x[0, :, ::-1]) for k in range(4)}
    made = {
        one[..., 0].tobytes()
        for one in np.asarray(denoising.turned(key, jnp.asarray(x.repeat(200, axis=0))))
    }
    assert made == views


def test_views_are_turned_back(monkeypatch, key):
    monkeypatch.setattr(denoising, "net", lambda params, x: x)
    image = jax.random.uniform(key, (6, 4))
    assert jnp.allclose(denoising.cleaned.__wrapped__((), image), image)


def test_crops_are_pieces_of_the_photographs():
    photograph = np.random.default_rng(0).random((80, 112)).astype(np.float32)
    pieces = denoising.crops([photograph], (1.0,))
    assert pieces.shape == (2 * 3, 48, 48, 1)
    assert (pieces[-1, ..., 0] == photograph[32:, 64:]).all()


def test_psnr_of_the_noise_is_that_of_its_deviation():
    noise = np.random.default_rng(0).normal(0, 25 / 255, (500, 500))
    assert abs(denoising.psnr(noise, 0 * noise) - 20.17) < 0.02


# variational


def test_one_component_is_the_entropy_of_pixels():
    x = np.random.default_rng(0).random((500, 3)) < [0.2, 0.5, 0.9]
    on = (x.sum(0) + 0.5) / 501
    wanted = -(x * np.log(on) + (1 - x) * np.log(1 - on)).sum(1).mean()
    assert np.isclose(variational.mixture(x, x, 1), wanted)


def test_a_mixture_finds_its_components():
    rng = np.random.default_rng(0)
    x = (rng.random((400, 8)) < 0.05) ^ (rng.random((400, 1)) < 0.5)
    truth = np.log(2) - 8 * (0.05 * np.log(0.05) + 0.95 * np.log(0.95))
    assert abs(variational.mixture(x, x, 6) - truth) < 0.2
    assert variational.mixture(x, x, 1) > 2 * truth


def test_bounds_are_those_of_all_draws(monkeypatch, key):
    _, train, _ = variational.plan(Options())
    x = variational.binary(np.full((2, 784), 0.3, np.float32))
    monkeypatch.setattr(variational, "DRAWS", 6)
    monkeypatch.setattr(variational, "PARTS", 3)
    plain, weighted = variational.bounds.__wrapped__(train.params, jnp.asarray(x), key)
    draws = [jax.random.normal(k, (2, 3, variational.LATENTS)) for k in jax.random.split(key, 2)]
    latent = variational.net(train.params, (x, jnp.concatenate(draws, axis=1)))
    likelihood = nn.autoencoder.bernoulli_log_likelihood
    assert np.allclose(plain, nn.autoencoder.elbo(x, latent, likelihood), rtol=1e-5)
    assert np.allclose(weighted, nn.autoencoder.importance_bound(x, latent, likelihood), rtol=1e-5)

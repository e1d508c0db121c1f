from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnn as nn
from tests.small import counter

X = jnp.asarray(np.random.default_rng(0).normal(size=(16, 2)), jnp.float32)
LABELS = jnp.arange(16) % 3
NETS = nn.mlp(8, 2), nn.mlp(8, 1)
SGD = optax.sgd(0.1), optax.sgd(0.1)


def begin(nets: Any = NETS, optimizers=SGD, x: Any = X, latent=3, seed=0):
    z = jnp.ones((8, latent))
    given = (z, LABELS[:8]) if isinstance(x, tuple) else z
    return nn.gan.init_train(nets, optimizers, jax.random.key(seed), given, x)


def counting(nets):
    """The two losses of a pair of nets, and how often each was traced."""
    traces = []

    def counted(loss, title):
        def same(params, state, batch, *, key, train):
            traces.append(title)
            return loss(params, state, batch, key=key, train=train)

        return same

    both = zip(nn.gan.losses(nets, 3), ("generator", "discriminator"), strict=True)
    return [counted(*each) for each in both], traces


# The games


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


FORMULAS = {
    "non_saturating": (
        lambda r, f: -np.log(sigmoid(r)).mean() - np.log(1 - sigmoid(f)).mean(),
        lambda f: -np.log(sigmoid(f)).mean(),
    ),
    "hinge": (
        lambda r, f: np.maximum(1 - r, 0).mean() + np.maximum(1 + f, 0).mean(),
        lambda f: -f.mean(),
    ),
    "least_squares": (
        lambda r, f: ((r - 1) ** 2).mean() / 2 + (f**2).mean() / 2,
        lambda f: ((f - 1) ** 2).mean() / 2,
    ),
    "wasserstein": (lambda r, f: f.mean() - r.mean(), lambda f: -f.mean()),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_the_losses_are_those_of_the_papers(name):
    real, fake = np.random.default_rng(1).normal(size=(2, 9, 1)) * 2
    game, (discriminator, generator) = getattr(nn.gan, name), FORMULAS[name]
    assert float(game.discriminator(real, fake)) == pytest.approx(discriminator(real, fake))
    assert float(game.generator(fake)) == pytest.approx(generator(fake))


def test_the_losses_are_those_of_pytorch():
    torch = pytest.importorskip("torch", reason="pip install -e '.[peers]'")
    real, fake = np.random.default_rng(1).normal(size=(2, 9, 1)) * 2
    entropy, square = torch.nn.BCEWithLogitsLoss(), torch.nn.MSELoss()
    yes, no = torch.ones(9, 1), torch.zeros(9, 1)
    r, f = torch.from_numpy(real).float(), torch.from_numpy(fake).float()
    for game, loss, scale in (
        (nn.gan.non_saturating, entropy, 1),
        (nn.gan.least_squares, square, 0.5),
    ):
        expected = scale * float(loss(r, yes) + loss(f, no))
        assert float(game.discriminator(real, fake)) == pytest.approx(expected, rel=1e-5)
        assert float(game.generator(fake)) == pytest.approx(scale * float(loss(f, yes)), rel=1e-5)


def test_a_sure_discriminator_costs_no_overflow():
    for game in (nn.gan.non_saturating, nn.gan.hinge):
        assert float(game.discriminator(jnp.array([1e4]), jnp.array([-1e4]))) == 0
        assert np.isfinite(jax.grad(game.generator)(jnp.array([-1e4]))).all()
    # What does not saturate still pulls at full strength where the discriminator is sure.
    assert float(jax.grad(nn.gan.non_saturating.generator)(jnp.array([-1e4]))[0]) == -1


# The penalties


def test_penalties_of_a_linear_critic_are_those_of_its_weight(key):
    w = jnp.array([3.0, 4.0])
    assert float(nn.gan.r1(lambda x: x @ w, X)) == pytest.approx(25)
    assert float(nn.gan.gradient_penalty(lambda x: x @ w, X, -X, key)) == pytest.approx(16)
    flat = nn.gan.gradient_penalty(lambda x: x @ w, X, -X, key, target=0.0)
    assert float(flat) == pytest.approx(25)


def test_penalties_are_means_over_rows_of_all_axes(key):
    # The slope of |x|^2 / 2 is x.
    x = jax.random.normal(key, (5, 2, 3, 1))

    def critic(x):
        return jnp.square(x).sum((1, 2)) / 2

    size = np.sqrt(np.square(np.asarray(x)).sum((1, 2, 3)))
    assert float(nn.gan.r1(critic, x)) == pytest.approx((size**2).mean(), rel=1e-5)
    found = nn.gan.gradient_penalty(critic, x, x, key)
    assert float(found) == pytest.approx(((size - 1) ** 2).mean(), rel=1e-5)


def test_the_gradient_penalty_is_taken_evenly_between_real_and_fake(key):
    # From 0 to 1 the slope of x^2 / 2 is s, even in [0, 1], and the mean of (s - 1)^2 is 1/3.
    real = jnp.ones((40_000, 1))
    found = nn.gan.gradient_penalty(lambda x: x**2 / 2, real, 0 * real, key)
    assert float(found) == pytest.approx(1 / 3, abs=0.01)


def test_a_flat_critic_has_a_finite_gradient(key):
    def penalty(w):
        return nn.gan.gradient_penalty(lambda x: x @ w, X, -X, key)

    value, gradient = jax.value_and_grad(penalty)(jnp.zeros(2))
    assert float(value) == 1
    assert np.isfinite(gradient).all()


def test_a_penalty_is_added_to_the_loss_of_the_discriminator(key):
    train = begin()
    batch = train.generator, X
    given = train.discriminator.params, train.discriminator.state, batch

    def loss(penalty):
        _, of_discriminator = nn.gan.losses(NETS, 3, nn.gan.wasserstein, penalty)
        return of_discriminator(*given, key=key, train=True)

    plain, (_, without) = loss(None)
    more, (_, metrics) = loss(lambda critic, real, fake, key: 5 * nn.gan.r1(critic, real))
    by_hand = 5 * nn.gan.r1(lambda x: NETS[1](train.discriminator.params, x), X)
    assert "penalty" not in without
    assert float(metrics["penalty"]) == pytest.approx(float(by_hand), rel=1e-5)
    assert float(more) == pytest.approx(float(plain + by_hand), rel=1e-5)


def test_labels_reach_both_nets(key):
    seen = []

    def spy(net, title):
        return nn.wire(lambda f, x: seen.append((title, x[1])) or f.net(x[0]), net=net)

    nets = spy(NETS[0], "generator"), spy(NETS[1], "discriminator")
    train = begin(nets, x=(X, LABELS))
    seen.clear()
    of_generator, of_discriminator = nn.gan.losses(nets, 3)
    opponent, batch = train.discriminator, (X, LABELS)
    of_generator(train.generator.params, (), (opponent, batch), key=key, train=True)
    assert [title for title, _ in seen] == ["generator", "discriminator"]
    assert all((labels == LABELS).all() for _, labels in seen)
    seen.clear()
    opponent = train.generator
    of_discriminator(train.discriminator.params, (), (opponent, batch), key=key, train=True)
    assert [labels.shape for _, labels in seen] == [(16,), (32,)]
    assert (seen[1][1] == jnp.concatenate([LABELS, LABELS])).all()


# The step


def test_a_step_is_the_critics_steps_and_then_one_of_the_generator():
    def of_discriminator(params, state, batch, *, key, train):
        opponent, x = batch
        value = jnp.mean(x) * params["w"].sum() + jnp.sum(params["w"] * opponent.params["w"])
        return value, (state, {"mean": jnp.mean(x)})

    def of_generator(params, state, batch, *, key, train):
        opponent, x = batch
        value = jnp.sum(params["w"] * opponent.params["w"]) + jnp.mean(x) * params["w"].sum()
        return value, (state, {})

    net = nn.dense(1, bias=False)
    optimizers = optax.sgd(0.1), optax.sgd(0.5)
    train = nn.gan.init_train((net, net), optimizers, jax.random.key(0), X[:, :1], X[:, :1])
    g, d = (float(each.params["w"][0, 0]) for each in (train.generator, train.discriminator))
    step = nn.gan.step((of_generator, of_discriminator), optimizers, critic_steps=4)
    batch = X[:, :1]
    train, metrics = step(train, batch)
    values = []
    for part in np.asarray(batch).reshape(4, 4):
        values.append(part.mean() * d + d * g)
        d -= 0.5 * (part.mean() + g)
    value = g * d + part.mean() * g
    g -= 0.1 * (d + part.mean())
    assert float(train.discriminator.params["w"][0, 0]) == pytest.approx(d, rel=1e-5)
    assert float(train.generator.params["w"][0, 0]) == pytest.approx(g, rel=1e-5)
    assert (int(train.step), int(train.discriminator.step)) == (1, 4)
    expected = {
        "loss": value + np.mean(values),
        "generator_loss": value,
        "discriminator_loss": np.mean(values),
        "discriminator_mean": np.asarray(batch).mean(),
    }
    assert {title: float(each) for title, each in metrics.items()} == pytest.approx(
        expected, rel=1e-4
    )


@pytest.mark.parametrize("critic_steps", [1, 4])
def test_any_number_of_critic_steps_is_traced_once(critic_steps):
    losses, traces = counting(NETS)
    step = nn.gan.step(losses, SGD, critic_steps=critic_steps)
    train = begin()
    for _ in range(3):
        train, _ = step(train, X)
    assert sorted(traces) == ["discriminator", "generator"]
    assert int(train.discriminator.step) == 3 * critic_steps


def test_a_step_reuses_the_buffers_it_is_given():
    train = begin()
    held = jax.tree.leaves((train.generator.params, train.discriminator.params, train.average))
    nn.gan.step(nn.gan.losses(NETS, 3), SGD)(train, X)
    assert all(leaf.is_deleted() for leaf in held)


def test_state_moves_with_the_steps_of_its_own_net():
    nets = [nn.serial(net, counter()) for net in NETS]
    step = nn.gan.step(nn.gan.losses(nets, 3), SGD, critic_steps=2)
    train = begin(nets)
    for _ in range(3):
        train, _ = step(train, X)
    assert (int(train.generator.state[1]), int(train.discriminator.state[1])) == (3, 6)


def test_the_average_is_the_mean_of_the_params_and_then_forgets():
    step = nn.gan.step(nn.gan.losses(NETS, 3), SGD, decay=0.75)
    train, seen = begin(), []
    for t in range(6):
        before = jax.device_get(train.average)
        train, _ = step(train, X)
        seen.append(jax.device_get(train.generator.params))
        if t < 4:
            expected = jax.tree.map(lambda *leaves: np.mean(leaves, axis=0), *seen)
        else:
            expected = jax.tree.map(lambda a, b: 0.75 * a + 0.25 * b, before, seen[-1])
        chex.assert_trees_all_close(train.average, expected, rtol=1e-5, atol=1e-6)


def test_samples_come_from_the_average():
    train = begin()._replace(average=jax.tree.map(jnp.zeros_like, begin().average))
    assert (nn.gan.sample(NETS[0], train, jnp.ones((4, 3))) == 0).all()


# In the loop


@pytest.fixture(scope="module")
def pair():
    """A generator of points on a line, its critic under spectral norm, and their step."""
    nets = nn.mlp(8, 1), nn.spectral_norm(nn.mlp(16, 1))
    optimizers = optax.adam(1e-2, b1=0.5), optax.adam(1e-2, b1=0.5)
    x = 3 + 0.5 * jax.random.normal(jax.random.key(5), (512, 1))
    losses = nn.gan.losses(nets, 2, nn.gan.hinge)
    step = nn.gan.step(losses, optimizers, critic_steps=2, decay=0.99)
    return nets, begin(nets, optimizers, x, 2), step, x


def test_fit_trains_both_and_the_samples_move_to_the_data(pair):
    nets, train, step, x = pair
    end = nn.training.fit(step, train, x, steps=400, batch_size=128)
    z = jax.random.normal(jax.random.key(6), (500, 2))
    before, after = (nn.gan.sample(nets[0], each, z) for each in (train, end.train))
    assert abs(float(before.mean()) - 3) > 2
    assert abs(float(after.mean()) - 3) < 0.4
    assert {"loss", "generator_loss", "discriminator_real"} <= set(end.history[-1])


def test_a_run_that_is_resumed_ends_with_the_same_bits(pair, tmp_path):
    pytest.importorskip("orbax.checkpoint", reason="pip install -e '.[train]'")
    _, train, step, x = pair

    def fit(steps, **more):
        validate = lambda train: {"loss": float(train.step)}  # noqa: E731
        options = {"batch_size": 128, "every": 5, "validate": validate, **more}
        return nn.training.fit(step, train, x, steps=steps, **options)

    fit(10, checkpoint=tmp_path)
    resumed, whole = fit(20, checkpoint=tmp_path), fit(20)
    chex.assert_trees_all_equal(resumed.train.average, whole.train.average)
    chex.assert_trees_all_equal(resumed.train.discriminator, whole.train.discriminator)
    assert int(resumed.best.step) == 5
    assert resumed.best.generator.opt_state == resumed.best.discriminator.opt_state == ()
    assert resumed.train.generator.opt_state != ()


def test_a_class_that_there_is_not_stops_the_run():
    nets = nn.gan.class_conditional(NETS[0], 3), nn.gan.class_conditional(NETS[1], 3)
    train = begin(nets, x=(X, LABELS))
    step = nn.gan.step(nn.gan.losses(nets, 3), SGD)
    with pytest.raises(FloatingPointError, match="the loss is nan at step 1"):
        nn.training.fit(step, train, (X, LABELS.at[5].set(3)), steps=2, batch_size=16)


# Bad input


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="as many optimizers, got 0 nets and 2 optimizers"):
        nn.gan.init_train([], [optax.sgd(0.1)] * 2, jax.random.key(0), jnp.ones((4, 2)), None)
    with pytest.raises(ValueError, match="latent must be a whole number of at least 1, got 0"):
        nn.gan.losses(NETS, 0)
    losses = nn.gan.losses(NETS, 3)
    with pytest.raises(ValueError, match="critic_steps must be a whole number of at least 1"):
        nn.gan.step(losses, SGD, critic_steps=0)
    with pytest.raises(ValueError, match=r"decay must be in \[0, 1\), got 1"):
        nn.gan.step(losses, SGD, decay=1.0)
    with pytest.raises(ValueError, match=r"a multiple of 3 rows, got float32\[16,2\]"):
        nn.gan.step(losses, SGD, critic_steps=3)(begin(), X)
    with pytest.raises(ValueError, match=r"a generator of rows like the batch's.*\[16,3\]"):
        nn.gan.step(losses, SGD)(begin(), jnp.ones((16, 3)))
    with pytest.raises(ValueError, match="real and fake rows of the same shape"):
        nn.gan.gradient_penalty(lambda x: x, X, X[:8], jax.random.key(0))

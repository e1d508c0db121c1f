"""A variational autoencoder of digits: how likely it finds new ones, and digits that it makes up.

Grey pixels are probabilities: every step draws black or white pixels from them anew, from digits
that are turned, scaled and moved a little. The test digits are drawn once and for all. The
importance-weighted bound of their likelihood with 500 draws of the code is beside that of a mixture
of Bernoulli distributions, fitted on the same digits, whose likelihood is exact. Widths, latents
and steps were chosen on 800 of the 4000 digits.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import jaxnn as nn
from examples import Check, Options, Result, data
from examples.compression import warped

THRESHOLD = 110.0  # nats a digit, by the importance-weighted bound
LATENTS, WIDTHS = 20, (400, 400)
DRAWS, PARTS = 500, 50  # of the code, and how many at once
BATCH, STEPS, QUICK_STEPS = 128, 6000, 150
COMPONENTS, ROUNDS = 40, 30  # of the mixture, and of its fit

encoder, decoder = nn.autoencoder.dense_coder(
    (28, 28, 1), 2 * LATENTS, *WIDTHS, activation=jax.nn.gelu
)
net = nn.autoencoder.variational(encoder, decoder)
bound = nn.autoencoder.variational_loss(net, LATENTS, nn.autoencoder.bernoulli_log_likelihood)


def loss(params, state, batch, *, key, train):
    """The negative bound; in training on warped digits of pixels drawn anew."""
    if train:
        batch = warped(jax.random.fold_in(key, 0), batch)
        batch = jax.random.bernoulli(jax.random.fold_in(key, 1), jnp.clip(batch, 0, 1))
        batch, key = batch.astype(jnp.float32), jax.random.fold_in(key, 2)
    return bound(params, state, batch, key=key, train=train)


def length(options: Options) -> int:
    return QUICK_STEPS if options.quick else STEPS


def plan(options: Options):
    rate = optax.warmup_cosine_decay_schedule(0.0, 1e-3, 100, max(length(options), 200))
    optimizer = optax.adamw(rate, weight_decay=1e-2)
    x = jax.ShapeDtypeStruct((BATCH, 28, 28, 1), jnp.float32)
    noise = jax.ShapeDtypeStruct((BATCH, 1, LATENTS), jnp.float32)
    train = nn.training.init_train(net, optimizer, jax.random.key(options.seed), (x, noise))
    return nn.training.step(loss, optimizer), train, x


def binary(x: np.ndarray) -> np.ndarray:
    """Digits [rows, 28, 28, 1] of pixels drawn once and for all."""
    drawn = np.random.default_rng(0).random(x.shape) < x
    return drawn.astype(np.float32).reshape(-1, 28, 28, 1)


@jax.jit
def bounds(params, x: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Both bounds [rows] of digits [rows, 28, 28, 1], in nats, from DRAWS draws of the code."""

    def part(key):
        noise = jax.random.normal(key, (len(x), PARTS, LATENTS))
        latent = net(params, (x, noise))
        of_one = nn.autoencoder.elbo(x, latent, nn.autoencoder.bernoulli_log_likelihood)
        return of_one, nn.autoencoder.importance_bound(
            x, latent, nn.autoencoder.bernoulli_log_likelihood
        )

    of_one, weighted = jax.lax.map(part, jax.random.split(key, DRAWS // PARTS))
    # The bounds of the parts are logarithms of means, all over as many draws.
    return of_one.mean(axis=0), jax.nn.logsumexp(weighted, axis=0) - np.log(len(weighted))


def mixture(x: np.ndarray, test: np.ndarray, components: int) -> float:
    """Nats a test digit under a mixture of Bernoulli distributions, fitted to x by EM."""
    x, test = (np.asarray(rows, np.float64).reshape(len(rows), -1) for rows in (x, test))
    rng = np.random.default_rng(0)
    on = 0.25 + 0.5 * x[rng.choice(len(x), components, replace=False)]
    share = np.full(components, 1 / components)

    def joint(rows):
        return rows @ np.log(on).T + (1 - rows) @ np.log(1 - on).T + np.log(share)

    def total(logs):
        most = logs.max(axis=1, keepdims=True)
        return most[:, 0] + np.log(np.exp(logs - most).sum(axis=1))

    for _ in range(ROUNDS):
        logs = joint(x)
        belongs = np.exp(logs - total(logs)[:, None])
        held = belongs.sum(axis=0)
        on = (belongs.T @ x + 0.5) / (held[:, None] + 1)  # no pixel is ever impossible
        share = (held + 1) / (len(x) + components)
    return float(-total(joint(test)).mean())


def run(options: Options) -> Result:
    digits = data.digits()
    test = binary(digits.test_x[:100] if options.quick else digits.test_x)
    step, train, _ = plan(options)
    end = nn.training.fit(
        step,
        train,
        digits.x.reshape(-1, 28, 28, 1),
        steps=length(options),
        batch_size=BATCH,
        every=50,
    )
    params = end.train.params
    # In parts, since every row brings PARTS rows for the decoder.
    parts = [bounds(params, part, jax.random.key(0)) for part in np.split(test, len(test) // 100)]
    of_one, weighted = (np.concatenate(each) for each in zip(*parts, strict=True))
    alone, beside = (mixture(binary(digits.x), test, n) for n in (1, COMPONENTS))
    nats = float(-weighted.mean())
    used = nn.training.evaluate(bound, end.train, test, batch_size=len(test))
    return Result(
        checks=(Check("nats", nats, THRESHOLD, higher_is_better=False),),
        baseline=f"mixture of {COMPONENTS} Bernoulli distributions",
        baseline_value=beside,
        steps=length(options),
        parameters=nn.count_params(train.params),
        metrics={
            "negative_elbo": float(-of_one.mean()),
            "rate": used["rate"],
            "distortion": used["distortion"],
            "nats_saved": alone - nats,  # against pixels that know nothing of each other
        },
        history=end.history,
        figures={
            "samples": samples(params),
            "walk": walk(params, digits.test_x, digits.test_y),
        },
    )


def decoded(params, code: jax.Array) -> np.ndarray:
    """The probability of ink [rows, 28, 28] for codes [rows, LATENTS]."""
    return np.asarray(jax.nn.sigmoid(decoder(params["decoder"], code)))[..., 0]


def tiled(pictures: np.ndarray, columns: int) -> np.ndarray:
    """Pictures [rows, 28, 28] side by side, as one."""
    grid = pictures.reshape(-1, columns, 28, 28)
    return grid.transpose(0, 2, 1, 3).reshape(-1, columns * 28)


def samples(params) -> Figure:
    """Digits that nobody wrote: codes drawn from the prior, decoded."""
    figure = Figure(figsize=(8, 8.4), layout="constrained")
    axes = figure.subplots()
    code = jax.random.normal(jax.random.key(0), (144, LATENTS))
    axes.imshow(tiled(decoded(params, code), 12), cmap="gray_r", vmin=0, vmax=1)
    axes.set_title("Digits that nobody wrote: 144 codes drawn from the prior", fontsize=13)
    axes.axis("off")
    return figure


def walk(params, x: np.ndarray, y: np.ndarray) -> Figure:
    """From the code of each test digit, 0 to 8, to that of the next, in equal steps."""
    first = [int(np.flatnonzero(y == digit)[0]) for digit in range(10)]
    means = encoder(params["encoder"], jnp.asarray(x[first]).reshape(-1, 28, 28, 1))[:, :LATENTS]
    along = jnp.linspace(0, 1, 11)[:, None, None]
    codes = (1 - along) * means[None, :-1] + along * means[None, 1:]
    figure = Figure(figsize=(8, 7.2), layout="constrained")
    axes = figure.subplots()
    codes = codes.transpose(1, 0, 2).reshape(-1, LATENTS)
    axes.imshow(tiled(decoded(params, codes), 11), cmap="gray_r", vmin=0, vmax=1)
    axes.set_title("A walk through latent space, from each digit to the next", fontsize=13)
    axes.axis("off")
    return figure

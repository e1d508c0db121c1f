"""A variational autoencoder learns digits: how likely it finds new ones, and digits it generates.

Gray pixels are treated as probabilities: every step samples new black or white pixels, from digits
that are rotated, scaled and moved a little. The pixels of the test digits are sampled only once.
Their likelihood is measured by the importance-weighted bound with 500 samples of the code, and
compared with that of a mixture of Bernoulli distributions fitted to the same digits, whose
likelihood is exact. Widths, latents and number of steps were chosen on 800 of the 4000 digits.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import jaxnn as nn
from examples import Check, Options, Result, data
from examples.common.images import tiled, warped

THRESHOLD = 110.0  # nats a digit, by the importance-weighted bound
LATENTS = 20  # numbers in the code
WIDTHS = (400, 400)  # of the hidden layers on each side of the code
DRAWS = 500  # samples of the code of a test digit
PARTS = 50  # samples at once; it divides DRAWS
COMPONENTS = 40  # of the mixture
ROUNDS = 30  # of its expectation maximization
RATE = 1e-3  # the highest learning rate
DECAY = 1e-2  # of the weights
BATCH = 128
STEPS = 6000
QUICK_STEPS = 150

encoder, decoder = nn.autoencoder.dense_coder(
    (28, 28, 1), 2 * LATENTS, *WIDTHS, activation=jax.nn.gelu
)
net = nn.autoencoder.variational(encoder, decoder)
likelihood = nn.autoencoder.bernoulli_log_likelihood
bound = nn.autoencoder.variational_loss(net, LATENTS, likelihood)


def loss(params, state, batch, *, key, train):
    """The negative bound; in training, of warped digits with newly sampled pixels."""
    if train:
        batch = warped(jax.random.fold_in(key, 0), batch)
        batch = jax.random.bernoulli(jax.random.fold_in(key, 1), jnp.clip(batch, 0, 1))
        batch, key = batch.astype(jnp.float32), jax.random.fold_in(key, 2)
    return bound(params, state, batch, key=key, train=train)


def length(options: Options) -> int:
    return QUICK_STEPS if options.quick else STEPS


def plan(options: Options):
    rate = optax.warmup_cosine_decay_schedule(0.0, RATE, 100, max(length(options), 200))
    optimizer = optax.adamw(rate, weight_decay=DECAY)
    x = jax.ShapeDtypeStruct((BATCH, 28, 28, 1), jnp.float32)
    noise = jax.ShapeDtypeStruct((BATCH, 1, LATENTS), jnp.float32)
    train = nn.training.init_train(net, optimizer, jax.random.key(options.seed), (x, noise))
    return nn.training.step(loss, optimizer), train, x


def binary(x: np.ndarray) -> np.ndarray:
    """Digits [rows, 28, 28, 1] of sampled pixels, the same at every call."""
    drawn = np.random.default_rng(0).random(x.shape) < x
    return drawn.astype(np.float32).reshape(-1, 28, 28, 1)


@jax.jit
def bounds(params, x: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(the evidence lower bound, the importance-weighted one), each [rows], in nats.

    Both are of digits [rows, 28, 28, 1], with DRAWS samples of the code.
    """

    def part(key):
        noise = jax.random.normal(key, (len(x), PARTS, LATENTS))
        latent = net(params, (x, noise))
        elbo = nn.autoencoder.elbo(x, latent, likelihood)
        return elbo, nn.autoencoder.importance_bound(x, latent, likelihood)

    elbo, weighted = jax.lax.map(part, jax.random.split(key, DRAWS // PARTS))
    # The bound of a part is the logarithm of a mean, and all parts have equally many samples.
    return elbo.mean(axis=0), jax.nn.logsumexp(weighted, axis=0) - np.log(len(weighted))


def all_bounds(params, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`bounds` of any multiple of 100 digits."""
    # In parts of 100 rows, because the decoder gets PARTS codes of every row at once.
    parts = [bounds(params, part, jax.random.key(0)) for part in np.split(x, len(x) // 100)]
    elbo, weighted = zip(*parts, strict=True)
    return np.concatenate(elbo), np.concatenate(weighted)


def mixture(x: np.ndarray, test: np.ndarray, components: int) -> float:
    """Nats a test digit under a mixture of Bernoulli distributions, fitted to x by EM."""
    x, test = (np.asarray(rows, np.float64).reshape(len(rows), -1) for rows in (x, test))
    rng = np.random.default_rng(0)
    on = 0.25 + 0.5 * x[rng.choice(len(x), components, replace=False)]
    share = np.full(components, 1 / components)

    def joint(rows):
        return rows @ np.log(on).T + (1 - rows) @ np.log(1 - on).T + np.log(share)

    def total(logs):
        largest = logs.max(axis=1, keepdims=True)
        return largest[:, 0] + np.log(np.exp(logs - largest).sum(axis=1))

    for _ in range(ROUNDS):
        logs = joint(x)
        responsibility = np.exp(logs - total(logs)[:, None])
        counts = responsibility.sum(axis=0)
        on = (responsibility.T @ x + 0.5) / (counts[:, None] + 1)  # no pixel is ever impossible
        share = (counts + 1) / (len(x) + components)
    return float(-total(joint(test)).mean())


def run(options: Options) -> Result:
    digits = data.digits()
    x = digits.x.reshape(-1, 28, 28, 1)
    test = binary(digits.test_x[:100] if options.quick else digits.test_x)
    step, train, _ = plan(options)
    steps = length(options)
    end = nn.training.fit(step, train, x, steps=steps, batch_size=BATCH, every=50)
    params = end.train.params
    elbo, weighted = all_bounds(params, test)
    independent, mixed = (mixture(binary(digits.x), test, n) for n in (1, COMPONENTS))
    nats = float(-weighted.mean())
    terms = nn.training.evaluate(bound, end.train, test, batch_size=len(test))
    return Result(
        checks=(Check("nats", nats, THRESHOLD, higher_is_better=False),),
        baseline=f"mixture of {COMPONENTS} Bernoulli distributions",
        baseline_value=mixed,
        steps=steps,
        parameters=nn.count_params(params),
        metrics={
            "negative_elbo": float(-elbo.mean()),
            "rate": terms["rate"],
            "distortion": terms["distortion"],
            "nats_saved": independent - nats,  # compared with independent pixels
        },
        history=end.history,
        figures={"samples": samples(params), "walk": walk(params, digits.test_x, digits.test_y)},
    )


def decoded(params, code: jax.Array) -> np.ndarray:
    """The probability of a black pixel [rows, 28, 28] for codes [rows, LATENTS]."""
    return np.asarray(jax.nn.sigmoid(decoder(params["decoder"], code)))[..., 0]


def samples(params) -> Figure:
    """Generated digits: codes sampled from the prior, decoded."""
    figure = Figure(figsize=(8, 8.4), layout="constrained")
    axes = figure.subplots()
    code = jax.random.normal(jax.random.key(0), (144, LATENTS))
    axes.imshow(tiled(decoded(params, code), 12), cmap="gray_r", vmin=0, vmax=1)
    axes.set_title("Generated digits: 144 codes sampled from the prior", fontsize=13)
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

"""Recurrent networks foresee sunspots a year ahead, and air travel two years ahead, with a band.

A gated recurrent network of 16 numbers reads a series step by step and puts out a normal
distribution of the next value: its mean and the logarithm of its deviation, learned by likelihood
from windows of the series with some noise added. Sixteen of them learn side by side, and what they
foresee is the mixture of their distributions: the forecast is its mean, and the band holds the
middle 90 % of it. Sunspots are learned up to 1920 as square roots, and each of the 35 years after
is foreseen from all before it. The passengers of ten years are learned as logarithms of their ratio
to the year before; then two years are drawn, each month from the months drawn before, by the same
cell one step at a time.

All that is fixed here was chosen on spans of 40 years between 1801 and 1920, each foreseen by what
was learned from the years before it, and looked at on passengers of the eighth to the tenth year;
what the bars judge chose nothing. The bar for passengers is the error of saying again what the same
month had a year before, which is told the first of the two years when it foresees the second.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure
from statsmodels.tsa.ar_model import AutoReg

import jaxnn as nn
from examples import Check, Options, Result, data

SUNSPOTS_THRESHOLD = 13.9  # root of the mean squared error, in sunspots
PASSENGERS_THRESHOLD = 10.5  # mean absolute error in per cent of the truth
FIRST, LAST = 1921, 1955  # the years foreseen
MONTHS = 24  # foreseen
BAND = (5, 95)  # per cent of the mixture below its edges
MEMBERS, WIDTH, WINDOW, WARM = 16, 16, 36, 12  # the first WARM steps of a window are not judged
NOISE, BATCH, STEPS, QUICK_STEPS = 0.1, 32, 120, 60
DRAWS, QUICK_DRAWS = 250, 100  # of each member

cell = nn.rnn_tagger(nn.rnn(nn.gru, WIDTH), 2)
members = nn.ensemble(nn.unroll(cell), MEMBERS)


class Learned(NamedTuple):
    """The params of all members, and the scale of the values that they know."""

    params: object
    middle: float
    spread: float


def loss(params, state, batch, *, key, train):
    """The mean over steps of -log p(next value), summed over members."""
    seen, wanted = batch[:, :-1, None], batch[None, :, 1:, None]
    if train:
        seen = seen + NOISE * jax.random.normal(jax.random.fold_in(key, 0), seen.shape, seen.dtype)
    y, state = members.apply(params, state, seen, key=key, train=train)
    mean, log_deviation = jnp.split(y, 2, axis=-1)
    miss = (wanted - mean) * jnp.exp(-log_deviation)
    each = 0.5 * jnp.square(miss) + log_deviation + 0.5 * jnp.log(2 * jnp.pi)
    return each[:, :, WARM:].mean(axis=(1, 2, 3)).sum(), (state, {})


def length(options: Options) -> int:
    return QUICK_STEPS if options.quick else STEPS


def plan(options: Options):
    steps = length(options)
    schedule = optax.warmup_cosine_decay_schedule(0.0, 1e-2, 20, steps)
    optimizer = optax.chain(
        optax.clip_by_global_norm(5.0), optax.adamw(schedule, weight_decay=1e-2)
    )
    batch = jax.ShapeDtypeStruct((BATCH, WINDOW + 1), jnp.float32)
    seen = jax.ShapeDtypeStruct((BATCH, WINDOW, 1), jnp.float32)
    train = nn.training.init_train(members, optimizer, jax.random.key(options.seed), seen)
    return nn.training.step(loss, optimizer), train, batch


def learn(options: Options, values: np.ndarray) -> tuple[Learned, nn.training.FitResult]:
    """All members, learned from all windows of a series."""
    middle, spread = float(values.mean()), float(values.std())
    scaled = ((values - middle) / spread).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(scaled, WINDOW + 1)
    step, train, _ = plan(options)
    end = nn.training.fit(
        step, train, np.array(windows), steps=length(options), batch_size=BATCH, every=10
    )
    return Learned(end.train.params, middle, spread), end


def ahead(learned: Learned, values: np.ndarray, key: jax.Array, draws: int) -> np.ndarray:
    """Draws of the value after each, from all before it: [members * draws, steps]."""
    scaled = jnp.asarray((values - learned.middle) / learned.spread, jnp.float32)[None, :, None]
    mean, log_deviation = jnp.split(members(learned.params, scaled)[:, 0], 2, axis=-1)
    noise = jax.random.normal(key, (len(mean), mean.shape[1], draws))
    drawn = mean + jnp.exp(log_deviation) * noise
    drawn = jnp.swapaxes(drawn, 1, 2).reshape(-1, len(values))
    return np.asarray(drawn) * learned.spread + learned.middle


def paths(learned: Learned, values: np.ndarray, key: jax.Array, steps: int, draws: int):
    """Draws of the next values, each from those drawn before it: [members * draws, steps]."""
    scaled = jnp.asarray((values - learned.middle) / learned.spread, jnp.float32)
    seen = jnp.broadcast_to(scaled[None, :, None], (draws, len(values), 1))

    def of_member(params, key):
        def walk(memory, key):
            carry, y = memory
            drawn = y[..., :1] + jnp.exp(y[..., 1:]) * jax.random.normal(key, (draws, 1, 1))
            (carry, y), _ = cell.apply(params, (), (carry, drawn))
            return (carry, y), drawn[:, 0, 0]

        (carry, y), _ = cell.apply(params, (), (cell.carry(params, seen), seen))
        _, path = jax.lax.scan(walk, (carry, y[:, -1:]), jax.random.split(key, steps))
        return path.T

    drawn = jax.jit(jax.vmap(of_member))(learned.params, jax.random.split(key, MEMBERS))
    return np.asarray(drawn).reshape(-1, steps) * learned.spread + learned.middle


def sunspots_foreseen(options: Options, numbers: np.ndarray, first: int):
    """(draws of the numbers from index `first` on, the run): each a year ahead."""
    learned, end = learn(options, np.sqrt(numbers[:first]))
    draws = QUICK_DRAWS if options.quick else DRAWS
    key = jax.random.fold_in(jax.random.key(options.seed), 1)
    drawn = ahead(learned, np.sqrt(numbers[:-1]), key, draws)[:, first - 1 :]
    return np.square(np.maximum(drawn, 0)), end


def passengers_foreseen(options: Options, known: np.ndarray):
    """(draws of the MONTHS after those known, the run)."""
    growth = np.log(known[12:] / known[:-12])
    learned, end = learn(options, growth)
    draws = QUICK_DRAWS if options.quick else DRAWS
    key = jax.random.fold_in(jax.random.key(options.seed), 2)
    drawn = paths(learned, growth, key, MONTHS, draws).reshape(-1, MONTHS // 12, 12)
    return (known[-12:] * np.exp(drawn.cumsum(axis=1))).reshape(-1, MONTHS), end


def root_mean_square(miss: np.ndarray) -> float:
    return float(np.sqrt(np.square(miss).mean()))


def per_cent_off(guess: np.ndarray, truth: np.ndarray) -> float:
    return float(100 * (np.abs(guess - truth) / truth).mean())


def held(drawn: np.ndarray, truth: np.ndarray) -> float:
    """The share of the truth that lies within the band."""
    low, high = np.percentile(drawn, BAND, axis=0)
    return float(((low <= truth) & (truth <= high)).mean())


def autoregression(numbers: np.ndarray, first: int) -> np.ndarray:
    """Each number from index `first` on as a linear function of 12 before, by least squares."""
    found = AutoReg(numbers[:first].astype(float), 12).fit()
    return np.asarray(found.apply(numbers.astype(float)).predict(first, len(numbers) - 1))


def run(options: Options) -> Result:
    spots, passengers = data.sunspots(), data.air_passengers()
    first, last = (int(np.flatnonzero(spots.time == year)[0]) for year in (FIRST, LAST))
    numbers = spots.values[: last + 1]
    spots_drawn, end = sunspots_foreseen(options, numbers, first)
    lagged = autoregression(numbers, first)
    years = numbers[first:]

    known, months = passengers.values[:-MONTHS], passengers.values[-MONTHS:]
    passengers_drawn, _ = passengers_foreseen(options, known)
    naive, told = np.tile(known[-12:], MONTHS // 12), passengers.values[-MONTHS - 12 : -12]
    return Result(
        checks=(
            Check(
                "sunspots_rmse",
                root_mean_square(spots_drawn.mean(axis=0) - years),
                SUNSPOTS_THRESHOLD,
                higher_is_better=False,
            ),
            Check(
                "passengers_mape",
                per_cent_off(passengers_drawn.mean(axis=0), months),
                PASSENGERS_THRESHOLD,
                higher_is_better=False,
            ),
        ),
        baseline="autoregression of 12 lags, on the same years",
        baseline_value=root_mean_square(lagged - years),
        steps=length(options),
        parameters=nn.count_params(end.train.params),
        metrics={
            "sunspots_in_band": held(spots_drawn, years),
            "passengers_in_band": held(passengers_drawn, months),
            "passengers_mape_of_the_year_before": per_cent_off(told, months),
            "passengers_mape_of_the_last_known_year": per_cent_off(naive, months),
        },
        history=end.history,
        figures={
            "forecasts": draw(spots, (spots_drawn, lagged), passengers, (passengers_drawn, naive))
        },
    )


def draw(spots: data.Series, foreseen, passengers: data.Series, foreseen_months) -> Figure:
    """Both series at their ends, with the forecasts and their bands."""
    figure = Figure(figsize=(14, 9), layout="constrained")
    upper, lower = figure.subplots(2, 1)
    parts = (
        (upper, spots, foreseen, FIRST, LAST, "autoregression of 12 lags"),
        (lower, passengers, foreseen_months, 1959, 1961, "the same month of the last known year"),
    )
    for axes, series, (drawn, beside), first, last, title in parts:
        shown = (series.time >= first - 40) & (series.time <= last)
        at = series.time[(series.time >= first) & (series.time <= last)]
        low, high = np.percentile(drawn, BAND, axis=0)
        axes.fill_between(at, low, high, color="tab:blue", alpha=0.2, label="middle 90 % foreseen")
        axes.plot(at, drawn.mean(axis=0), "tab:blue", label="foreseen by the networks")
        axes.plot(at, beside, "tab:orange", ls="--", label=title)
        axes.plot(series.time[shown], series.values[shown], "k.-", lw=1, label="measured")
        axes.axvline(first - 0.5 * (at[1] - at[0]), color="grey", ls=":")
        axes.legend(loc="upper left")
    upper.set(title=f"Sunspots, each year foreseen from those before, learned up to {FIRST - 1}")
    upper.set(xlabel="year", ylabel="sunspots (mean of the year)")
    lower.set(title=f"Air passengers, {MONTHS} months foreseen at once from the 120 before")
    lower.set(xlabel="year", ylabel="passengers a month (thousands)")
    return figure

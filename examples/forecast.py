"""Recurrent networks predict sunspots a year ahead and air travel two years ahead, with a band.

A gated recurrent network with 16 numbers of state reads a series step by step and outputs a normal
distribution of the next value: its mean and the logarithm of its standard deviation. It is trained
by likelihood on windows of the series with added noise. Sixteen of these networks are trained side
by side. Their prediction is the mixture of their distributions: the forecast is its mean, and the
band contains its middle 90 %. Sunspots are trained on up to 1920, as square roots, and each of the
35 years after is predicted from all years before it. Air passengers are trained on for ten years,
as logarithms of their ratio to the year before; then two years are sampled, each month from the
months sampled before it, by the same cell one step at a time.

All fixed choices were made on spans of 40 years between 1801 and 1920, each predicted after
training on the years before it, and checked on passengers of the eighth to the tenth year; no
choice was made on the values that the thresholds judge. The threshold for passengers is the error
of repeating the value of the same month of the year before, which knows the first of the two years
when it predicts the second.
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
PASSENGERS_THRESHOLD = 10.5  # mean absolute error, in percent of the truth
FIRST = 1921  # the first year that is predicted
LAST = 1955  # the last one
MONTHS = 24  # predicted at once
LAGS = 12  # of the autoregression
BAND = (5, 95)  # the percentiles of the mixture at the edges of the band
MEMBERS = 16  # networks side by side
WIDTH = 16  # numbers in the state of each
WINDOW = 36  # steps of a window
WARM = 12  # the first steps of a window, which have no loss
NOISE = 0.1  # the standard deviation of what is added to a value
RATE = 1e-2  # the highest learning rate
DECAY = 1e-2  # of the weights
BATCH = 32
STEPS = 120
QUICK_STEPS = 60
DRAWS = 250  # samples of each network
QUICK_DRAWS = 100

cell = nn.rnn_tagger(nn.rnn(nn.gru, WIDTH), 2)
members = nn.ensemble(nn.unroll(cell), MEMBERS)


class Learned(NamedTuple):
    """The params of all members, and the mean and standard deviation of their training values."""

    params: object
    mean: float
    spread: float


def loss(params, state, batch, *, key, train):
    """The mean over steps of -log p(next value), summed over members."""
    seen, target = batch[:, :-1, None], batch[None, :, 1:, None]
    if train:
        seen = seen + NOISE * jax.random.normal(jax.random.fold_in(key, 0), seen.shape, seen.dtype)
    y, state = members.apply(params, state, seen, key=key, train=train)
    mean, log_deviation = jnp.split(y, 2, axis=-1)
    error = (target - mean) * jnp.exp(-log_deviation)
    each = 0.5 * jnp.square(error) + log_deviation + 0.5 * jnp.log(2 * jnp.pi)
    return each[:, :, WARM:].mean(axis=(1, 2, 3)).sum(), (state, {})


def length(options: Options) -> int:
    return QUICK_STEPS if options.quick else STEPS


def draws(options: Options) -> int:
    return QUICK_DRAWS if options.quick else DRAWS


def plan(options: Options):
    schedule = optax.warmup_cosine_decay_schedule(0.0, RATE, 20, length(options))
    optimizer = optax.chain(
        optax.clip_by_global_norm(5.0), optax.adamw(schedule, weight_decay=DECAY)
    )
    batch = jax.ShapeDtypeStruct((BATCH, WINDOW + 1), jnp.float32)
    seen = jax.ShapeDtypeStruct((BATCH, WINDOW, 1), jnp.float32)
    train = nn.training.init_train(members, optimizer, jax.random.key(options.seed), seen)
    return nn.training.step(loss, optimizer), train, batch


def learn(options: Options, values: np.ndarray) -> tuple[Learned, nn.training.FitResult]:
    """Train all members on all windows of a series."""
    mean, spread = float(values.mean()), float(values.std())
    scaled = ((values - mean) / spread).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(scaled, WINDOW + 1)
    step, train, _ = plan(options)
    end = nn.training.fit(
        step, train, np.array(windows), steps=length(options), batch_size=BATCH, every=10
    )
    return Learned(end.train.params, mean, spread), end


def ahead(learned: Learned, values: np.ndarray, key: jax.Array, draws: int) -> np.ndarray:
    """Samples [members * draws, steps] of the value after each one, from all up to that one."""
    scaled = jnp.asarray((values - learned.mean) / learned.spread, jnp.float32)[None, :, None]
    mean, log_deviation = jnp.split(members(learned.params, scaled)[:, 0], 2, axis=-1)
    noise = jax.random.normal(key, (len(mean), mean.shape[1], draws))
    drawn = mean + jnp.exp(log_deviation) * noise
    drawn = jnp.swapaxes(drawn, 1, 2).reshape(-1, len(values))
    return np.asarray(drawn) * learned.spread + learned.mean


def paths(learned: Learned, values: np.ndarray, key: jax.Array, steps: int, draws: int):
    """Samples [members * draws, steps] of the next values, each from those sampled before it."""
    scaled = jnp.asarray((values - learned.mean) / learned.spread, jnp.float32)
    seen = jnp.broadcast_to(scaled[None, :, None], (draws, len(values), 1))

    def of_member(params, key):
        def walk(carry_y, key):
            carry, y = carry_y
            drawn = y[..., :1] + jnp.exp(y[..., 1:]) * jax.random.normal(key, (draws, 1, 1))
            (carry, y), _ = cell.apply(params, (), (carry, drawn))
            return (carry, y), drawn[:, 0, 0]

        (carry, y), _ = cell.apply(params, (), (cell.carry(params, seen), seen))
        _, path = jax.lax.scan(walk, (carry, y[:, -1:]), jax.random.split(key, steps))
        return path.T

    drawn = jax.jit(jax.vmap(of_member))(learned.params, jax.random.split(key, MEMBERS))
    return np.asarray(drawn).reshape(-1, steps) * learned.spread + learned.mean


def sunspots(options: Options, numbers: np.ndarray, first: int):
    """(samples of the numbers from index `first` on, each a year ahead, the run of `fit`)."""
    learned, end = learn(options, np.sqrt(numbers[:first]))
    key = jax.random.fold_in(jax.random.key(options.seed), 1)
    drawn = ahead(learned, np.sqrt(numbers[:-1]), key, draws(options))[:, first - 1 :]
    return np.square(np.maximum(drawn, 0)), end


def passengers(options: Options, known: np.ndarray) -> np.ndarray:
    """Samples of the MONTHS after the known ones."""
    growth = np.log(known[12:] / known[:-12])
    learned, _ = learn(options, growth)
    key = jax.random.fold_in(jax.random.key(options.seed), 2)
    drawn = paths(learned, growth, key, MONTHS, draws(options)).reshape(-1, MONTHS // 12, 12)
    return (known[-12:] * np.exp(drawn.cumsum(axis=1))).reshape(-1, MONTHS)


def autoregression(numbers: np.ndarray, first: int) -> np.ndarray:
    """Each number from index `first` on, as a linear function of LAGS before, by least squares."""
    fitted = AutoReg(numbers[:first].astype(float), LAGS).fit()
    return np.asarray(fitted.apply(numbers.astype(float)).predict(first, len(numbers) - 1))


def root_mean_square(error: np.ndarray) -> float:
    return float(np.sqrt(np.square(error).mean()))


def percentage_error(guess: np.ndarray, truth: np.ndarray) -> float:
    """The mean absolute error in percent of the truth."""
    return float(100 * (np.abs(guess - truth) / truth).mean())


def coverage(drawn: np.ndarray, truth: np.ndarray) -> float:
    """The share of the truth that is within the band."""
    low, high = np.percentile(drawn, BAND, axis=0)
    return float(((low <= truth) & (truth <= high)).mean())


class Forecast(NamedTuple):
    """A forecast of the end of a series.

    drawn: [draws, steps], samples.
    baseline: [steps], another forecast.
    truth: [steps].
    """

    drawn: np.ndarray
    baseline: np.ndarray
    truth: np.ndarray


def run(options: Options) -> Result:
    spots, travel = data.sunspots(), data.air_passengers()
    first, last = (int(np.flatnonzero(spots.time == year)[0]) for year in (FIRST, LAST))
    numbers = spots.values[: last + 1]
    drawn, end = sunspots(options, numbers, first)
    years = Forecast(drawn, autoregression(numbers, first), numbers[first:])
    spots_error = root_mean_square(years.drawn.mean(axis=0) - years.truth)

    known, truth = travel.values[:-MONTHS], travel.values[-MONTHS:]
    months = Forecast(passengers(options, known), np.tile(known[-12:], MONTHS // 12), truth)
    travel_error = percentage_error(months.drawn.mean(axis=0), truth)
    year_before = percentage_error(travel.values[-MONTHS - 12 : -12], truth)
    return Result(
        checks=(
            Check("sunspots_rmse", spots_error, SUNSPOTS_THRESHOLD, higher_is_better=False),
            Check("passengers_mape", travel_error, PASSENGERS_THRESHOLD, higher_is_better=False),
        ),
        baseline="autoregression of 12 lags, on the same years",
        baseline_value=root_mean_square(years.baseline - years.truth),
        steps=length(options),
        parameters=nn.count_params(end.train.params),
        metrics={"sunspots_in_band": coverage(years.drawn, years.truth)}
        | {"passengers_in_band": coverage(months.drawn, truth)}
        | {"passengers_mape_of_the_year_before": year_before}
        | {"passengers_mape_of_the_last_known_year": percentage_error(months.baseline, truth)},
        history=end.history,
        figures={"forecasts": draw(spots, years, travel, months)},
    )


def draw(spots: data.Series, years: Forecast, travel: data.Series, months: Forecast) -> Figure:
    """Both series at their ends, with the forecasts and their bands."""
    figure = Figure(figsize=(14, 9), layout="constrained")
    upper, lower = figure.subplots(2, 1)
    panels = (
        (upper, spots, years, FIRST, LAST, "autoregression of 12 lags"),
        (lower, travel, months, 1959, 1961, "the same month of the last known year"),
    )
    for axes, series, forecast, first, last, title in panels:
        shown = (series.time >= first - 40) & (series.time <= last)
        time = series.time[(series.time >= first) & (series.time <= last)]
        low, high = np.percentile(forecast.drawn, BAND, axis=0)
        axes.fill_between(time, low, high, color="tab:blue", alpha=0.2, label="predicted: 90 %")
        axes.plot(time, forecast.drawn.mean(axis=0), "tab:blue", label="predicted: mean")
        axes.plot(time, forecast.baseline, "tab:orange", ls="--", label=title)
        axes.plot(series.time[shown], series.values[shown], "k.-", lw=1, label="measured")
        axes.axvline(first - 0.5 * (time[1] - time[0]), color="gray", ls=":")
        axes.legend(loc="upper left")
    upper.set(title=f"Sunspots, each year predicted from those before; trained up to {FIRST - 1}")
    upper.set(xlabel="year", ylabel="sunspots (mean of the year)")
    lower.set(title=f"Air passengers, {MONTHS} months predicted at once from the 120 before")
    lower.set(xlabel="year", ylabel="passengers a month (thousands)")
    return figure

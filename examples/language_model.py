"""A transformer learns to write like Shakespeare, a character at a time.

The standard run is nanoGPT's for a CPU: 4 blocks of 4 heads, 128 wide, 64 characters of context, 12
pieces of text a step, 2000 steps, for which nanoGPT gives 1.88 nats a character on the last tenth
of the text. Here all of that tenth is measured, in pieces of 64 characters, so that the first of
each has nothing before it. Beside it stands what lzma takes for a character, once it has read the
other nine tenths. Where PyTorch is installed, the same net goes there through the same loop from
the same params, in turns with ours, and both are timed. `--large` trains a net of more params, for
longer and on longer pieces; it goes on where it was stopped. Rates were chosen on the last ninth of
the text to learn from.
"""

import argparse
import importlib.util
import lzma
import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import jaxnn as nn
from examples import Check, Options, Result, data
from examples.data.text import windows
from examples.data.tokens import Tokens, characters

THRESHOLD, LARGE_THRESHOLD = 1.85, 1.60  # nats a character on the last tenth of the text
# The mark is 1.0. It is missed by some percent where PyTorch's matmuls are 1.3 times as fast as
# XLA's: benchmarks/README.md.
TIME_THRESHOLD = 1.1
VOCABULARY = 69  # 65 characters and 4 special tokens
ROWS = 128  # pieces measured at once


class Scale(NamedTuple):
    """The net, and how it learns.

    context: characters of a piece; the pieces to learn from lie a stride apart.
    every: steps between measurements.
    shown: characters written at the end.
    """

    width: int
    depth: int
    heads: int
    context: int
    batch: int
    steps: int
    every: int
    rate: float
    dropout: float = 0.0
    stride: int = 1
    positions: str = "learned"
    shown: int = 512


STANDARD = Scale(128, 4, 4, 64, 12, 2000, 200, 4e-3)
QUICK = STANDARD._replace(width=64, depth=2, steps=120, every=40, stride=16, rate=1e-2, shown=64)
LARGE = Scale(192, 6, 6, 128, 32, 4000, 250, 2e-3, 0.1, 2, "rotary")


def flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--large", action="store_true", help="a larger net, for about an hour")


def scale(options: Options) -> Scale:
    if options.quick:
        return QUICK
    return LARGE if getattr(options.own, "large", False) else STANDARD


# The net and its loop


def model(of: Scale, capacity: int | None = None) -> Any:
    return nn.language_model(
        VOCABULARY,
        of.width,
        of.depth,
        of.heads,
        length=of.context,
        positions=of.positions,
        capacity=capacity,
        dropout=of.dropout,
        attention_dropout=0.0,
        unroll=of.depth,
    )


def objective(of: Scale) -> Callable:
    """The cross entropy of each character of pieces [rows, context + 1] after those before it."""
    plain = nn.training.supervised(
        model(of), optax.softmax_cross_entropy_with_integer_labels, {"accuracy": nn.accuracy}
    )

    def loss(params, state, batch, *, key=None, train=False):
        pair = batch[:, :-1], batch[:, 1:].astype(jnp.int32)
        return plain(params, state, pair, key=key, train=train)

    return loss


def schedule(of: Scale) -> optax.Schedule:
    return optax.warmup_cosine_decay_schedule(0.0, of.rate, of.steps // 20, of.steps, of.rate / 10)


def learner(of: Scale) -> tuple:
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(schedule(of), b1=0.9, b2=0.99, weight_decay=0.1, mask=nn.decayed),
    )
    loss = objective(of)
    return loss, optimizer, nn.training.step(loss, optimizer)


def plan(options: Options):
    of = scale(options)
    _, optimizer, step = learner(of)
    # 12 rows do not share out among 8 devices.
    batch = jax.ShapeDtypeStruct((-(-of.batch // 8) * 8, of.context + 1), jnp.uint8)
    tokens = jax.ShapeDtypeStruct((of.batch, of.context), jnp.uint8)
    train = nn.training.init_train(model(of), optimizer, jax.random.key(options.seed), tokens)
    return step, train, batch


def run(options: Options) -> Result:
    of = scale(options)
    large = of is LARGE
    text, rest = data.shakespeare()
    letters = characters([text + rest])
    pieces = windows(numbers(letters, text), of.context + 1, of.stride)
    tested = windows(numbers(letters, rest), of.context + 1, of.context)
    tested = tested[:64] if options.quick else tested
    loss, optimizer, step = learner(of)
    start = pieces[: of.batch, :-1]
    train = nn.training.init_train(model(of), optimizer, jax.random.key(options.seed), start)
    other = None if large else rival(of, train.params, pieces, options.seed)
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    end = nn.training.fit(
        step,
        train,
        pieces,
        steps=of.steps,
        batch_size=of.batch,
        every=of.every,
        validate=in_turns(loss, tested, other, of, seconds),
        checkpoint=options.folder / f"checkpoint-{options.seed}" if large else None,
        save_every=2 * of.every,
    )
    found = nn.training.evaluate(loss, end.train, tested, batch_size=ROWS)
    written = write(of, letters, end.train.params, rest, options.seed)
    if not options.quick:
        print(written)
    packed = by_lzma(text, rest)
    checks = [Check("loss", found["loss"], LARGE_THRESHOLD if large else THRESHOLD, False)]
    metrics = {"accuracy": found["accuracy"], "ms_a_step": middle(seconds["ours"], of)}
    if other is not None:
        metrics["torch_ms_a_step"] = middle(seconds["theirs"], of)
        metrics["torch_loss"] = other.measure(tested)
        ratio = metrics["ms_a_step"] / metrics["torch_ms_a_step"]
        checks.append(Check("time_over_torch", ratio, TIME_THRESHOLD, False))
    return Result(
        checks=tuple(checks),
        baseline="lzma, nats a character",
        baseline_value=packed,
        steps=of.steps,
        parameters=nn.count_params(train.params),
        metrics=metrics,
        history=end.history,
        figures={"learning": draw(end.history, checks[0], packed, written)},
    )


def numbers(letters: Tokens, text: str) -> np.ndarray:
    """The tokens of a text, uint8 [time]."""
    assert letters.size == VOCABULARY
    return letters.encode([text])[0][0].astype(np.uint8)


# Beside it


def by_lzma(text: str, rest: str) -> float:
    """What the rest takes after the text, in nats a character."""
    alone, both = (len(lzma.compress(each.encode(), preset=9)) for each in (text, text + rest))
    return (both - alone) * 8 * math.log(2) / len(rest)


def rival(of: Scale, params: Any, pieces: np.ndarray, seed: int) -> Any:
    """The same net and loop in PyTorch; None where it is not installed."""
    if importlib.util.find_spec("torch") is None:
        return None
    from examples import language_model_in_torch

    rates = np.asarray(schedule(of)(jnp.arange(of.steps)))
    return language_model_in_torch.twin(params, of.heads, pieces, of.batch, rates, seed)


def in_turns(loss: Callable, tested: np.ndarray, other: Any, of: Scale, seconds: dict) -> Callable:
    """A `validate` that times the steps since the last one, and as many of the other's after it."""
    began = [time.perf_counter()]

    def validate(train):
        seconds["ours"].append(time.perf_counter() - began[0])
        if other is not None:
            began[0] = time.perf_counter()
            other.advance(of.every)
            seconds["theirs"].append(time.perf_counter() - began[0])
        found = nn.training.evaluate(loss, train, tested, batch_size=ROWS)
        began[0] = time.perf_counter()
        return found

    return validate


def middle(seconds: list[float], of: Scale) -> float:
    """Milliseconds a step: the median, without the first turn, in which is the compilation."""
    return 1e3 * float(np.median(seconds[1:] or [math.nan])) / of.every


# What it writes


def write(of: Scale, letters: Tokens, params: Any, begin: str, seed: int) -> str:
    """The first characters of `begin`, half a context, and what the net draws after them.

    Half of the context is drawn at a time: the half before it enters again at the first positions.
    """
    cell, half = model(of, capacity=of.context), of.context // 2
    text, prompt = begin[:half], letters.encode([begin[:half]])[0]
    for i in range(of.shown // half):
        key = jax.random.fold_in(jax.random.key(seed), i)
        drawn = nn.generate(cell, params, (), prompt, steps=half, key=key, temperature=0.8)
        prompt = drawn.tokens
        text += "".join(letters.names(np.asarray(prompt)[0]))
    return text


def draw(history: list[dict[str, float]], check: Check, packed: float, written: str) -> Figure:
    """How the loss fell, and what the net writes."""
    figure = Figure(figsize=(13, 6), layout="constrained")
    figure.suptitle(f"Shakespeare by the character: {check.value:.3f} nats each", fontsize=15)
    left, right = figure.subplots(1, 2, width_ratios=(1.2, 1))
    steps = [row["step"] for row in history]
    left.plot(steps, [row["loss"] for row in history], label="learned text, mean since the last")
    left.plot(steps, [row["validation_loss"] for row in history], label="the last tenth")
    left.axhline(check.threshold, color="gray", linestyle=":", label=f"bar, {check.threshold}")
    left.axhline(packed, color="tab:green", linestyle="--", label="lzma, after the learned text")
    left.set(title="Learning", xlabel="step", ylabel="loss (nats a character)")
    left.legend()
    right.axis("off")
    right.set_title("What it writes; the first lines were given")
    lines = [line[:64] for line in written.split("\n")][:26]
    right.text(0, 1, "\n".join(lines), va="top", family="monospace", fontsize=9, parse_math=False)
    return figure

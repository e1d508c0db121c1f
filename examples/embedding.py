"""A sentence encoder that others trained: near sentences, and film critics read better with it.

all-MiniLM-L6-v2 is read from its safetensors by a table of names, without PyTorch and without the
library it was made with. A sentence's embedding is the mean of what the encoder makes of its
tokens, of length one; it is compared with what `transformers` computes for the same sentences
(tests/golden/sentences.py).

Then the encoder learns which of a thousand critics liked the film. A logistic regression on the
embeddings as they came stands beside it, and is the head that it starts with: all but the tables of
tokens and positions then learn on, with dropout, for three epochs, and those params are kept that
do best on the validation rows. These are cut from the training rows and chose all else as well; the
test rows chose nothing.

(Devlin et al., BERT, 2018; Reimers and Gurevych, Sentence-BERT, 2019; the head first: Kumar et al.,
Fine-tuning can distort pretrained features, 2022.)
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

import jaxnn as nn
from examples import Check, Options, Result, data
from examples.data.split import stratified

THRESHOLD = 0.80  # accuracy on the test snippets
BAR_ERROR = 1e-5  # the largest difference of a number in an embedding from the reference's
REFERENCE = Path(__file__).parents[1] / "tests" / "golden" / "sentences.npz"
ENCODER = {
    "model_type": "bert",
    "vocab_size": 30522,
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
    "max_position_embeddings": 512,
}
RATE, WARMUP, DROPOUT, DECAY = 5e-5, 0.1, 0.1, 0.01
BATCH, POOL, ROWS = 32, 16 * 32, 64  # rows a step; sorted by length at once; rows read at once
TABLES = ("encoder/embed/*", "encoder/positions/*", "encoder/types/*")  # as they came
PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0)  # of the logistic regression, of which one is chosen
TOPICS = "music", "animals", "money", "cooking", "space", "health"  # three sentences each


class Scale(NamedTuple):
    """How much is done: rows to learn from, with those to choose by, and to test; tokens of a row;
    steps, those between validations, and how many sentences are held against the reference."""

    rows: int
    validation: int
    tested: int
    longest: int
    steps: int
    every: int
    sentences: int


FULL = Scale(8484, 800, 2121, 48, 720, 80, 21)
QUICK = Scale(384, 128, 128, 16, 8, 4, 20)  # all in one length: programs take longest to compile


class Snippets(NamedTuple):
    """Texts, whether each is in favour (1) or against (0), and x: their tokens and lengths."""

    texts: list[str]
    y: np.ndarray
    x: tuple[np.ndarray, np.ndarray]


# The network


def embedding(features: jax.Array, lengths: jax.Array) -> jax.Array:
    """The mean of features [rows, time, width] over the steps that are there, of length one."""
    mean = features.sum(1) / lengths[:, None].astype(features.dtype)
    return mean / jnp.linalg.norm(mean, axis=-1, keepdims=True)


encoder = nn.text_encoder(**nn.net_arguments(ENCODER), dropout=DROPOUT, attention_dropout=0.0)
net = nn.wire(lambda f, x: f.head(embedding(f.encoder(x), x[1])), encoder=encoder, head=nn.dense(2))
loss = nn.training.supervised(net, optax.softmax_cross_entropy_with_integer_labels)


def embed(params: Any, x: Any) -> jax.Array:
    return embedding(encoder(params["encoder"], x), x[1])


# Rows of tokens


def rounded(lengths: np.ndarray) -> int:
    """As many steps as hold all rows, one of few numbers, so that few programs are compiled."""
    return -(-int(lengths.max()) // 16) * 16


def cut(x: Any, some: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Some rows, no longer than needed."""
    tokens, lengths = x[0][some], x[1][some]
    room = np.zeros((len(some), rounded(lengths)), np.int32)
    width = min(room.shape[1], tokens.shape[1])
    room[:, :width] = tokens[:, :width]
    return room, lengths


def batches(rows: Snippets, seed: int) -> Iterator:
    """Batches without end, each of rows of like length; every epoch has its own order."""
    random = np.random.default_rng(seed)
    while True:
        order = random.permutation(len(rows.y))[: len(rows.y) // BATCH * BATCH]
        for start in range(0, len(order), POOL):
            pool = order[start : start + POOL]
            pool = pool[np.argsort(rows.x[1][pool], kind="stable")]
            for some in random.permutation(pool.reshape(-1, BATCH)):
                yield cut(rows.x, some), rows.y[some]


def over(function: Callable, params: Any, x: Any) -> np.ndarray:
    """function(params, x) of any number of rows, in parts of like length."""
    order = np.argsort(x[1], kind="stable")
    parts = [np.resize(order[i : i + ROWS], ROWS) for i in range(0, len(order), ROWS)]
    values = [np.asarray(function(params, cut(x, some))) for some in parts]
    found = np.zeros((len(order), *values[0].shape[1:]), np.float32)
    for some, value in zip(parts, values, strict=True):
        found[some] = value
    return found


# Training


def scale(options: Options) -> Scale:
    return QUICK if options.quick else FULL


def descent(steps: int) -> optax.GradientTransformationExtraArgs:
    """AdamW along a cosine, of all params but the tables."""
    rate = optax.warmup_cosine_decay_schedule(0.0, RATE, int(WARMUP * steps), steps)
    adam = optax.adamw(rate, weight_decay=DECAY, mask=nn.decayed)
    return nn.freeze(optax.chain(optax.clip_by_global_norm(1.0), adam), *TABLES)


def plan(options: Options):
    optimizer = descent(scale(options).steps)
    rows = jax.ShapeDtypeStruct((BATCH,), jnp.int32)
    x = jax.ShapeDtypeStruct((BATCH, 32), jnp.int32), rows
    train = nn.training.init_train(net, optimizer, jax.random.key(options.seed), x)
    return nn.training.step(loss, optimizer), train, (x, rows)


def regression(x: dict[str, np.ndarray], parts: dict[str, Snippets]) -> LogisticRegression:
    """The logistic regression on embeddings whose penalty does best on the validation rows."""
    machines = [LogisticRegression(C=each, max_iter=1000) for each in PENALTIES]
    for machine in machines:
        machine.fit(x["train"], parts["train"].y)
    return max(machines, key=lambda it: it.score(x["validation"], parts["validation"].y))


def headed(machine: LogisticRegression) -> dict:
    """The head that does what the logistic regression does."""
    w, b = machine.coef_[0] / 2, np.ravel(machine.intercept_)[0] / 2
    return {
        "w": jnp.asarray(np.stack([-w, w], axis=1), jnp.float32),
        "b": jnp.asarray([-b, b], jnp.float32),
    }


def run(options: Options) -> Result:
    held, texts, size = data.sentence_encoder(), data.sentiment(), scale(options)
    step, train, _ = plan(options)
    layout = nn.interop.layout_for(held.config)
    encoded = {"encoder": nn.interop.from_layout(layout, held.tensors, train.params["encoder"])}
    look, judge = jax.jit(embed), jax.jit(net)

    with np.load(REFERENCE) as reference:
        sentences, theirs = (
            reference[f"minilm/{each}"][: size.sentences] for each in ("sentences", "embeddings")
        )
    ours = over(look, encoded, held.encode(sentences.tolist(), 256))
    if not options.quick:
        tell("Nearest sentences", sentences, ours, sentences, ours, 6)

    rows = stratified(texts.x[: size.rows], texts.y[: size.rows], size.validation)
    parts = {
        part: Snippets(list(x), y, held.encode(list(x), size.longest))
        for part, x, y in (
            ("train", rows.x, rows.y),
            ("validation", rows.test_x, rows.test_y),
            ("test", texts.test_x[: size.tested], texts.test_y[: size.tested]),
        )
    }
    before = {part: over(look, encoded, snippets.x) for part, snippets in parts.items()}
    if not options.quick:
        tell(
            "Nearest snippets",
            parts["test"].texts,
            before["test"],
            parts["train"].texts,
            before["train"],
            4,
        )
    machine = regression(before, parts)

    def score(params, part) -> float:
        found = over(judge, params, parts[part].x)
        return float((found.argmax(1) == parts[part].y).mean())

    end = nn.training.fit(
        step,
        train._replace(params=encoded | {"head": headed(machine)}),
        batches(parts["train"], options.seed),
        steps=size.steps,
        every=size.every,
        validate=lambda train: {"accuracy": score(train.params, "validation")},
        monitor="accuracy",
        highest=True,
    )
    params = end.best.params
    after = over(look, params, parts["test"].x)
    plain = float(machine.score(before["test"], parts["test"].y))
    accuracy = score(params, "test")
    return Result(
        checks=(
            Check("accuracy", accuracy, THRESHOLD),
            Check("embedding_error", float(np.abs(ours - theirs).max()), BAR_ERROR, False),
        ),
        baseline="logistic regression on the embeddings as they came",
        baseline_value=plain,
        steps=size.steps,
        parameters=nn.count_params(train.params),
        metrics={
            "validation_accuracy": max(row["validation_accuracy"] for row in end.history),
            "validation_accuracy_before": score(encoded | {"head": headed(machine)}, "validation"),
        },
        history=end.history,
        figures={
            "sentences": draw_sentences(sentences[: 3 * len(TOPICS)].tolist(), ours),
            "snippets": draw_snippets(
                parts["test"].y,
                {"as it came": (before["test"], plain), "trained on": (after, accuracy)},
                end.history,
            ),
        },
    )


# What is shown


def tell(title: str, texts: Any, x: np.ndarray, others: Any, y: np.ndarray, count: int) -> None:
    """Prints the first texts, each with the nearest of the others and the cosine between them."""
    print(f"{title}:")
    for i in range(count):
        cosine = y @ x[i]
        near = next(j for j in np.argsort(-cosine) if others[j] != texts[i])
        print(f"  {texts[i]}\n    {cosine[near]:.2f}  {others[near]}")


def draw_sentences(sentences: list[str], x: np.ndarray) -> Figure:
    """Which sentences are near each other, as a matrix and as a map."""
    x = x[: len(sentences)]
    figure = Figure(figsize=(16.5, 6.6), layout="constrained")
    figure.suptitle(
        "Sentences near each other in the embedding of a pretrained encoder", fontsize=15
    )
    matrix, plane = figure.subplots(1, 2, width_ratios=(1.25, 1))
    shown = matrix.imshow(x @ x.T, cmap="viridis", vmin=0, vmax=1)
    numbers = range(1, len(sentences) + 1)
    labels = [f"{sentence} {i}" for i, sentence in zip(numbers, sentences, strict=True)]
    matrix.set_yticks(range(len(sentences)), labels, fontsize=7)
    matrix.set_anchor("E")  # the labels need the room on the left
    matrix.set_xticks(range(len(sentences)), map(str, numbers), fontsize=8)
    matrix.set(title="Cosine between embeddings", xlabel="sentence (number)")
    figure.colorbar(shown, ax=matrix, label="cosine")
    flat = PCA(2).fit_transform(x)
    for i, topic in enumerate(TOPICS):
        part = slice(3 * i, 3 * i + 3)
        plane.scatter(*flat[part].T, s=60, label=topic)
        for j in range(3 * i, 3 * i + 3):
            plane.annotate(str(j + 1), flat[j], (5, 5), textcoords="offset points", fontsize=9)
    plane.set(title="The two directions of most variance", xlabel="first (cosine)", ylabel="second")
    plane.legend(title="topic")
    return figure


def draw_snippets(y: np.ndarray, found: dict, history: list) -> Figure:
    """The test snippets before and after training, and how the validation went."""
    figure = Figure(figsize=(15, 5), layout="constrained")
    figure.suptitle("What critics wrote of films, in favour and against", fontsize=15)
    *planes, curve = figure.subplots(1, 3)
    for axes, (title, (x, accuracy)) in zip(planes, found.items(), strict=True):
        flat = PCA(2).fit_transform(x)
        for label, word, colour in ((0, "against", "tab:red"), (1, "in favour", "tab:blue")):
            axes.scatter(*flat[y == label].T, s=5, alpha=0.5, color=colour, label=word)
        axes.set(
            title=f"The encoder {title}: {100 * accuracy:.1f} % read right",
            xlabel="direction of most variance (unit length: 1)",
            ylabel="direction of second most",
        )
        axes.legend(markerscale=3)
    steps = [row["step"] for row in history]
    curve.plot(
        steps, [row["validation_accuracy"] for row in history], "o-", label="validation rows"
    )
    curve.axhline(found["as it came"][1], color="grey", ls="--", label="logistic regression (test)")
    curve.axhline(THRESHOLD, color="black", ls=":", label="the bar (test)")
    curve.set(title="Training on", xlabel="step", ylabel="accuracy (share)")
    curve.legend(loc="center right", bbox_to_anchor=(1, 0.2))
    return figure

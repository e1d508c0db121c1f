"""The run of the example: compare the embeddings, fine-tune the encoder, and measure."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.linear_model import LogisticRegression

import jaxnn as nn
from examples import Check, Options, Result, data
from examples.data.split import stratified
from examples.embedding.figures import (
    Embedded,
    Tested,
    draw_sentences,
    draw_snippets,
    print_nearest,
)
from examples.embedding.network import jitted_embed, jitted_net, loss, net
from examples.embedding.rows import Snippets, applied, batches

THRESHOLD = 0.80  # accuracy on the test snippets
ERROR = 1e-5  # the largest difference of a number in an embedding from the reference's
REFERENCE = Path(__file__).parents[2] / "tests" / "golden" / "sentences.npz"
REFERENCE_TOKENS = 256  # of a sentence, at most
FROZEN = ("encoder/embed/*", "encoder/positions/*", "encoder/types/*")
PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0)  # of the logistic regression, to choose from
RATE = 5e-5  # the highest learning rate
WARMUP = 0.1  # the share of the steps in which the learning rate rises
DECAY = 0.01  # of the weights
BATCH = 32


class Scale(NamedTuple):
    """The sizes of a run.

    rows: training snippets, those for validation included.
    validation: snippets for validation.
    tests: test snippets.
    tokens: of a snippet, at most.
    steps: update steps.
    every: steps from one validation to the next.
    sentences: compared with the reference.
    """

    rows: int
    validation: int
    tests: int
    tokens: int
    steps: int
    every: int
    sentences: int


FULL = Scale(rows=8484, validation=800, tests=2121, tokens=48, steps=720, every=80, sentences=21)
# All rows have one length, because compiling programs takes longest.
QUICK = Scale(rows=384, validation=128, tests=128, tokens=16, steps=8, every=4, sentences=20)


def scale(options: Options) -> Scale:
    return QUICK if options.quick else FULL


def optimizer(steps: int) -> optax.GradientTransformationExtraArgs:
    """AdamW along a cosine, of all params but the frozen ones."""
    rate = optax.warmup_cosine_decay_schedule(0.0, RATE, int(WARMUP * steps), steps)
    adamw = optax.adamw(rate, weight_decay=DECAY, mask=nn.decayed)
    return nn.freeze(optax.chain(optax.clip_by_global_norm(1.0), adamw), *FROZEN)


def plan(options: Options):
    adamw = optimizer(scale(options).steps)
    rows = jax.ShapeDtypeStruct((BATCH,), jnp.int32)
    x = jax.ShapeDtypeStruct((BATCH, 32), jnp.int32), rows
    train = nn.training.init_train(net, adamw, jax.random.key(options.seed), x)
    return nn.training.step(loss, adamw), train, (x, rows)


def split(pretrained: data.Pretrained, size: Scale) -> dict[str, Snippets]:
    """The snippets for training, validation and test."""
    texts = data.sentiment()
    rows = stratified(texts.x[: size.rows], texts.y[: size.rows], size.validation)
    parts = {
        "train": (rows.x, rows.y),
        "validation": (rows.test_x, rows.test_y),
        "test": (texts.test_x[: size.tests], texts.test_y[: size.tests]),
    }
    return {
        part: Snippets(list(x), y, pretrained.encode(list(x), size.tokens))
        for part, (x, y) in parts.items()
    }


def regression(x: dict[str, np.ndarray], parts: dict[str, Snippets]) -> LogisticRegression:
    """The logistic regression on embeddings whose penalty does best on the validation rows."""
    machines = [LogisticRegression(C=each, max_iter=1000) for each in PENALTIES]
    for machine in machines:
        machine.fit(x["train"], parts["train"].y)
    return max(machines, key=lambda it: it.score(x["validation"], parts["validation"].y))


def head(machine: LogisticRegression) -> dict:
    """The params of a head that computes the same as the logistic regression."""
    w, b = machine.coef_[0] / 2, np.ravel(machine.intercept_)[0] / 2
    return {
        "w": jnp.asarray(np.stack([-w, w], axis=1), jnp.float32),
        "b": jnp.asarray([-b, b], jnp.float32),
    }


def accuracy(params: Any, snippets: Snippets) -> float:
    logits = applied(jitted_net, params, snippets.x)
    return float((logits.argmax(1) == snippets.y).mean())


def fine_tuned(options: Options, start: Any, parts: dict[str, Snippets]) -> nn.training.FitResult:
    """The run of training from the params `start`."""
    step, train, _ = plan(options)
    return nn.training.fit(
        step,
        train._replace(params=start),
        batches(parts["train"], BATCH, options.seed),
        steps=scale(options).steps,
        every=scale(options).every,
        validate=lambda train: {"accuracy": accuracy(train.params, parts["validation"])},
        monitor="accuracy",
        highest=True,
    )


def reference(pretrained: data.Pretrained, params: Any, count: int) -> tuple[Embedded, Embedded]:
    """Sentences with their embeddings by `transformers`, and by our encoder."""
    with np.load(REFERENCE) as file:
        sentences = file["minilm/sentences"][:count].tolist()
        theirs = Embedded(sentences, file["minilm/embeddings"][:count])
    tokens = pretrained.encode(sentences, REFERENCE_TOKENS)
    return theirs, Embedded(sentences, applied(jitted_embed, params, tokens))


def pretrained_params(options: Options, pretrained: data.Pretrained) -> dict:
    """The params of the encoder, read from the tensors of the pretrained one."""
    _, train, _ = plan(options)
    layout = nn.interop.layout_for(pretrained.config)
    tensors = pretrained.tensors
    return {"encoder": nn.interop.from_layout(layout, tensors, train.params["encoder"])}


def run(options: Options) -> Result:
    pretrained, size = data.sentence_encoder(), scale(options)
    params, parts = pretrained_params(options, pretrained), split(pretrained, size)
    theirs, ours = reference(pretrained, params, size.sentences)
    error = float(np.abs(ours.x - theirs.x).max())
    before = {part: applied(jitted_embed, params, rows.x) for part, rows in parts.items()}
    if not options.quick:
        show_nearest(ours, parts, before)
    machine = regression(before, parts)
    start = params | {"head": head(machine)}
    end = fine_tuned(options, start, parts)
    plain, tuned = tested(machine, end.best.params, before["test"], parts["test"])
    return Result(
        checks=(
            Check("accuracy", tuned.accuracy, THRESHOLD),
            Check("embedding_error", error, ERROR, higher_is_better=False),
        ),
        baseline="logistic regression on the pretrained embeddings",
        baseline_value=plain.accuracy,
        steps=size.steps,
        parameters=nn.count_params(start),
        metrics={"validation_accuracy": max(row["validation_accuracy"] for row in end.history)}
        | {"validation_accuracy_before": accuracy(start, parts["validation"])},
        history=end.history,
        figures={
            "sentences": draw_sentences(ours),
            "snippets": draw_snippets(parts["test"].y, plain, tuned, end.history, THRESHOLD),
        },
    )


def show_nearest(sentences: Embedded, parts: dict[str, Snippets], x: dict[str, np.ndarray]) -> None:
    """Print some sentences and test snippets, each with the nearest other one."""
    print_nearest("Nearest sentences", sentences, sentences, 6)
    train, test = (Embedded(parts[part].texts, x[part]) for part in ("train", "test"))
    print_nearest("Nearest snippets", test, train, 4)


def tested(
    machine: LogisticRegression, params: Any, x: np.ndarray, snippets: Snippets
) -> tuple[Tested, Tested]:
    """The logistic regression on the pretrained embeddings x, and the fine-tuned network."""
    after = applied(jitted_embed, params, snippets.x)
    return (
        Tested(x, float(machine.score(x, snippets.y))),
        Tested(after, accuracy(params, snippets)),
    )

"""A recurrent network reads whether critics liked the film, from 8484 sentences and no vectors.

Words are what the training sentences hold, each with a vector of its own that starts at random. A
gated recurrent network runs over a sentence both ways, and the largest of each of its outputs over
all words say what about twenty people gave it in the mean, from -4 to 4; a number above 0 is a kind
sentence. Numbers teach more than their signs. Four of them learn side by side and their numbers are
averaged. In training a fifth of the words is left out and half of what is known of each other one,
for most words stand in few sentences. A transformer encoder reads the same words beside it, and
logistic regression on weighed counts of words learns the signs, its penalty chosen by five folds.
What is fixed here was chosen on a fifth of the training sentences.
"""

import itertools
import re
from collections import Counter
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib import colormaps
from matplotlib.figure import Figure
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

import jaxnn as nn
from examples import Check, Options, Result, data

THRESHOLD = 0.77  # accuracy on the 2121 test sentences
VOCABULARY, TIME = 16_384, 48  # room for every word of the training sentences; words of a sentence
WORDS = re.compile(r"n't|[a-z]+(?=n't)|'[a-z]+|[a-z]+|[0-9]+|[^\sa-z0-9]")
VECTOR, WIDTH, MEMBERS = 128, 64, 4
FORGOTTEN, DROPPED = 0.2, 0.5  # of the words; of vectors and of what is read
BATCH, STEPS, QUICK_STEPS, QUICK_ROWS = 64, 1060, 8, 512
UNIT = 2.0  # of ratings, for the networks
PENALTIES = (0.5, 1.0, 2.0, 4.0)  # inverse, of the logistic regression
SHOWN, LINE = 7, 74  # sentences with what each word adds; letters of a line


def words(text: str) -> list[str]:
    """The words of a text in small letters, and its marks: "don't" is "do" and "n't"."""
    return WORDS.findall(text.lower().replace("''", '"'))


def vocabulary(texts) -> dict[str, int]:
    """A number from 1 on for each word, the most frequent first; 0 is for all others."""
    counts = Counter(word for text in texts for word in words(text))
    return {word: i + 1 for i, (word, _) in enumerate(counts.most_common(VOCABULARY - 1))}


def encoded(texts, known: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Tokens int32 [rows, TIME], zeros after the last, and how many there are [rows]."""
    held = [[known.get(word, 0) for word in words(text)[:TIME]] for text in texts]
    tokens = np.array([[*row, *[0] * (TIME - len(row))] for row in held], np.int32)
    return tokens, np.array([len(row) for row in held], np.int32)


def vectors() -> nn.Layer:
    # A word that is not known has the vector of a word left out: zeros.
    return nn.serial(
        nn.embedding(VOCABULARY, VECTOR, padding=0),
        nn.dropout(FORGOTTEN, shared=(2,)),
        nn.dropout(DROPPED),
    )


def recurrent() -> nn.Layer:
    body = nn.stack(vectors(), nn.rnn(nn.gru, WIDTH, bidirectional=True))
    return nn.rnn_classifier(body, 1, pool="max", dropout=DROPPED)


def attentive() -> nn.Layer:
    def flow(f, x):
        tokens, lengths = x
        mask = nn.length_mask(lengths, tokens.shape[1])
        h, _ = f.blocks((f.positions(f.vectors(tokens)), mask))
        return f.head(f.dropout(nn.pool_steps(h, mask, "max")))

    return nn.wire(
        flow,
        vectors=vectors(),
        positions=nn.unroll(nn.learned_positions(TIME)),
        blocks=nn.transformer(1, 4, 2 * VECTOR, dropout=0.1),
        dropout=nn.dropout(DROPPED),
        head=nn.dense(1),
    )


net, transformer = nn.ensemble(recurrent(), MEMBERS), nn.ensemble(attentive(), 1)


def squared_error(reader: nn.Layer):
    """The squared error of each member's ratings, summed over members."""

    def loss(params, state, batch, *, key, train):
        x, ratings = batch
        y, state = reader.apply(params, state, x, key=key, train=train)
        miss = y[..., 0] - ratings[None] / UNIT
        return jnp.square(miss).mean(axis=1).sum(), (state, {})

    return loss


def length(options: Options) -> int:
    return QUICK_STEPS if options.quick else STEPS


def plan(options: Options, reader: nn.Layer = net, rate: float = 2e-3):
    steps = length(options)
    schedule = optax.warmup_cosine_decay_schedule(0.0, rate, min(50, steps // 2), steps)
    optimizer = optax.chain(optax.clip_by_global_norm(5.0), optax.adam(schedule))
    x = jax.ShapeDtypeStruct((BATCH, TIME), jnp.int32), jax.ShapeDtypeStruct((BATCH,), jnp.int32)
    train = nn.training.init_train(reader, optimizer, jax.random.key(options.seed), x)
    batch = x, jax.ShapeDtypeStruct((BATCH,), jnp.float32)
    return nn.training.step(squared_error(reader), optimizer), train, batch


def learn(options: Options, reader: nn.Layer, rate: float, x, ratings) -> nn.training.FitResult:
    step, train, _ = plan(options, reader, rate)
    steps = length(options)
    return nn.training.fit(
        step, train, (x, ratings), steps=steps, batch_size=BATCH, every=max(steps // 20, 4)
    )


def rated(reader: nn.Layer, params, x, rows: int = 256) -> np.ndarray:
    """The rating of each sentence by each member: [members, sentences]."""
    read, count = jax.jit(lambda params, x: reader(params, x)[..., 0]), len(x[1])
    # Filled up with empty sentences, so that all are read by one compiled program.
    x = [np.concatenate([part, np.zeros((-count % rows, *part.shape[1:]), np.int32)]) for part in x]
    parts = [
        read(params, tuple(jnp.asarray(part[i : i + rows]) for part in x))
        for i in range(0, count, rows)
    ]
    return UNIT * np.concatenate(parts, axis=1)[:, :count]


def added(reader: nn.Layer, params, x, shown: int) -> list[np.ndarray]:
    """What each word of the first sentences adds: the rating with it less that without it."""
    tokens, lengths = np.repeat(x[0][:shown], TIME + 1, axis=0), np.repeat(x[1][:shown], TIME + 1)
    without = tokens.reshape(-1, TIME + 1, TIME)
    without[:, np.arange(TIME), np.arange(TIME)] = 0
    ratings = rated(reader, params, (tokens, lengths)).mean(axis=0).reshape(-1, TIME + 1)
    return list(ratings[:, -1:] - ratings[:, :-1])


class Baseline(NamedTuple):
    """Guesses of the signs, and of the ratings."""

    signs: np.ndarray
    ratings: np.ndarray


def counted(snippets: data.Snippets) -> Baseline:
    """Linear models of weighed counts of words."""

    def weighed():
        return TfidfVectorizer(min_df=2, sublinear_tf=True)

    def regression(penalty):
        return make_pipeline(weighed(), LogisticRegression(C=penalty, max_iter=1000))

    scores = [
        cross_val_score(regression(each), snippets.x, snippets.y, cv=5).mean() for each in PENALTIES
    ]
    chosen = regression(PENALTIES[int(np.argmax(scores))]).fit(snippets.x, snippets.y)
    line = make_pipeline(weighed(), Ridge(1.0)).fit(snippets.x, snippets.ratings)
    return Baseline(chosen.predict(snippets.test_x), line.predict(snippets.test_x))


def run(options: Options) -> Result:
    snippets = data.sentiment()
    if options.quick:
        some = slice(QUICK_ROWS)
        snippets = data.Snippets(*(part[some] for part in snippets))
    known = vocabulary(snippets.x)
    x, test_x = encoded(snippets.x, known), encoded(snippets.test_x, known)
    truth = snippets.test_y == 1
    end = learn(options, net, 2e-3, x, snippets.ratings)
    other = learn(options, transformer, 1e-3, x, snippets.ratings)
    members = rated(net, end.train.params, test_x)
    attention = rated(transformer, other.train.params, test_x)[0]
    ratings, baseline = members.mean(axis=0), counted(snippets)
    right = {
        "recurrent network": (ratings > 0) == truth,
        "transformer": (attention > 0) == truth,
        "logistic regression": (baseline.signs == 1) == truth,
    }
    adds = added(net, end.train.params, test_x, SHOWN)
    told = [
        [*zip(words(text), by, strict=False)]
        for text, by in zip(snippets.test_x, adds, strict=False)
    ]
    shown = [*zip(told, ratings, snippets.test_ratings, strict=False)]
    return Result(
        checks=(Check("accuracy", float(right["recurrent network"].mean()), THRESHOLD),),
        baseline="logistic regression on weighed counts of words (tf-idf)",
        baseline_value=float(right["logistic regression"].mean()),
        steps=length(options),
        parameters=nn.count_params(end.train.params),
        metrics={
            "accuracy_of_one_member": float(((members > 0) == truth[None]).mean()),
            "accuracy_of_the_transformer": float(right["transformer"].mean()),
            "accuracy_of_ridge_on_ratings": float(((baseline.ratings > 0) == truth).mean()),
            "correlation_with_ratings": float(np.corrcoef(ratings, snippets.test_ratings)[0, 1]),
            "words": float(len(known)),
        },
        history=end.history,
        figures={"ratings": draw(ratings, snippets.test_ratings, right, shown)},
    )


def draw(ratings: np.ndarray, truth: np.ndarray, right: dict, shown: list) -> Figure:
    """Ratings against people's, who is right how often, and what single words add."""
    figure = Figure(figsize=(15, 9), layout="constrained")
    left, words_at = figure.subfigures(1, 2, squeeze=False, width_ratios=(1, 1.35))[0]
    scatter, shares = left.subplots(2, 1)
    colours = np.where((truth > 0) == (ratings > 0), "tab:blue", "tab:red")
    scatter.scatter(truth, ratings, s=4, alpha=0.4, c=colours)
    scatter.axhline(0, color="grey", lw=0.5)
    scatter.axvline(0, color="grey", lw=0.5)
    scatter.set(title=f"{len(truth)} sentences it never saw (red: wrong)")
    scatter.set(xlabel="mean rating by people (-4 to 4)", ylabel="rating by the network (-4 to 4)")
    edges = np.array([0, 0.5, 1, 1.5, 2, 2.5, 4])
    bins = np.digitize(np.abs(truth), edges[1:-1])
    for title, hits in right.items():
        share = [hits[bins == i].mean() if (bins == i).any() else np.nan for i in range(6)]
        shares.plot(range(6), share, "o-", label=f"{title}: {hits.mean():.3f}")
    shares.set_xticks(range(6), [f"{a:g} to {b:g}" for a, b in itertools.pairwise(edges)])
    shares.set(title="Clear sentences are read better", ylabel="share read right")
    shares.set(xlabel="how far the mean rating by people is from 0")
    shares.legend(loc="lower right")

    axes = words_at.subplots()
    axes.set(title="What each word adds to the rating: red takes away, blue adds")
    axes.axis("off")
    row = 0
    for told, guess, rating in shown:
        axes.text(0, row, f"network {guess:+.1f}, people {rating:+.1f}", weight="bold")
        row, column = row + 1, 0
        for word, adds in told:
            if column + len(word) > LINE:
                row, column = row + 1, 0
            colour = colormaps["RdBu"](0.5 + np.clip(adds / 3, -0.5, 0.5))
            box = {"facecolor": colour, "edgecolor": "none", "pad": 1.5}
            axes.text(column, row, word, family="monospace", size=10.5, bbox=box)
            column += len(word) + 1
        row += 2
    axes.set(xlim=(0, LINE), ylim=(row - 1, -1))
    return figure

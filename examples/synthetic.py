"""Adversarial networks generate rows of two tables, of tumors and of wines.

For breast cancer and for wine, a generator that receives a class is trained on the training rows
alone to generate rows of that class, against a Wasserstein critic with a gradient penalty, which
takes five steps for each of its steps. The generated rows are worth as much as can be learned from
them: a logistic regression fitted to them alone is tested on real rows, and compared with one
fitted to the real training rows and with one fitted to samples of a Gaussian for each class.

The distance of each generated row from the nearest training row, compared with the same distance of
real test rows, shows that rows are not copies. Columns are standardized by the training rows.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import jaxnn as nn
from examples import Check, Options, Result, data

THRESHOLD = 0.95  # of the accuracy from generated rows over that from real ones
NEAR = 0.75  # of the distance of generated rows from training rows over that of test rows
LATENT = 16  # numbers of noise for a row
WIDTH = 128  # of the two hidden layers of each network
PENALTY = 10  # the weight of the gradient penalty
CRITIC_STEPS = 5  # for each step of the generator
RATE = 5e-4  # the learning rate at the start
BATCH = 120
STEPS = 3000
QUICK_STEPS = 100
DRAWS = 5  # tables generated, over which scores are averaged
TABLES = {"breast_cancer": data.breast_cancer, "wine": data.wine}
SHOWN = {  # the columns in the figure
    "breast_cancer": {0: "mean radius", 1: "mean texture", 3: "mean area", 24: "worst smoothness"},
    "wine": {0: "alcohol (%)", 4: "magnesium (mg/l)", 9: "color intensity", 12: "proline (mg/l)"},
}


class Table(NamedTuple):
    """A split table, standardized by its training rows.

    mean, deviation: [columns], of the training rows as measured.
    """

    name: str
    rows: data.Split
    mean: np.ndarray
    deviation: np.ndarray
    classes: int


def read(name: str) -> Table:
    rows = TABLES[name]()
    mean, deviation = rows.x.mean(0), rows.x.std(0)
    scaled = rows._replace(x=(rows.x - mean) / deviation, test_x=(rows.test_x - mean) / deviation)
    return Table(name, scaled, mean, deviation, int(rows.y.max()) + 1)


def nets(table: Table) -> tuple[nn.Layer, nn.Layer]:
    """The generator and the critic."""
    generator = nn.mlp(WIDTH, WIDTH, table.rows.x.shape[1])
    critic = nn.mlp(WIDTH, WIDTH, 1, activation=jax.nn.leaky_relu)
    return (
        nn.gan.class_conditional(generator, table.classes),
        nn.gan.class_conditional(critic, table.classes),
    )


def penalty(critic, real, fake, key):
    return PENALTY * nn.gan.gradient_penalty(critic, real, fake, key)


def length(options: Options) -> int:
    return QUICK_STEPS if options.quick else STEPS


def prepared(table: Table, options: Options):
    """(the generator, the step, the state to start from, a batch) for a table."""
    pair = nets(table)
    rate = optax.cosine_decay_schedule(RATE, length(options))
    rates = rate, lambda count: rate(count / CRITIC_STEPS)
    optimizers = [optax.adam(each, b1=0.5, b2=0.9) for each in rates]
    x = jax.ShapeDtypeStruct((BATCH, table.rows.x.shape[1]), jnp.float32)
    labels = jax.ShapeDtypeStruct((BATCH,), jnp.int32)
    z = jax.ShapeDtypeStruct((BATCH, LATENT), jnp.float32)
    key = jax.random.key(options.seed)
    train = nn.gan.init_train(pair, optimizers, key, (z, labels), (x, labels))
    losses = nn.gan.losses(pair, LATENT, nn.gan.wasserstein, penalty)
    step = nn.gan.step(losses, optimizers, critic_steps=CRITIC_STEPS)
    return pair[0], step, train, (x, labels)


def plan(options: Options):
    _, step, train, batch = prepared(read("breast_cancer"), options)
    return step, train, batch


class Generated(NamedTuple):
    """Generated tables, and what they are worth.

    x: [draws, rows, columns].
    accuracy, real_accuracy, gaussian_accuracy: on real test rows, of what was fitted to generated
      rows, to the real training rows and to samples of Gaussians.
    distances: to the nearest training row, of "generated" and of "test" rows, as the root of the
      mean square of the columns.
    """

    x: np.ndarray
    accuracy: float
    real_accuracy: float
    gaussian_accuracy: float
    distances: dict[str, np.ndarray]
    history: list[dict[str, float]]
    parameters: int

    @property
    def nearness(self) -> float:
        """The median distance of generated rows over that of test rows."""
        return float(np.median(self.distances["generated"]) / np.median(self.distances["test"]))


def generate(table: Table, options: Options) -> Generated:
    """Train on a table, and generate as many rows of each class as there are real ones."""
    generator, step, train, _ = prepared(table, options)
    rows, steps = table.rows, length(options)
    end = nn.training.fit(
        step, train, (rows.x, rows.y), steps=steps, batch_size=BATCH, every=steps // 20
    )
    key = jax.random.key(2000 + options.seed)
    z = jax.random.normal(key, (DRAWS, len(rows.y), LATENT))
    x = np.stack([np.asarray(nn.gan.sample(generator, end.train, (each, rows.y))) for each in z])
    rng = np.random.default_rng(options.seed)
    simple = [gaussian(rng, rows.x, rows.y) for _ in range(DRAWS)]
    return Generated(
        x=x,
        accuracy=float(np.mean([score(each, rows) for each in x])),
        real_accuracy=score(rows.x, rows),
        gaussian_accuracy=float(np.mean([score(each, rows) for each in simple])),
        distances={
            "generated": nearest(x.reshape(-1, x.shape[-1]), rows.x),
            "test": nearest(rows.test_x, rows.x),
        },
        history=end.history,
        parameters=nn.count_params((train.generator.params, train.discriminator.params)),
    )


def metrics(name: str, generated: Generated) -> dict[str, float]:
    real = generated.real_accuracy
    return {
        f"{name}_accuracy": generated.accuracy,
        f"{name}_real_accuracy": real,
        f"{name}_gaussian_ratio": generated.gaussian_accuracy / real,
        f"{name}_least_distance": float(generated.distances["generated"].min()),
        f"{name}_least_test_distance": float(generated.distances["test"].min()),
    }


def run(options: Options) -> Result:
    tables = {name: read(name) for name in TABLES}
    generated = {name: generate(table, options) for name, table in tables.items()}
    first = generated["breast_cancer"]
    ratios = [
        Check(f"{name}_ratio", each.accuracy / each.real_accuracy, THRESHOLD)
        for name, each in generated.items()
    ]
    near = [Check(f"{name}_nearness", each.nearness, NEAR) for name, each in generated.items()]
    return Result(
        checks=(*ratios, *near),
        baseline="a Gaussian for each class",
        baseline_value=first.gaussian_accuracy / first.real_accuracy,
        steps=length(options),
        parameters=first.parameters,
        metrics={
            metric: value
            for name, each in generated.items()
            for metric, value in metrics(name, each).items()
        },
        history=first.history,
        figures={
            "marginals": draw_marginals(tables, generated),
            "distances": draw_distances(generated),
        },
    )


def score(x: np.ndarray, rows: data.Split) -> float:
    """The accuracy on real test rows of a logistic regression fitted to x."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(x, rows.y)
    return float(model.score(rows.test_x, rows.test_y))


def gaussian(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Samples, with the labels y, of a Gaussian fitted to each class."""
    drawn = np.empty_like(x)
    for label in np.unique(y):
        own = x[y == label].astype(np.float64)
        drawn[y == label] = rng.multivariate_normal(
            own.mean(0), np.cov(own, rowvar=False), len(own), method="eigh"
        )
    return drawn


def nearest(x: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The distance of each row from the nearest known one: the root of the mean over columns."""
    return np.array([np.sqrt(np.square(known - row).mean(1).min()) for row in x])


def draw_marginals(tables: dict[str, Table], generated: dict[str, Generated]) -> Figure:
    """Histograms of columns of both tables, generated over real."""
    figure = Figure(figsize=(14, 7), layout="constrained")
    figure.suptitle("Columns of generated rows over those of the real training rows, as measured")
    axes = figure.subplots(len(tables), 4)
    for line, (name, table) in zip(axes, tables.items(), strict=True):
        for panel, (column, title) in zip(line, SHOWN[name].items(), strict=True):
            mean, deviation = table.mean[column], table.deviation[column]
            real = table.rows.x[:, column] * deviation + mean
            ours = generated[name].x[..., column].ravel() * deviation + mean
            low, high = np.quantile(np.concatenate([real, ours]), (0.002, 0.998))
            bins = np.linspace(low, high, 25)
            panel.hist(real, bins, density=True, color="silver", label="real")
            panel.hist(ours, bins, density=True, histtype="step", lw=2, label="generated")
            panel.set(xlabel=f"{name.replace('_', ' ')}: {title}", yticks=[])
        line[0].set_ylabel("density")
    axes[0, 0].legend()
    return figure


def draw_distances(generated: dict[str, Generated]) -> Figure:
    """Histograms of the distance from the nearest training row, of generated and real rows."""
    figure = Figure(figsize=(12, 5), layout="constrained")
    figure.suptitle(
        "Distance of generated and of real test rows from the nearest training row: a copy has 0"
    )
    for axes, (name, each) in zip(figure.subplots(1, 2), generated.items(), strict=True):
        bins = np.linspace(0, np.quantile(each.distances["test"], 0.99) * 1.2, 30)
        for title, values in each.distances.items():
            axes.hist(values, bins, density=True, alpha=0.6, label=f"{title} rows")
        axes.set(
            title=name.replace("_", " "),
            xlabel="distance (standard deviations, root mean square of columns)",
            ylabel="density",
        )
        axes.legend()
    return figure

"""The part with 14 labels of yeast genes, each with its own gate over shared experts.

The settings of the training, and the threshold above which a label is predicted, were chosen on the
last 300 of the 1500 training genes, by a net that was trained on the others; then one net is
trained on all 1500.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxnn as nn
from examples import Options, data

EXPERTS = 4
WIDTH = 64  # of an expert
INPUT_DROPOUT = 0.2
DROPOUT = 0.5
HELD_OUT = 300  # training genes on which the threshold is chosen
QUICK_LABELS = 3
BATCH = 100
STEPS = 1200
QUICK_STEPS = 60
RATE = 1e-3
WEIGHT_DECAY = 0.1
ROWS_OF_HISTORY = 4
THRESHOLDS = np.linspace(0.2, 0.6, 41)  # of a probability, from which one is chosen
TREES = 300  # of the random forest
QUICK_TREES = 10


def network(labels: int) -> Any:
    expert = nn.serial(nn.dropout(INPUT_DROPOUT), nn.dense(WIDTH), jax.nn.relu, nn.dropout(DROPOUT))
    heads = {f"label_{i}": nn.dense(1) for i in range(labels)}
    return nn.mixture.multi_task(expert, EXPERTS, heads)


def logits(tasks: nn.mixture.Tasks) -> jax.Array:
    """The logits [rows, labels] of the outputs of `network`."""
    return jnp.concatenate([tasks.outputs[f"label_{i}"] for i in range(len(tasks.outputs))], axis=1)


def learn(x: np.ndarray, y: np.ndarray, options: Options) -> Callable[[np.ndarray], np.ndarray]:
    """A trained net as a function from genes to the probabilities [rows, labels] of labels."""
    net, mean, deviation = network(y.shape[1]), x.mean(axis=0), x.std(axis=0)
    targets = {f"label_{i}": y[:, i : i + 1].astype(np.float32) for i in range(y.shape[1])}
    loss = nn.mixture.multi_task_loss(
        net, dict.fromkeys(targets, optax.sigmoid_binary_cross_entropy)
    )
    steps = QUICK_STEPS if options.quick else STEPS
    schedule = optax.cosine_decay_schedule(RATE, steps)
    optimizer = optax.adamw(schedule, weight_decay=WEIGHT_DECAY)
    x = (x - mean) / deviation
    init = jax.jit(lambda key: nn.training.init_train(net, optimizer, key, x[:BATCH]))
    end = nn.training.fit(
        nn.training.step(loss, optimizer),
        init(jax.random.key(options.seed)),
        (x, targets),
        steps=steps,
        batch_size=BATCH,
        every=steps // ROWS_OF_HISTORY,
    )

    @jax.jit
    def probabilities(x):
        return jax.nn.sigmoid(logits(net(end.train.params, (x - mean) / deviation)))

    return lambda x: np.asarray(probabilities(x))


def forest(x: np.ndarray, y: np.ndarray, options: Options) -> Callable[[np.ndarray], np.ndarray]:
    """A random forest as a function from genes to the probabilities [rows, labels] of labels."""
    from sklearn.ensemble import RandomForestClassifier  # imported here because it is slow

    trees = QUICK_TREES if options.quick else TREES
    fitted = RandomForestClassifier(trees, n_jobs=2, random_state=0).fit(x, y)
    return lambda x: np.stack([each[:, -1] for each in fitted.predict_proba(x)], axis=1)


def micro_f1(predicted: np.ndarray, truth: np.ndarray) -> float:
    """2 TP / (predicted + true), counted over all labels of all rows."""
    return float(2 * (predicted & truth).sum() / (predicted.sum() + truth.sum()))


def best_threshold(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """The threshold with the highest micro-F1."""
    return float(max(THRESHOLDS, key=lambda value: micro_f1(probabilities > value, truth)))


def compare(options: Options) -> dict[str, float]:
    """Micro-F1 on the test genes of the net and of a random forest, among other measurements."""
    genes = data.yeast()
    labels = QUICK_LABELS if options.quick else genes.y.shape[1]
    y, truth = genes.y[:, :labels] > 0, genes.test_y[:, :labels] > 0
    fitted, held_out = slice(None, -HELD_OUT), slice(-HELD_OUT, None)

    net = learn(genes.x[fitted], y[fitted], options)
    threshold = best_threshold(net(genes.x[held_out]), y[held_out])
    if not options.quick:
        net = learn(genes.x, y, options)
    predicted = net(genes.test_x) > threshold

    trees = forest(genes.x[fitted], y[fitted], options)
    forest_threshold = best_threshold(trees(genes.x[held_out]), y[held_out])
    of_forest = forest(genes.x, y, options)(genes.test_x)
    return {
        "micro_f1": micro_f1(predicted, truth),
        "hamming": float((predicted != truth).mean()),
        "threshold": threshold,
        "forest_micro_f1": micro_f1(of_forest > 0.5, truth),
        "forest_micro_f1_by_threshold": micro_f1(of_forest > forest_threshold, truth),
    }

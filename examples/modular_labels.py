"""The part of `modular` in which 14 labels of yeast genes share experts, each with its own gate.

How the net learns, and from which belief on a label is given, were chosen on the last 300 of the
1500 genes to learn from, by a net that learned from the others; then one learns from all 1500.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxnn as nn
from examples import Options, data

EXPERTS, WIDTH = 4, 64
HELD = 300
QUICK_LABELS = 3
BATCH, STEPS, QUICK_STEPS, RATE, DECAY = 100, 1200, 60, 1e-3, 0.1
THRESHOLDS = np.linspace(0.2, 0.6, 41)


def net_of(labels: int) -> Any:
    expert = nn.serial(nn.dropout(0.2), nn.dense(WIDTH), jax.nn.relu, nn.dropout(0.5))
    return nn.mixture.multi_task(
        expert, EXPERTS, {f"label_{i}": nn.dense(1) for i in range(labels)}
    )


def logits(tasks: nn.mixture.Tasks) -> jax.Array:
    """[rows, labels] of what a net of `net_of` puts out."""
    return jnp.concatenate([tasks.outputs[f"label_{i}"] for i in range(len(tasks.outputs))], axis=1)


def learned(x: np.ndarray, y: np.ndarray, options: Options):
    """(a function of genes to beliefs [rows, labels], the history)."""
    net, (mean, spread) = net_of(y.shape[1]), (x.mean(axis=0), x.std(axis=0))
    targets = {f"label_{i}": y[:, i : i + 1].astype(np.float32) for i in range(y.shape[1])}
    loss = nn.mixture.multi_task_loss(
        net, dict.fromkeys(targets, optax.sigmoid_binary_cross_entropy)
    )
    steps = QUICK_STEPS if options.quick else STEPS
    optimizer = optax.adamw(optax.cosine_decay_schedule(RATE, steps), weight_decay=DECAY)
    x = (x - mean) / spread
    start = jax.jit(lambda key: nn.training.init_train(net, optimizer, key, x[:BATCH]))
    train = start(jax.random.key(options.seed))
    step = nn.training.step(loss, optimizer)
    end = nn.training.fit(
        step, train, (x, targets), steps=steps, batch_size=BATCH, every=steps // 4
    )
    belief = jax.jit(lambda x: jax.nn.sigmoid(logits(net(end.train.params, (x - mean) / spread))))
    return (lambda x: np.asarray(belief(x))), end.history


def micro_f1(given: np.ndarray, truth: np.ndarray) -> float:
    """2 right / (given + true), counted over all labels of all rows."""
    return float(2 * (given & truth).sum() / (given.sum() + truth.sum()))


def best_threshold(beliefs: np.ndarray, truth: np.ndarray) -> float:
    return float(max(THRESHOLDS, key=lambda bar: micro_f1(beliefs > bar, truth)))


def compare(options: Options) -> dict[str, float]:
    """Micro-F1 on the test genes of the net and of a random forest, and what else there is."""
    from sklearn.ensemble import RandomForestClassifier

    genes = data.yeast()
    labels = QUICK_LABELS if options.quick else genes.y.shape[1]
    y, test = genes.y[:, :labels] > 0, genes.test_y[:, :labels] > 0
    belief, _ = learned(genes.x[:-HELD], y[:-HELD], options)
    bar = best_threshold(belief(genes.x[-HELD:]), y[-HELD:])
    if not options.quick:
        belief, _ = learned(genes.x, y, options)
    given = belief(genes.test_x) > bar

    def forest(x, y):
        trees = RandomForestClassifier(10 if options.quick else 300, n_jobs=2, random_state=0)
        trees = trees.fit(x, y)
        return lambda x: np.stack([each[:, -1] for each in trees.predict_proba(x)], axis=1)

    first = forest(genes.x[:-HELD], y[:-HELD])
    tuned = best_threshold(first(genes.x[-HELD:]), y[-HELD:])
    beside = forest(genes.x, y)(genes.test_x)
    return {
        "micro_f1": micro_f1(given, test),
        "hamming": float((given != test).mean()),
        "threshold": bar,
        "forest_micro_f1": micro_f1(beside > 0.5, test),
        "forest_micro_f1_by_threshold": micro_f1(beside > tuned, test),
    }

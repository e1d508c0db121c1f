# pyright: reportArgumentType=false
import jax
import numpy as np
import optax
import pytest
from sklearn import metrics as sklearn_metrics

import jaxnn as nn

pytestmark = pytest.mark.ordinary

RNG = np.random.default_rng(0)
ROWS, CLASSES = 101, 5
SIZES = [1, 7, 32, ROWS]
# The last class never occurs and is never predicted; class 3 occurs and is never predicted.
LABELS = RNG.integers(0, 4, ROWS)
FOUND = np.where(RNG.random(ROWS) < 0.6, np.minimum(LABELS, 2), RNG.integers(0, 3, ROWS))
BITS, SCORES = RNG.integers(0, 2, ROWS), RNG.integers(0, 12, ROWS) / 12  # scores with ties


def over(metric, prediction, target, size):
    """The value after batches of `size` rows."""
    totals = metric.init()
    for start in range(0, len(target), size):
        cut = slice(start, start + size)
        totals = metric.update(totals, prediction[cut], target[cut])
    return metric.compute(totals)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("average", ["macro", "micro", "weighted", None])
@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
def test_quotients_of_counts_are_those_of_scikit_learn(name, average, size):
    metric = getattr(nn.metrics, name)(CLASSES, average=average)
    peer = getattr(sklearn_metrics, f"{name}_score")
    labels = {"labels": range(CLASSES)} if average is None else {}
    expected = peer(LABELS, FOUND, average=average, zero_division=0, **labels)
    np.testing.assert_allclose(over(metric, FOUND, LABELS, size), expected, rtol=1e-12)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
def test_binary_quotients_are_those_of_scikit_learn(name, size):
    found = (SCORES > 0.5).astype(int)
    metric = getattr(nn.metrics, name)(2, average="binary")
    expected = getattr(sklearn_metrics, f"{name}_score")(BITS, found)
    assert over(metric, found, BITS, size) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("size", SIZES)
def test_accuracy_confusion_auroc_and_errors_are_those_of_scikit_learn(size):
    m = nn.metrics
    assert over(m.accuracy(), FOUND, LABELS, size) == pytest.approx(
        sklearn_metrics.accuracy_score(LABELS, FOUND)
    )
    expected = sklearn_metrics.confusion_matrix(LABELS, FOUND, labels=range(CLASSES))
    assert (over(m.confusion_matrix(CLASSES), FOUND, LABELS, size) == expected).all()
    expected = sklearn_metrics.roc_auc_score(BITS, SCORES)
    assert over(m.auroc(), SCORES, BITS, size) == pytest.approx(expected, rel=1e-12)
    t = 1e4 + RNG.normal(size=(ROWS, 3))
    y = t + 0.5 * RNG.normal(size=t.shape)
    assert over(m.r2(), y, t, size) == pytest.approx(sklearn_metrics.r2_score(t, y), rel=1e-9)
    expected = sklearn_metrics.mean_squared_error(t, y)
    assert over(m.mean_squared_error(), y, t, size) == pytest.approx(expected, rel=1e-12)


def test_targets_that_do_not_vary_have_the_r2_of_scikit_learn():
    t = np.ones((4, 2))
    for y in (t, t + np.array([0, 1])):
        expected = sklearn_metrics.r2_score(t, y)
        assert over(nn.metrics.r2(), y, t, 2) == pytest.approx(expected)


def test_counts_do_not_saturate():
    metric, batch = nn.metrics.accuracy(), np.zeros(1 << 20, np.int8)
    totals = metric.init()
    for _ in range(17):  # beyond 2^24, where float32 stops counting
        totals = metric.update(totals, batch, batch)
    assert totals == (17 << 20, 17 << 20)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_mean_average_precision_is_the_same_for_every_batch_size(size):
    boxes = RNG.uniform(0, 8, (3, 4, 4))
    boxes[..., 2:] += boxes[..., :2]
    truth = nn.detection.Objects(boxes, RNG.integers(0, 2, (3, 4)), np.arange(4) < [[4], [2], [0]])
    found = nn.detection.Objects(
        boxes[:, ::-1] + RNG.normal(size=boxes.shape) * 0.3,
        truth.labels[:, ::-1],
        RNG.random((3, 4)),
    )
    whole = nn.detection.mean_average_precision(found, truth, classes=2)
    metric = nn.metrics.mean_average_precision(2)
    totals = metric.init()
    for start in range(0, 3, size):
        part = [
            nn.detection.Objects(*(leaf[start : start + size] for leaf in objects))
            for objects in (found, truth)
        ]
        totals = metric.update(totals, *part)
    assert metric.compute(totals) == pytest.approx(whole)


def test_logits_and_classes_give_the_same():
    logits = np.eye(CLASSES, dtype=np.float32)[FOUND]
    metric = nn.metrics.f1(CLASSES)
    assert over(metric, logits, LABELS, 7) == over(metric, FOUND, LABELS, 7)


def test_ignored_labels_count_as_nothing():
    labels = np.where(np.arange(ROWS) % 3 == 0, -100, LABELS)
    kept = labels != -100
    expected = sklearn_metrics.accuracy_score(labels[kept], FOUND[kept])
    assert over(nn.metrics.accuracy(ignore=-100), FOUND, labels, 7) == pytest.approx(expected)
    expected = sklearn_metrics.f1_score(labels[kept], FOUND[kept], average="macro")
    assert over(nn.metrics.f1(CLASSES, ignore=-100), FOUND, labels, 7) == pytest.approx(expected)
    for prediction in (FOUND, np.eye(CLASSES)[FOUND]):
        with pytest.raises(ValueError, match="accuracy: .*-100"):
            over(nn.metrics.accuracy(), prediction, labels, 7)


def test_without_rows_a_quotient_is_not_a_number():
    for metric in (nn.metrics.accuracy(), nn.metrics.auroc(), nn.metrics.r2()):
        assert np.isnan(metric.compute(metric.init()))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.f1(3, average="makro"), "did you mean 'macro'"),
        (lambda m: m.f1(3, average="binary"), "is for 2 classes, got 3"),
        (lambda m: over(m.f1(3), np.array([3]), np.array([0]), 1), "got the prediction 3"),
        (lambda m: over(m.confusion_matrix(3), np.array([0]), np.array([-1]), 1), "a label is -1"),
        (lambda m: over(m.accuracy(), np.ones((3, 1)), np.zeros(3, int), 3), "two classes or more"),
        (lambda m: over(m.accuracy(), np.full((3, 2), np.nan), np.zeros(3, int), 3), "is NaN"),
        (lambda m: over(m.auroc(), np.ones((3, 1)), np.ones(3, int), 3), "one score for each"),
        (lambda m: over(m.auroc(), np.ones(3), np.array([0, 1, 2]), 3), "targets of 0 and 1"),
        (lambda m: over(m.r2(), np.ones((3, 1)), np.ones(3), 3), "of one shape"),
    ],
)
def test_what_would_be_a_plausible_wrong_number_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(nn.metrics)


def test_a_mixture_is_refused_by_name():
    said = nn.mixture.Mixture(np.ones((3, 2)), np.ones((3, 4)), np.ones((3, 4, 2)))
    metric = nn.metrics.accuracy()
    with pytest.raises(TypeError, match="got Mixture: give the part of the output"):
        metric.update(metric.init(), said, np.zeros(3, int))


NET = nn.serial(nn.dense(8), jax.nn.tanh, nn.dense(4))
X = RNG.normal(size=(ROWS, 3)).astype(np.float32)
TRAIN = nn.training.init_train(NET, optax.sgd(0.1), jax.random.key(0), X)


@pytest.mark.parametrize("size", SIZES)
def test_measure_runs_metrics_over_a_net_and_data(size):
    logits = np.asarray(NET(TRAIN.params, X))
    expected = sklearn_metrics.f1_score(LABELS, logits.argmax(-1), average="macro")
    chosen = {"f1": nn.metrics.f1(4)}
    found = nn.training.measure(NET, TRAIN, (X, LABELS), chosen, batch_size=size)
    assert found == {"f1": pytest.approx(expected, rel=1e-12)}
    batches = [(X[i : i + size], LABELS[i : i + size]) for i in range(0, ROWS, size)]
    assert nn.training.measure(NET, TRAIN, batches, chosen) == found


def test_a_function_in_place_of_a_metric_is_refused():
    with pytest.raises(TypeError, match=r"accuracy must be a Metric.*nn\.metrics\.accuracy\(\)"):
        nn.training.measure(NET, TRAIN, (X, LABELS), {"accuracy": nn.accuracy}, batch_size=8)

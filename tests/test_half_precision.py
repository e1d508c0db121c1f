"""Areas, squares, places and losses in half precision are those of float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnn as nn

pytestmark = pytest.mark.ordinary

RNG = np.random.default_rng(0)
HALVES = [jnp.float16, jnp.bfloat16]


@pytest.mark.parametrize("dtype", HALVES)
def test_large_boxes_overlap_as_they_do(dtype):
    a = jnp.array([[0, 0, 300, 300], [0, 0, 300, 150]], dtype)
    np.testing.assert_allclose(nn.detection.pairwise_iou(a, a), [[1, 0.5], [0.5, 1]], rtol=1e-2)
    np.testing.assert_allclose(nn.detection.generalized_iou(a[:1], a[:1]), 1)
    kept = nn.detection.non_maximum_suppression(a[jnp.array([0, 0])], jnp.array([0.9, 0.8], dtype))
    assert kept.tolist() == [True, False]


@pytest.mark.parametrize("dtype", HALVES)
def test_lengths_and_penalties_do_not_overflow(dtype):
    capsule = jnp.array([300.0, 400.0], dtype)
    assert float(nn.capsule.capsule_lengths(capsule)) == pytest.approx(500, rel=1e-2)
    np.testing.assert_allclose(nn.capsule.squash(capsule).astype(float), [0.6, 0.8], rtol=1e-2)
    steep = lambda x: 300 * x.sum(axis=-1)  # noqa: E731
    x = jnp.ones((4, 1), dtype)
    assert float(nn.gan.r1(steep, x)) == pytest.approx(9e4, rel=1e-2)
    penalty = nn.gan.gradient_penalty(steep, x, x, jax.random.key(0))
    assert float(penalty) == pytest.approx(299**2, rel=1e-2)


def test_capsules_of_any_size_keep_their_direction():
    for size in (1e-30, 1e-3, 1e20, 1e30):
        y = nn.capsule.squash(jnp.array([3.0, 4.0]) * size)
        length = 5 * size if size < 1 else 1.0
        expected = np.array([0.6, 0.8]) * (length**2 / (1 + length**2) if size < 1 else 1.0)
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-38)


@pytest.mark.parametrize("name", ["non_saturating", "hinge", "least_squares", "wasserstein"])
@pytest.mark.parametrize("dtype", [*HALVES, jnp.uint8])
def test_games_are_those_of_float64(name, dtype):
    game = getattr(nn.gan, name)
    real, fake = jnp.array([5, 200, 250], dtype), jnp.array([100, 250, 255], dtype)
    with jax.enable_x64(True):
        wide = [jnp.asarray(np.asarray(each, np.float64)) for each in (real, fake)]
        expected = float(game.discriminator(*wide)), float(game.generator(wide[1]))
    found = float(game.discriminator(real, fake)), float(game.generator(fake))
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("dtype", [*HALVES, jnp.uint8])
def test_the_mean_squared_error_neither_wraps_nor_overflows(dtype):
    y, t = jnp.array([0, 100, 250], dtype), jnp.array([250, 0, 0], dtype)
    assert float(nn.mse(y, t)) == pytest.approx((250**2 + 100**2 + 250**2) / 3, rel=1e-6)


@pytest.mark.parametrize("dtype", HALVES)
def test_divergence_and_likelihoods_do_not_overflow(dtype):
    mean, log_variance = (jnp.asarray(RNG.normal(size=(2, 4000)) * s, dtype) for s in (8, 1))
    found = nn.autoencoder.kl_divergence(nn.autoencoder.Latent(mean, log_variance, (), ()))
    m, v = (np.asarray(each, np.float64) for each in (mean, log_variance))
    np.testing.assert_allclose(found, (np.exp(v) + m**2 - 1 - v).sum(axis=1) / 2, rtol=1e-4)
    x = jnp.asarray(RNG.integers(0, 2, (2, 4000)), dtype)
    logits = jnp.full((2, 1, 4000), 30.0, dtype) * (1 - 2 * x[:, None])
    found = nn.autoencoder.bernoulli_log_likelihood(logits, x)
    np.testing.assert_allclose(found, -np.full((2, 1), 30.0 * 4000), rtol=1e-4)


@pytest.mark.parametrize("dtype", HALVES)
def test_places_of_a_detector_are_those_of_its_image(dtype):
    net = nn.detection.detector(1, nn.conv(4, 2, stride=2), width=4)
    x = jnp.zeros((1, 512, 512, 1))
    params, state = net.init(jax.random.key(0), x)
    zero = jax.tree.map(jnp.zeros_like, params)
    boxes = net.apply(zero, state, x.astype(dtype))[0].boxes
    middle = (np.asarray(boxes[..., :2]) + np.asarray(boxes[..., 2:])) / 2
    wanted = np.stack(np.meshgrid(*[2 * np.arange(256) + 1.0] * 2), axis=-1)
    np.testing.assert_allclose(middle[0], wanted, atol=1e-3)


@pytest.mark.parametrize("dtype", HALVES)
def test_an_object_has_one_peak_and_its_loss_that_of_float32(dtype):
    objects = nn.detection.pack_objects(
        [[[300.0, 301, 341, 347]]], [[0]], size=(512, 512), classes=1
    )
    heat = jnp.zeros((1, 512, 512, 1))
    boxes = jnp.broadcast_to(jnp.array([300.0, 300, 340, 348]), (1, 512, 512, 4))
    losses = [
        nn.detection.detection_loss(
            nn.detection.Prediction(heat.astype(d), boxes), objects, size=(512, 512)
        )
        for d in (jnp.float32, dtype)
    ]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)


def test_one_infinite_box_leaves_the_suppression_of_others():
    boxes = [
        [0, 0, 10, 10],
        [0, 0, 10, 9],
        [0, 0, 10, 8],
        [-np.inf, 0, np.inf, 5],
        [0, 0, 1e30, 1e30],
    ]
    heat = jnp.array([[3.0, -50], [2.0, -50], [-50, 1.0], [0.5, -50], [0.2, -50]])
    prediction = nn.detection.Prediction(
        heat.reshape(1, 5, 1, 2), jnp.array(boxes).reshape(1, 5, 1, 4)
    )
    found = nn.detection.detect(prediction, most=5)
    # The second overlaps the first; the third does too, and is of another class.
    assert (found.mask[0] > 0).tolist() == [True, False, True, True, True]
    assert found.labels[0].tolist() == [0, 0, 1, 0, 0]


def test_boxes_that_are_not_numbers_are_never_kept():
    boxes = jnp.array([[0.0, 0, 2, 2], [0, 0, jnp.nan, 2]])
    assert nn.detection.non_maximum_suppression(boxes, jnp.ones(2)).tolist() == [True, False]


def test_an_overlap_of_exactly_the_threshold_stays():
    boxes, scores = jnp.array([[0.0, 0, 2, 2], [0, 0, 2, 1], [5, 5, 6, 6]]), jnp.array([3.0, 2, 1])
    assert nn.detection.non_maximum_suppression(boxes, scores, 0.5).tolist() == [True, True, True]
    assert nn.detection.non_maximum_suppression(boxes, scores, 0.49).tolist() == [True, False, True]
    apart = jnp.array([[0.0, 0, 1, 1], [2, 2, 3, 3], [4, 4, 5, 5]])
    assert nn.detection.non_maximum_suppression(apart, scores, 0.0).tolist() == [True, True, True]
    assert nn.detection.non_maximum_suppression(jnp.zeros((0, 4)), jnp.zeros(0)).shape == (0,)


@pytest.mark.parametrize("focus", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("peak", [0.0, 1.0])
def test_the_focal_loss_has_the_slope_of_float64_at_saturated_logits(focus, peak):
    logits = np.array([-200.0, -30, -1, 0, 2, 30, 200])

    def total(logits):
        wanted = jnp.full(logits.shape, 0.3, logits.dtype)
        return nn.detection.focal_loss(
            logits, wanted, jnp.full(logits.shape, peak), focus=focus
        ).sum()

    found = jax.grad(total)(jnp.asarray(logits, jnp.float32))
    sign = 1 if peak else -1
    p = 1 / (1 + np.exp(-sign * logits.astype(np.longdouble)))  # of what is wanted
    log_p, q = -np.logaddexp(0, -sign * logits.astype(np.longdouble)), 1 - p
    q = 1 / (1 + np.exp(sign * logits.astype(np.longdouble)))
    slope = sign * (focus * q**focus * p * log_p - q**focus * q)
    slope = slope if peak else slope * (1 - 0.3) ** 4
    np.testing.assert_allclose(found, slope.astype(float), rtol=1e-4, atol=1e-7)


def test_a_mean_of_windows_that_overlap_keeps_an_infinity_to_its_own():
    x = jnp.arange(7.0).at[6].set(jnp.inf)[None, :, None]
    y = nn.adaptive_avg_pool(3)((), x)[0, :, 0]
    np.testing.assert_allclose(y[:2], [1.0, 3.0])
    assert y[2] == jnp.inf


@pytest.mark.parametrize("dtype", HALVES)
def test_sums_and_counts_of_segments_do_not_saturate(dtype):
    x = jnp.asarray(RNG.uniform(size=3000), dtype)
    ids = jnp.zeros(3000, jnp.int32)
    exact = np.asarray(x, np.float64)
    mean = float(nn.segment_mean(x, ids, 1)[0])
    assert mean == pytest.approx(exact.mean(), rel=1e-2)
    shares = nn.segment_softmax(jnp.zeros(5000, dtype), jnp.zeros(5000, jnp.int32), 1)
    assert float(shares.astype(jnp.float32).sum()) == pytest.approx(1, rel=1e-2)
    total = float(nn.segment_sum(x, ids, 1)[0])
    assert total == pytest.approx(exact.sum(), rel=1e-2)


def test_the_maximum_of_no_integers_is_zero():
    assert nn.segment_max(jnp.array([-3, -5]), jnp.array([0, 0]), 2).tolist() == [-3, 0]


def test_accuracy_refuses_what_would_be_a_plausible_number():
    logits = jnp.array([[1.0, 2.0], [3.0, 0.0], [jnp.nan, 1.0]])
    assert float(nn.accuracy(logits, jnp.array([1, 0, 0]))) == pytest.approx(2 / 3)
    assert float(nn.accuracy(logits, jnp.array([1, -100, -100]), ignore=-100)) == 1
    for label in (-1, 2):
        with pytest.raises(ValueError, match=f"accuracy: labels are 0 to 1, got {label}"):
            nn.accuracy(logits, jnp.array([1, 0, label]))
    with pytest.raises(ValueError, match="two classes or more, got one"):
        nn.accuracy(logits[:, :1], jnp.array([1, 0, 0]))
    said = nn.mixture.Mixture(logits, logits, logits)
    with pytest.raises(TypeError, match="accuracy takes logits, got Mixture"):
        nn.accuracy(said, jnp.array([1, 0, 0]))  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="mse takes arrays, got Mixture"):
        nn.mse(said, logits)  # pyright: ignore[reportArgumentType]


def test_ignored_labels_take_no_part_in_a_loss_or_its_gradient():
    entropy = optax.softmax_cross_entropy_with_integer_labels
    loss = nn.ignore_label(entropy)
    logits = jnp.array([[1.0, 2.0], [jnp.inf, 0.0], [0.5, 0.0]])
    labels = jnp.array([1, -100, 0])
    kept = jnp.array([0, 2])
    assert float(loss(logits, labels)) == pytest.approx(
        float(entropy(logits[kept], labels[kept]).mean())
    )
    slope = jax.grad(loss)(logits, labels)
    assert (slope[1] == 0).all()
    assert jnp.isfinite(slope).all()
    assert loss(logits[:1], jnp.array([-100])) == 0
    with pytest.raises(ValueError, match="labels are 0 to 1, or -100 to ignore, got 7"):
        loss(logits, jnp.array([1, -100, 7]))


@pytest.mark.parametrize("label", [-1, 3])
def test_labels_of_objects_that_are_no_class_are_refused(label):
    objects = nn.detection.Objects(jnp.ones((1, 1, 4)), jnp.array([[label]]), jnp.array([[True]]))
    prediction = nn.detection.Prediction(jnp.zeros((1, 2, 2, 3)), jnp.ones((1, 2, 2, 4)))
    with pytest.raises(ValueError, match=f"detection_loss: labels are 0 to 2, got {label}"):
        nn.detection.detection_loss(prediction, objects, size=(4, 4))
    with pytest.raises(ValueError, match=f"mean_average_precision, found: labels .* got {label}"):
        nn.detection.mean_average_precision(objects, objects, classes=3)


def test_graph_layers_hold_in_float16_what_their_sums_do_not():
    many, width = 70_000, 2  # a node with more senders than float16 can count
    ends = np.arange(1, many + 1), np.zeros(many, int)
    x = np.full((many + 1, width), 2.0, np.float16)
    star = nn.graph.make_graph(x, *ends)
    ones = {"w": jnp.ones((width, 1)), "b": jnp.zeros(1)}
    y = nn.graph.gcn(1)(ones, star).nodes
    expected = (4 / (many + 1) ** 0.5 + many * 4) / (many + 1) ** 0.5
    assert float(y[0, 0]) == pytest.approx(expected, rel=2e-3)
    net = nn.graph.sage(width, normalize=True)
    params, _ = net.init(jax.random.key(0), star)
    large = star._replace(nodes=x * np.float16(500))
    size = jnp.linalg.norm(net(params, large).nodes.astype(jnp.float32), axis=-1)
    np.testing.assert_allclose(size, 1, rtol=5e-3)


def test_a_pool_whose_weight_is_zero_scores_all_alike():
    path = nn.graph.make_graph(np.ones((3, 2), np.float32), [0, 1], [1, 2])
    net = nn.graph.top_k_pool(0.5)
    y, slope = jax.value_and_grad(lambda w: net({"w": w}, path).nodes.sum())(jnp.zeros((2, 1)))
    assert float(y) == 0
    assert np.isfinite(slope).all()

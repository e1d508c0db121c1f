# pyright: reportArgumentType=false
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn

pytestmark = pytest.mark.ordinary

BOXES = [[2.0, 3, 8, 9], [0, 0, 16, 12], [5, 5, 6, 11]]


def drawn(n, seed=0, size=20):
    corners = np.random.default_rng(seed).uniform(0, size, (n, 2, 2)).astype(np.float32)
    return np.concatenate([corners.min(1), corners.max(1)], axis=-1)


def by_painting(a, b):
    """The overlap of two boxes of whole pixels, by painting them."""
    masks = []
    for left, top, right, bottom in (a, b):
        mask = np.zeros((40, 40), bool)
        mask[top:bottom, left:right] = True
        masks.append(mask)
    return (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum()


# Packing


def test_objects_are_padded_to_the_fullest_image():
    objects = nn.detection.pack_objects(
        [BOXES, [], BOXES[:1]], [[0, 1, 2], [], [2]], size=(12, 16), classes=3
    )
    assert objects.boxes.shape == (3, 3, 4)
    assert objects.mask.tolist() == [[True] * 3, [False] * 3, [True, False, False]]
    assert objects.labels.tolist() == [[0, 1, 2], [0, 0, 0], [2, 0, 0]]
    assert (objects.boxes[~objects.mask] == 0).all()
    assert nn.detection.pack_objects([[], []], [[], []], size=(9, 9), classes=1).boxes.shape == (
        2,
        1,
        4,
    )
    wider = nn.detection.pack_objects([BOXES], [[0, 1, 2]], size=(12, 16), classes=3, most=5)
    assert wider.mask.sum() == 3
    assert wider.mask.shape == (1, 5)


@pytest.mark.parametrize(
    ("box", "label", "said"),
    [
        ([8, 3, 2, 9], 0, "image 1, object 0: the box .* is inside out"),
        ([2, 9, 8, 3], 0, "is inside out or has no area"),
        ([2, 3, 2, 9], 0, "is inside out or has no area"),
        ([-1, 3, 8, 9], 0, "extends beyond an image of height 12 and width 16"),
        ([2, 3, 17, 9], 0, "extends beyond an image"),
        ([2, 3, 8, 13], 0, "extends beyond an image.*: clip it"),
        ([2, 3, float("nan"), 9], 0, "is not finite"),
        ([2, 3, 8, 9], 3, "the label 3 is not one of 3 classes"),
        ([2, 3, 8, 9], -1, "the label -1 is not one of 3 classes"),
    ],
)
def test_bad_boxes_and_labels_are_refused(box, label, said):
    with pytest.raises(ValueError, match=said):
        nn.detection.pack_objects([[], [box]], [[], [label]], size=(12, 16), classes=3)


def test_counts_that_do_not_agree_are_refused():
    with pytest.raises(ValueError, match="a label for each box of each image"):
        nn.detection.pack_objects([BOXES], [[0, 1]], size=(12, 16), classes=3)
    with pytest.raises(ValueError, match="image 1 has 3 objects, more than most=2"):
        nn.detection.pack_objects([[], BOXES], [[], [0, 1, 2]], size=(12, 16), classes=3, most=2)


# Overlap


def test_overlap_is_what_painting_says():
    a, b = (np.round(drawn(9, seed) * 2).astype(int) for seed in (0, 1))
    iou = nn.detection.pairwise_iou(jnp.asarray(a, jnp.float32), jnp.asarray(b, jnp.float32))
    wanted = [[by_painting(one, other) for other in b] for one in a]
    assert np.allclose(iou, wanted, atol=1e-6)
    assert (iou > 0).any()


def test_generalized_overlap_is_the_papers():
    a, b = jnp.array([0.0, 0, 2, 2]), jnp.array([[0.0, 0, 2, 2], [1, 1, 3, 3], [4, 4, 6, 6]])
    # 4 of 4; 1 of 7 in a hull of 9; 0 of 8 in a hull of 36.
    wanted = [1, 1 / 7 - 2 / 9, -28 / 36]
    assert np.allclose(nn.detection.generalized_iou(jnp.tile(a, (3, 1)), b), wanted, atol=1e-6)


def test_boxes_without_area_have_finite_gradients():
    none = jnp.zeros((2, 4))
    for overlap in (
        lambda a: nn.detection.generalized_iou(a, none),
        lambda a: nn.detection.pairwise_iou(a, none),
    ):
        gradient = jax.jit(jax.grad(lambda a, overlap=overlap: overlap(a).sum()))(none)
        assert jnp.isfinite(gradient).all()


def test_what_is_no_box_is_refused():
    with pytest.raises(ValueError, match=r"pairwise_iou takes boxes \[..., n, 4\]"):
        nn.detection.pairwise_iou(jnp.ones((2, 3)), jnp.ones((2, 4)))
    with pytest.raises(ValueError, match="generalized_iou takes boxes of one shape"):
        nn.detection.generalized_iou(jnp.ones((2, 4)), jnp.ones((1, 4)))


# Selection


def greedy(boxes, scores, iou):
    """Suppression as its definition has it."""
    kept = []
    for i in np.argsort(-scores):
        if scores[i] > 0 and all(np.asarray(OVERLAP(boxes[i : i + 1], boxes[j : j + 1]))[0, 0] < iou
                                 for j in kept):  # fmt: skip
            kept.append(i)
    return kept


OVERLAP = jax.jit(nn.detection.pairwise_iou)


def test_suppression_is_greedy():
    boxes, scores = drawn(30, size=12), np.random.default_rng(3).uniform(-0.1, 1, 30)
    scores = scores.astype(np.float32)
    kept = jax.jit(nn.detection.non_maximum_suppression, static_argnums=2)(boxes, scores, 0.3)
    assert sorted(greedy(boxes, scores, 0.3)) == np.flatnonzero(kept).tolist()
    assert 1 < kept.sum() < 25


@pytest.mark.parametrize(
    ("boxes", "scores", "iou", "said"),
    [
        (np.ones((2, 4)), np.ones(3), 0.5, r"takes boxes \[n, 4\] and scores \[n\]"),
        (np.ones((1, 2, 4)), np.ones((1, 2)), 0.5, "map it over a batch with jax.vmap"),
        (np.ones((2, 4)), np.ones(2), 1.5, r"iou must be a finite number"),
    ],
)
def test_bad_arguments_of_suppression_are_refused(boxes, scores, iou, said):
    with pytest.raises(ValueError, match=said):
        nn.detection.non_maximum_suppression(jnp.asarray(boxes), jnp.asarray(scores), iou)


# Measurement


def measured(found, truth, **options):
    """The measure of lists of (box, label, score) and (box, label) for each image."""
    most = 4
    shape = (len(found), most)
    packed = nn.detection.Objects(np.zeros((*shape, 4)), np.zeros(shape, int), np.zeros(shape))
    for i, image in enumerate(found):
        for n, (box, label, score) in enumerate(image):
            packed.boxes[i, n], packed.labels[i, n], packed.mask[i, n] = box, label, score
    wanted = nn.detection.pack_objects(
        [[box for box, _ in image] for image in truth],
        [[label for _, label in image] for image in truth],
        size=(20, 20), classes=3,
    )  # fmt: skip
    return nn.detection.mean_average_precision(packed, wanted, classes=3, **options)


A, B, C = [0, 0, 4, 4], [10, 10, 14, 14], [0, 0, 4, 5]


def test_all_found_is_one_and_nothing_found_is_zero():
    truth = [[(A, 0), (B, 1)], [(A, 0)]]
    assert measured([[(A, 0, 0.9), (B, 1, 0.8)], [(A, 0, 0.1)]], truth) == pytest.approx(1)
    assert measured([[], []], truth) == 0
    assert measured([[(A, 1, 0.9), (B, 0, 0.9)], []], truth) == 0


def test_precision_is_taken_over_recall():
    # Right, wrong, right: precision 1 up to recall 1/2, and then 2/3 up to 1.
    found = [[(A, 0, 0.9), ([6, 0, 8, 2], 0, 0.8)], [(B, 0, 0.7)]]
    value = measured(found, [[(A, 0)], [(B, 0)]])
    assert value == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)


def test_a_second_box_on_the_same_object_is_wrong():
    found = [[(C, 0, 0.9), (A, 0, 0.8)], [(B, 0, 0.7)]]
    assert measured(found, [[(A, 0)], [(B, 0)]]) == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)


def test_a_box_is_right_from_the_overlap_on():
    found, truth = [[(C, 0, 0.9)]], [[(A, 0)]]
    assert measured(found, truth, iou=0.8) == pytest.approx(1)
    assert measured(found, truth, iou=0.81) == 0
    assert measured(found, truth, iou=np.arange(0.5, 1, 0.05)) == pytest.approx(0.7)


def test_a_class_that_is_nowhere_does_not_count():
    truth = [[(A, 0)]]
    assert measured([[(A, 0, 0.9), (B, 2, 0.99)]], truth) == pytest.approx(1)
    assert np.isnan(measured([[(A, 0, 0.9)]], [[]]))


def test_images_that_do_not_agree_are_refused():
    with pytest.raises(ValueError, match="found has 1 images, truth has 2"):
        measured([[]], [[], []])


@pytest.mark.parametrize("by", [1.0, 1e-12, 1e22, 1e30])
def test_a_generalized_overlap_does_not_depend_on_the_unit(by):
    a, b = jnp.array([0.0, 0.0, 2.0, 2.0]) * by, jnp.array([1.0, 1.0, 3.0, 5.0]) * by
    assert float(nn.detection.generalized_iou(a, b)) == pytest.approx(1 / 11 - 4 / 15, rel=1e-5)


@pytest.mark.parametrize(
    ("boxes", "labels", "said"),
    [
        ([[[0, 0, 2, 2]]], [[1.7]], "image 0, object 0: the label 1.7 is not one of 2 classes"),
        ([[[0, 0, 2, 2]]], [[2**32 + 1]], "the label 4.29497e.09 is not one of 2 classes"),
        ([[0, 0, 2, 2]], [[1]], r"boxes of image 0 must be \[objects, 4\], got \[4\]"),
        ([[[0, 0, 2, 2]]], [["one"]], "labels of image 0 are not numbers"),
    ],
)
def test_objects_that_are_no_boxes_or_classes_are_refused(boxes, labels, said):
    with pytest.raises((TypeError, ValueError), match=said):
        nn.detection.pack_objects(boxes, labels, size=(8, 8), classes=2)

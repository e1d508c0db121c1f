# pyright: reportArgumentType=false
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnn as nn
from jaxnn.nets.detection.losses import _heat_of_objects

KEY = jax.random.key(0)
SIZE = (16, 24)
X = jax.random.normal(KEY, (2, *SIZE, 1))


def small(classes=3):
    backbone = nn.serial(nn.conv(8, 3, stride=4), jax.nn.relu)
    return nn.detection.detector(classes, backbone, width=8, norm=lambda: nn.group_norm(2))


def pack(boxes, labels, **options):
    return nn.detection.pack_objects(boxes, labels, size=SIZE, **({"classes": 3} | options))


def sure(objects, classes=3):
    """The prediction that knows these objects."""
    heat = np.full((len(objects.boxes), 4, 6, classes), -9.0, np.float32)
    boxes = np.tile(np.float32([0, 0, 1, 1]), (len(objects.boxes), 4, 6, 1))
    for i, n in np.argwhere(objects.mask):
        left, top, right, bottom = objects.boxes[i, n]
        row, column = int((top + bottom) / 8), int((left + right) / 8)
        heat[i, row, column, objects.labels[i, n]] = 4.0
        boxes[i, row, column] = objects.boxes[i, n]
    return nn.detection.Prediction(jnp.asarray(heat), jnp.asarray(boxes))


OBJECTS = pack([[[1, 2, 7, 9], [12, 5, 23, 15]], [[3, 3, 5, 6]]], [[0, 2], [1]])


def test_every_place_holds_its_own_middle():
    net = small()
    heat, boxes = jax.jit(lambda x: net(net.init(KEY, x)[0], x))(X)
    assert (heat.shape, boxes.shape) == ((2, 4, 6, 3), (2, 4, 6, 4))
    middle = np.stack(np.meshgrid(np.arange(6) * 4 + 2, np.arange(4) * 4 + 2), axis=-1)
    assert (boxes[..., :2] < middle).all()
    assert (boxes[..., 2:] > middle).all()
    assert (jax.nn.sigmoid(heat) < 0.2).all()  # objects are rare


@pytest.mark.parametrize(
    "backbone",
    [nn.conv(8, 3, stride=(4, 2)), nn.conv(8, 3, stride=5), nn.global_avg_pool()],
    ids=["unequal", "broken", "no map"],
)
def test_a_backbone_without_one_whole_stride_is_refused(backbone):
    with pytest.raises(ValueError, match=r"smaller by the same whole factor"):
        nn.detection.detector(3, backbone).init(KEY, X)


def test_images_of_other_channels_and_bytes_are_refused():
    net = small()
    params, _ = net.init(KEY, X)
    with pytest.raises(ValueError, match="feed the input it was init"):
        net(params, jnp.tile(X, (1, 1, 1, 3)))
    with pytest.raises(TypeError, match=r"x.astype\(jnp.float32\) / 255"):
        net.init(KEY, jnp.zeros((2, *SIZE, 1), jnp.uint8))


# The loss


def test_the_loss_of_who_knows_is_small_and_of_who_errs_is_not():
    loss = jax.jit(
        functools.partial(nn.detection.detection_loss, size=SIZE), static_argnames="box_weight"
    )
    right = sure(OBJECTS)
    assert loss(right, OBJECTS).shape == (2,)
    # Neighbouring places, which share in a box, were left wrong.
    assert (loss(right, OBJECTS, box_weight=0.0) < 0.2).all()
    moved = right._replace(heat=jnp.roll(right.heat, 2, axis=2))
    other = right._replace(heat=jnp.roll(right.heat, 1, axis=3))
    for wrong in (moved, other):
        assert (loss(wrong, OBJECTS) > loss(right, OBJECTS) + 2).all()
    boxes = jnp.tile(jnp.asarray(OBJECTS.boxes[1, 0]), (1, 4, 6, 1))
    whole = nn.detection.Prediction(right.heat[1:], boxes)
    alone = nn.detection.Objects(*(each[1:] for each in OBJECTS))
    assert jnp.allclose(loss(whole, alone), loss(whole, alone, box_weight=0.0), atol=1e-6)


def test_heat_falls_off_with_the_sides_of_the_box():
    heat, peak = _heat_of_objects(
        nn.detection.Objects(*map(jnp.asarray, pack([[[4, 0, 20, 4]]], [[0]]))),
        (4, 6),
        SIZE,
        jnp.float32,
    )
    heat, peak = heat[0, ..., 0], peak[0, ..., 0]
    assert np.argwhere(peak).tolist() == [[0, 3]]
    assert heat[0, 3] == 1
    # Sides of 4 places and 1: deviations of 0.4, and of 0.3, the least there is.
    assert np.allclose(heat[0, 4], np.exp(-1 / (2 * 0.4**2)))
    assert np.allclose(heat[1, 3], np.exp(-1 / (2 * 0.3**2)))


def test_padding_of_objects_does_not_count():
    prediction = small()(small().init(KEY, X)[0], X)
    wide = nn.detection.Objects(*(np.pad(each, [(0, 0), (0, 3)] + [(0, 0)] * (each.ndim - 2))
                        for each in OBJECTS))  # fmt: skip
    narrow, padded = (
        nn.detection.detection_loss(prediction, each, size=SIZE) for each in (OBJECTS, wide)
    )
    assert jnp.allclose(narrow, padded)


def test_focal_loss_is_the_papers():
    logits, wanted = np.linspace(-3, 3, 7), np.linspace(0, 0.9, 7)
    peak = np.arange(7) % 2
    p = 1 / (1 + np.exp(-logits))
    by_hand = -np.where(peak, (1 - p) ** 2 * np.log(p), (1 - wanted) ** 4 * p**2 * np.log(1 - p))
    ours = nn.detection.focal_loss(
        *(jnp.asarray(each, jnp.float32) for each in (logits, wanted, peak))
    )
    assert np.allclose(ours, by_hand, atol=1e-6)
    with pytest.raises(ValueError, match="of one shape"):
        nn.detection.focal_loss(jnp.ones((2, 3)), jnp.ones((2, 1)), jnp.ones((2, 3)))


def test_objects_of_another_batch_are_refused():
    with pytest.raises(ValueError, match="predictions for 2 images and objects for 1"):
        nn.detection.detection_loss(sure(OBJECTS), pack([[]], [[]]), size=SIZE)


def trained(objects, classes=3):
    """A detector after a few steps on two images with these objects, and its losses."""
    net, optimizer = small(classes), optax.adam(3e-3)

    def loss(params, state, batch, *, key, train):
        x, objects = batch
        prediction, state = net.apply(params, state, x, key=key, train=train)
        return nn.detection.detection_loss(prediction, objects, size=SIZE).mean(), (state, {})

    step = nn.training.step(loss, optimizer)
    train, losses = nn.training.init_train(net, optimizer, KEY, X), []
    for _ in range(30):
        train, metrics = step(train, (X, objects))
        losses.append(float(metrics["loss"]))
    return net(train.params, X), losses


def test_no_objects_at_all_can_be_learned():
    prediction, losses = trained(pack([[], []], [[], []]))
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0] / 2
    assert jax.nn.sigmoid(prediction.heat).max() < 0.2


def test_a_class_never_seen_is_never_found_and_does_no_harm():
    objects = pack([[[1, 2, 7, 9]], [[3, 3, 5, 6]]], [[0], [1]])
    prediction, losses = trained(objects)
    assert losses[-1] < losses[0]
    assert jax.nn.sigmoid(prediction.heat[..., 2]).max() < 0.2


# Finding


def test_what_is_known_is_found():
    found = jax.jit(functools.partial(nn.detection.detect, most=10))(sure(OBJECTS))
    assert found.boxes.shape == (2, 10, 4)
    assert (found.mask[:, :-1] >= found.mask[:, 1:]).all() or (found.mask == 0).any()
    for i in range(2):
        there = np.asarray(found.mask[i]) > 0.5
        pairs = sorted(zip(found.labels[i][there].tolist(), found.boxes[i][there].tolist(),
                           strict=True))  # fmt: skip
        wanted = OBJECTS.mask[i]
        assert pairs == sorted(zip(OBJECTS.labels[i][wanted].tolist(),
                                   OBJECTS.boxes[i][wanted].tolist(), strict=True))  # fmt: skip
    assert nn.detection.mean_average_precision(found, OBJECTS, classes=3) == pytest.approx(1)


def test_the_worse_of_two_that_overlap_goes_unless_it_is_of_another_class():
    heat = jnp.full((1, 1, 3, 2), -9.0).at[0, 0, :, 0].set(jnp.array([2.0, 3.0, 1.0]))
    heat = heat.at[0, 0, 0, 1].set(0.5)
    boxes = jnp.array([[[[0.0, 0, 4, 4], [0, 0, 4, 5], [9, 9, 12, 12]]]])
    found = jax.jit(functools.partial(nn.detection.detect, most=4))(
        nn.detection.Prediction(heat, boxes)
    )
    kept = found.mask[0] > 0
    assert kept.tolist() == [True, False, True, True]
    assert found.labels[0].tolist() == [0, 0, 0, 1]
    assert jnp.allclose(found.mask[0][kept], jax.nn.sigmoid(jnp.array([3.0, 1.0, 0.5])))


def test_more_than_there_are_places_are_not_found():
    found = jax.eval_shape(functools.partial(nn.detection.detect, most=1000), sure(OBJECTS))
    assert found.mask.shape == (2, 4 * 6 * 3)
    with pytest.raises(ValueError, match="most must be a whole number"):
        nn.detection.detect(sure(OBJECTS), most=0)

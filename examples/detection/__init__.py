"""A one-stage detector finds handwritten digits pasted on photographs, trained from scratch.

At each of 24 x 24 positions, a U-Net behind a stem of stride 4 predicts which digit is centered
there and how far its box extends. There are no anchors, and non-maximum suppression is the only
step after the network. It is trained on 10000 scenes, randomly made brighter, darker or negative on
the device. The test scenes have other digits and other parts of the photographs. The baseline needs
no training of its search: connected regions that stand out by Otsu's threshold, each classified by
a support vector machine that was trained on single digits.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxnn as nn
from examples import Check, Options, Result, data
from examples.detection.baseline import regions
from examples.detection.figures import draw_scenes

THRESHOLD = 0.90  # mean average precision at an overlap of 0.5, over ten digits
SIZE = (96, 96)  # pixels of a scene
CLASSES = 10
DIGITS = 4  # in a scene, at most
MOST = 16  # boxes predicted in a scene, at most
WIDTH = 32  # channels of the detector
COCO = tuple(np.arange(0.5, 1, 0.05).round(2).tolist())  # the overlaps that COCO averages over
RATE = 3e-3  # the highest learning rate
DECAY = 0.02  # of the weights
BATCH = 32
STEPS = 1800
QUICK_STEPS = 8
SCENES = 10_000  # to train on
QUICK_SCENES = 200
TESTS = 500  # scenes to test on
QUICK_TESTS = 40


backbone = nn.serial(
    nn.conv(16, 3, stride=2, bias=False),
    nn.batch_norm(),
    jax.nn.relu,
    nn.conv(32, 3, stride=2, bias=False),
    nn.batch_norm(),
    jax.nn.relu,
    nn.unet(32, widths=(32, 64, 96)),
    jax.nn.relu,
)
net = nn.detection.detector(CLASSES, backbone, width=WIDTH)


def relit(key: jax.Array, x: jax.Array) -> jax.Array:
    """Images in [0, 1] with a random brightness and contrast, half of them as negatives."""
    keys = (jax.random.fold_in(key, i) for i in range(3))
    shape = (len(x), 1, 1, 1)
    gain = jax.random.uniform(next(keys), shape, x.dtype, 0.6, 1.2)
    shift = jax.random.uniform(next(keys), shape, x.dtype, -0.2, 0.2)
    negative = jax.random.bernoulli(next(keys), shape=shape)
    x = jnp.where(negative, 1 - x, x)
    return 0.5 + gain * (x - 0.5) + shift


def loss(params, state, batch, *, key, train):
    """The mean over images of the detection loss; in training, of relit images."""
    x, objects = batch
    x = x[..., None].astype(jnp.float32) / 255
    if train:
        x = relit(jax.random.fold_in(key, 0), x)
    prediction, state = net.apply(params, state, x, key=key, train=train)
    return nn.detection.detection_loss(prediction, objects, size=SIZE).mean(), (state, {})


def length(options: Options) -> int:
    return QUICK_STEPS if options.quick else STEPS


def plan(options: Options):
    rate = optax.cosine_onecycle_schedule(length(options), RATE, pct_start=0.15)
    optimizer = optax.adamw(rate, weight_decay=DECAY, mask=nn.decayed)
    x = jax.ShapeDtypeStruct((BATCH, *SIZE), jnp.uint8)
    objects = nn.detection.Objects(
        jax.ShapeDtypeStruct((BATCH, DIGITS, 4), jnp.float32),
        jax.ShapeDtypeStruct((BATCH, DIGITS), jnp.int32),
        jax.ShapeDtypeStruct((BATCH, DIGITS), jnp.bool_),
    )
    images = jax.ShapeDtypeStruct((BATCH, *SIZE, 1), jnp.float32)
    train = nn.training.init_train(net, optimizer, jax.random.key(options.seed), images)
    return nn.training.step(loss, optimizer), train, (x, objects)


def packed(scenes: data.Scenes) -> tuple[np.ndarray, nn.detection.Objects]:
    """The images of scenes, and their objects as arrays."""
    objects = nn.detection.pack_objects(
        scenes.boxes, scenes.labels, size=SIZE, classes=CLASSES, most=DIGITS
    )
    return scenes.x, objects


def detected(train: nn.training.TrainState, x: np.ndarray) -> nn.detection.Objects:
    """The objects that the detector finds in images [rows, 96, 96] of bytes."""

    @jax.jit
    def look(x):
        x = x[..., None].astype(jnp.float32) / 255
        return nn.detection.detect(net.apply(train.params, train.state, x)[0], most=MOST)

    found = [jax.device_get(look(x[i : i + 20])) for i in range(0, len(x), 20)]
    return nn.detection.Objects(*(np.concatenate(each) for each in zip(*found, strict=True)))


def run(options: Options) -> Result:
    counts = (QUICK_SCENES, QUICK_TESTS) if options.quick else (SCENES, TESTS)
    rows, (x, truth) = map(packed, data.pasted_digits(*counts))
    step, train, _ = plan(options)
    steps = length(options)
    every = min(50, steps // 4)
    end = nn.training.fit(step, train, rows, steps=steps, batch_size=BATCH, every=every)
    found = detected(end.train, x)
    by_regions = regions(x, 1000 if options.quick else 4000, MOST)

    def precision(objects, iou=0.5):
        return nn.detection.mean_average_precision(objects, truth, classes=CLASSES, iou=iou)

    return Result(
        checks=(Check("map50", precision(found), THRESHOLD),),
        baseline="regions by Otsu's threshold, classified by a support vector machine",
        baseline_value=precision(by_regions),
        steps=steps,
        parameters=nn.count_params(train.params),
        metrics={"map50_95": precision(found, COCO), "map75": precision(found, 0.75)}
        | {"train_loss": end.history[-1]["loss"]},
        history=end.history,
        figures={"found": draw_scenes(x, found, truth)},
    )

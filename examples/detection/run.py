"""The run of the example: train the detector, and measure it beside the baseline."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxnn as nn
from examples import Check, Options, Result, data
from examples.detection.baseline import regions
from examples.detection.figures import draw_scenes
from examples.detection.network import CLASSES, SIZE, loss, net

THRESHOLD = 0.90  # mean average precision at an overlap of 0.5, over ten digits
DIGITS = 4  # in a scene, at most
MOST = 16  # boxes predicted in a scene, at most
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

    def precision(objects, iou: float | tuple[float, ...] = 0.5):
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

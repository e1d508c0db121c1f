"""A one-stage detector finds handwritten digits pasted on photographs, from scratch.

A U-Net behind a stem of stride 4 says at each of 24 x 24 places which digit's middle is there and
how far its box reaches; no anchors, and one suppression at the end. It learns from 10000 scenes,
made brighter, darker and negative at random on the device. The scenes to test have other digits
and other parts of the photographs. Beside it runs what needs no learned search: parts that
stand out by Otsu's threshold, each named by a support vector machine that reads digits.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from skimage import filters, measure, transform
from sklearn.svm import SVC

import jaxnn as nn
from examples import Check, Options, Result, data

THRESHOLD = 0.90  # mean average precision at an overlap of 0.5, over ten digits
SIZE, CLASSES = (96, 96), 10
DIGITS, MOST = 4, 16  # in a scene, and found in it, at most
BATCH, STEPS, QUICK_STEPS, RATE = 32, 1800, 8, 3e-3
SCENES, TEST = 10_000, 500
COCO = tuple(np.arange(0.5, 1, 0.05).round(2).tolist())
SURE = 0.3  # the score from which on a box is drawn


def stem(width: int, stride: int = 1):
    return nn.conv(width, 3, stride=stride, bias=False), nn.batch_norm(), jax.nn.relu


backbone = nn.serial(*stem(16, 2), *stem(32, 2), nn.unet(32, widths=(32, 64, 96)), jax.nn.relu)
net = nn.detection.detector(CLASSES, backbone, width=32)


def relit(key: jax.Array, x: jax.Array) -> jax.Array:
    """Pictures in [0, 1] with another brightness and contrast, half of them as negatives."""
    keys = (jax.random.fold_in(key, i) for i in range(3))
    shape = (len(x), 1, 1, 1)
    gain = jax.random.uniform(next(keys), shape, x.dtype, 0.6, 1.2)
    shift = jax.random.uniform(next(keys), shape, x.dtype, -0.2, 0.2)
    negative = jax.random.bernoulli(next(keys), shape=shape)
    x = jnp.where(negative, 1 - x, x)
    return 0.5 + gain * (x - 0.5) + shift


def loss(params, state, batch, *, key, train):
    """The mean over pictures of the detection loss; in training of relit pictures."""
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
    optimizer = optax.adamw(rate, weight_decay=0.02, mask=nn.decayed)
    x = jax.ShapeDtypeStruct((BATCH, *SIZE), jnp.uint8)
    objects = nn.detection.Objects(
        jax.ShapeDtypeStruct((BATCH, DIGITS, 4), jnp.float32),
        jax.ShapeDtypeStruct((BATCH, DIGITS), jnp.int32),
        jax.ShapeDtypeStruct((BATCH, DIGITS), jnp.bool_),
    )
    pictures = jax.ShapeDtypeStruct((BATCH, *SIZE, 1), jnp.float32)
    train = nn.training.init_train(net, optimizer, jax.random.key(options.seed), pictures)
    return nn.training.step(loss, optimizer), train, (x, objects)


def packed(made: data.Scenes) -> tuple[np.ndarray, nn.detection.Objects]:
    objects = nn.detection.pack_objects(
        made.boxes, made.labels, size=SIZE, classes=CLASSES, most=DIGITS
    )
    return made.x, objects


def run(options: Options) -> Result:
    rows, tests = (200, 40) if options.quick else (SCENES, TEST)
    learned, (x, truth) = map(packed, data.pasted_digits(rows, tests))
    step, train, _ = plan(options)
    end = nn.training.fit(
        step,
        train,
        learned,
        steps=length(options),
        batch_size=BATCH,
        every=min(50, length(options) // 4),
    )
    found = detected(end.train, x)
    beside = parts(x, 1000 if options.quick else 4000)
    return Result(
        checks=(
            Check(
                "map50",
                nn.detection.mean_average_precision(found, truth, classes=CLASSES),
                THRESHOLD,
            ),
        ),
        baseline="parts by Otsu's threshold, named by a support vector machine",
        baseline_value=nn.detection.mean_average_precision(beside, truth, classes=CLASSES),
        steps=length(options),
        parameters=nn.count_params(train.params),
        metrics={
            "map50_95": nn.detection.mean_average_precision(
                found, truth, classes=CLASSES, iou=COCO
            ),
            "map75": nn.detection.mean_average_precision(found, truth, classes=CLASSES, iou=0.75),
            "train_loss": end.history[-1]["loss"],
        },
        history=end.history,
        figures={"found": draw(x, found, truth)},
    )


def detected(train: nn.training.TrainState, x: np.ndarray) -> nn.detection.Objects:
    """What the detector finds in pictures [n, 96, 96] of bytes."""

    @jax.jit
    def look(x):
        x = x[..., None].astype(jnp.float32) / 255
        return nn.detection.detect(net.apply(train.params, train.state, x)[0], most=MOST)

    found = [jax.device_get(look(x[i : i + 20])) for i in range(0, len(x), 20)]
    return nn.detection.Objects(*(np.concatenate(each) for each in zip(*found, strict=True)))


def parts(x: np.ndarray, taught: int) -> nn.detection.Objects:
    """The baseline: connected parts above or below Otsu's threshold, named by such a machine."""
    digits = data.digits()
    reader = SVC(random_state=0).fit(digits.x[:taught], digits.y[:taught])
    found = nn.detection.Objects(
        np.zeros((len(x), MOST, 4)), np.zeros((len(x), MOST), int), np.zeros((len(x), MOST))
    )
    for i, picture in enumerate(x):
        bar = filters.threshold_otsu(picture)
        regions = [
            (region.bbox, region.image)
            for mask in (picture > bar, picture < bar)
            for region in measure.regionprops(measure.label(mask, connectivity=2))
            if 12 <= region.image.shape[0] <= 24 and 3 <= region.image.shape[1] <= 24
        ][:MOST]
        for n, ((top, left, bottom, right), image) in enumerate(regions):
            height, width = (max(round(20 * n / max(image.shape)), 1) for n in image.shape)
            top_, left_ = (28 - height) // 2, (28 - width) // 2
            framed = np.zeros((28, 28))
            framed[top_ : top_ + height, left_ : left_ + width] = transform.resize(
                image.astype(float), (height, width), anti_aliasing=True
            )
            margins = reader.decision_function(framed.reshape(1, -1))[0]
            found.boxes[i, n] = left, top, right, bottom
            found.labels[i, n], found.mask[i, n] = margins.argmax(), max(margins.max(), 1e-3)
    return found


# The picture


def draw(x: np.ndarray, found: nn.detection.Objects, truth: nn.detection.Objects) -> Figure:
    """The scenes with the most mistakes, and as many others: boxes right, wrong and missed."""
    Objects = nn.detection.Objects  # noqa: N806
    verdicts = [judged(*(Objects(*(part[i] for part in each)) for each in (found, truth)))
                for i in range(len(x))]  # fmt: skip
    mistakes = np.array([(~right).sum() + missed.sum() for right, missed in verdicts])
    worst = np.argsort(-mistakes, kind="stable")[:4]
    rest = np.setdiff1d(np.arange(len(x)), worst)[:8]
    hits = sum(int(right.sum()) for right, _ in verdicts)
    figure = Figure(figsize=(12, 10.2), layout="constrained")
    figure.suptitle(
        f"Digits in {len(x)} scenes never seen: {hits} of {int(truth.mask.sum())} found and named "
        f"(green), {sum(int((~right).sum()) for right, _ in verdicts)} boxes wrong (red), "
        f"{sum(int(missed.sum()) for _, missed in verdicts)} digits missed (orange)\n"
        f"Above the four scenes with the most mistakes, below the first eight others",
        fontsize=13,
    )
    for axes, i in zip(figure.subplots(3, 4).flat, [*worst, *rest], strict=False):
        axes.imshow(x[i], cmap="gray", vmin=0, vmax=255)
        right, missed = verdicts[i]
        sure = np.flatnonzero(found.mask[i] >= SURE)
        for n, good in zip(sure, right, strict=True):
            colour = "limegreen" if good else "red"
            text = f"{found.labels[i, n]}  {100 * found.mask[i, n]:.0f} %"
            mark(axes, found.boxes[i, n], colour, text)
        for n in np.flatnonzero(missed):
            mark(axes, truth.boxes[i, n], "darkorange", str(truth.labels[i, n]), "--")
        axes.set(xticks=[0, 48, 95], yticks=[0, 48, 95], xlabel="pixels")
    return figure


def judged(
    found: nn.detection.Objects, truth: nn.detection.Objects
) -> tuple[np.ndarray, np.ndarray]:
    """Which of the sure boxes of a scene are right, and which of its objects none of them found."""
    missed = truth.mask.astype(bool).copy()
    right = []
    sure = found.mask >= SURE
    overlaps = np.asarray(
        nn.detection.pairwise_iou(jnp.asarray(found.boxes[sure]), jnp.asarray(truth.boxes))
    )
    for label, overlap in zip(found.labels[sure], overlaps, strict=True):
        fits = np.where(missed & (truth.labels == label), overlap, 0)
        right.append(fits.max() >= 0.5)
        missed[fits.argmax()] &= not right[-1]
    return np.array(right, bool), missed


def mark(axes, box, colour: str, text: str, style: str = "-") -> None:
    left, top, right, bottom = box
    axes.add_patch(
        Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False, ec=colour,
                  ls=style, lw=1.5)
    )  # fmt: skip
    axes.text(left, top - 1.5, text, color=colour, fontsize=9)

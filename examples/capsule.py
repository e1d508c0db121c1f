"""Capsules read digits, also turned and warped as none they learned from, beside a plain network.

Two networks begin with convolutions of the same sizes; one ends in primary capsules and a capsule
for each digit, routed by agreement, the other in two dense layers of as many numbers. Both learn
from the same 4000 upright digits, moved by up to two pixels, for as many steps. Then the 1000 test
digits are turned by up to 40 degrees, and warped by affine maps (turned, sheared, scaled and moved,
within the limits of affNIST). The capsules also learn to draw what they read from the capsule of
its class alone, which shows what each of its dimensions stands for. Sizes and rates were chosen on
800 of the 4000 digits, turned and warped as well, held out from the other 3200; the test digits
chose nothing.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import jaxnn as nn
from examples import Check, Options, Result, data

THRESHOLD = 0.98  # accuracy on the 1000 upright test digits
SHIFT = 2  # pixels
DRAWING = 0.0005  # the weight of a picture's squared error beside the margin loss
ANGLES = np.arange(-40, 41, 10)
WARPS = 5  # of each test digit
BATCH, STEPS, QUICK_STEPS, QUICK_ROWS = 128, 1200, 20, 100
HE = jax.nn.initializers.he_normal()


def convolutions() -> nn.Layer:
    """What both networks begin with: [rows, 28, 28, 1] to [rows, 7, 7, 64]."""
    return nn.serial(
        *(nn.conv(32, 5, w_init=HE), jax.nn.relu, nn.max_pool(2)),
        *(nn.conv(64, 5, w_init=HE), jax.nn.relu, nn.max_pool(2)),
    )


reader = nn.serial(
    convolutions(), nn.capsule.primary_capsules(8, 8, 3), nn.capsule.capsules(10, 16)
)
plain = nn.serial(convolutions(), nn.flatten(), nn.mlp(93, 10))  # as many numbers as the reader
decoder = nn.capsule.capsule_decoder((28, 28, 1), (256, 512))


def both(f, x):
    """The lengths of the capsules of pictures, and what is drawn from those of their labels."""
    pictures, labels = x
    capsules = f.reader(pictures)
    return nn.capsule.capsule_lengths(capsules), f.decoder((capsules, labels))


net = nn.wire(both, reader=reader, decoder=decoder)


def moved(x, key, train):
    """Pictures, in training each moved by up to SHIFT pixels."""
    return nn.augmentation.shift(jax.random.fold_in(key, 0), x, SHIFT) if train else x


def loss(params, state, batch, *, key, train):
    """The margin loss and the squared error of what is drawn."""
    x, labels = batch
    x = moved(x, key, train)
    (lengths, drawn), state = net.apply(params, state, (x, labels), key=key, train=train)
    margin = nn.capsule.margin_loss(lengths, labels)
    error = jnp.mean(jnp.sum((drawn - x) ** 2, axis=(1, 2, 3)))
    metrics = {"accuracy": nn.accuracy(lengths, labels), "margin": margin, "squared_error": error}
    return margin + DRAWING * error, (state, metrics)


def plain_loss(params, state, batch, *, key, train):
    """The cross entropy of the plain network, on pictures moved in the same way."""
    x, labels = batch
    logits, state = plain.apply(params, state, moved(x, key, train), key=key, train=train)
    entropy = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return jnp.mean(entropy), (state, {"accuracy": nn.accuracy(logits, labels)})


def length(options: Options) -> int:
    return QUICK_STEPS if options.quick else STEPS


def optimizer(options: Options) -> optax.GradientTransformation:
    return optax.adam(optax.cosine_decay_schedule(2e-3, length(options)))


def plan(options: Options):
    x = jax.ShapeDtypeStruct((BATCH, 28, 28, 1), jnp.float32)
    labels = jax.ShapeDtypeStruct((BATCH,), jnp.int32)
    descend = optimizer(options)
    train = nn.training.init_train(net, descend, jax.random.key(options.seed), (x, labels))
    return nn.training.step(loss, descend), train, (x, labels)


def warps(rows: int) -> jax.Array:
    """Matrices [rows, 2, 3] like those of affNIST, always the same.

    Turns of up to 20 degrees, shears of up to 0.2, scales along each axis of 0.8 to 1.2, moves of
    up to SHIFT pixels.
    """
    draw = np.random.default_rng(0).uniform(-1, 1, (6, rows))
    turn = np.asarray(nn.augmentation.rotation(20 * draw[0]))[..., :2]
    one, zero = np.ones(rows), np.zeros(rows)
    shear = np.moveaxis(np.array([[one, 0.2 * draw[1]], [zero, one]]), -1, 0)
    scale = np.moveaxis(np.array([[1 + 0.2 * draw[2], zero], [zero, 1 + 0.2 * draw[3]]]), -1, 0)
    linear = turn @ shear @ np.linalg.inv(scale)
    return jnp.asarray(np.concatenate([linear, SHIFT * draw[4:].T[..., None]], -1), jnp.float32)


def robustness(scores, pictures: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, float]:
    """The accuracies of scores(pictures) at each of ANGLES, and on affine-warped pictures."""

    @jax.jit
    def right(x, labels, matrices):
        return jnp.sum(jnp.argmax(scores(nn.augmentation.affine(x, matrices)), -1) == labels)

    def accuracy(matrices):
        parts = [slice(i, i + QUICK_ROWS) for i in range(0, len(pictures), QUICK_ROWS)]
        counts = [right(pictures[part], labels[part], matrices[part]) for part in parts]
        return sum(map(int, counts)) / len(pictures)

    turned = [
        accuracy(nn.augmentation.rotation(jnp.full(len(pictures), float(angle))))
        for angle in ANGLES
    ]
    each = jnp.split(warps(WARPS * len(pictures)), WARPS)
    return np.array(turned), float(np.mean([accuracy(matrices) for matrices in each]))


def train_both(options: Options, x: np.ndarray, y: np.ndarray):
    """What `fit` leaves of the capsules and of the plain network."""
    steps, descend = length(options), optimizer(options)
    step, train, _ = plan(options)
    start = nn.training.init_train(plain, descend, jax.random.key(options.seed), x[:BATCH])
    plain_step = nn.training.step(plain_loss, descend)
    return [
        nn.training.fit(each, begin, (x, y), steps=steps, batch_size=BATCH, every=QUICK_STEPS)
        for each, begin in ((step, train), (plain_step, start))
    ]


def lost(accuracies: np.ndarray) -> float:
    """Points of the accuracy at ANGLES that are lost by turning, on average."""
    return float(100 * (accuracies[ANGLES == 0][0] - accuracies[ANGLES != 0].mean()))


def run(options: Options) -> Result:
    digits = data.digits()
    rows = QUICK_ROWS if options.quick else len(digits.test_x)
    x, test_x = (each.reshape(-1, 28, 28, 1) for each in (digits.x, digits.test_x[:rows]))
    test_y = digits.test_y[:rows]
    capsules, rival = train_both(options, x, digits.y)
    params = capsules.train.params
    readers = {
        "capsules": lambda x: nn.capsule.capsule_lengths(reader(params["reader"], x)),
        "plain network": lambda x: plain(rival.train.params, x),
    }
    found = {name: robustness(scores, test_x, test_y) for name, scores in readers.items()}
    (turned, warped), (plain_turned, plain_warped) = found.values()
    upright, plain_upright = (float(each[ANGLES == 0][0]) for each in (turned, plain_turned))
    turning, plain_turning = lost(turned), lost(plain_turned)
    warping, plain_warping = 100 * (upright - warped), 100 * (plain_upright - plain_warped)
    return Result(
        checks=(
            Check("accuracy", upright, THRESHOLD),
            Check("points_saved_turned", plain_turning - turning, 0.0),
            Check("points_saved_warped", plain_warping - warping, 0.0),
        ),
        baseline="the same convolutions with dense layers of as many numbers",
        baseline_value=plain_upright,
        steps=length(options),
        parameters=nn.count_params(params),
        metrics={
            "reader_parameters": float(nn.count_params(params["reader"])),
            "plain_parameters": float(nn.count_params(rival.train.params)),
            "points_lost_turned": turning,
            "plain_points_lost_turned": plain_turning,
            "accuracy_warped": warped,
            "plain_accuracy_warped": plain_warped,
            "points_lost_warped": warping,
            "plain_points_lost_warped": plain_warping,
            "accuracy_40_degrees": float(turned[[0, -1]].mean()),
            "plain_accuracy_40_degrees": float(plain_turned[[0, -1]].mean()),
            "squared_error": capsules.history[-1]["squared_error"],
        },
        history=capsules.history,
        figures={
            "angles": draw_angles(found, test_x),
            "dimensions": draw_dimensions(params, test_x, test_y),
        },
    )


def draw_angles(found: dict, pictures: np.ndarray) -> Figure:
    """Accuracy over the angle for both networks, and what the test pictures look like."""
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    figure.suptitle("Digits learned upright, read turned and warped", fontsize=15)
    top, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(3, 1.2))[:, 0]
    axes = top.subplots()
    for colour, (name, (turned, warped)) in zip(
        ("tab:blue", "tab:orange"), found.items(), strict=True
    ):
        axes.plot(ANGLES, 100 * turned, "o-", color=colour, label=f"{name}, turned")
        axes.axhline(
            100 * warped, ls="--", color=colour, label=f"{name}, affine-warped (any angle)"
        )
    axes.set(xlabel="angle, counter-clockwise (degrees)", ylabel="accuracy (% of test digits)")
    axes.set(xticks=ANGLES)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9, loc="lower center")
    matrices = jnp.concatenate([nn.augmentation.rotation(jnp.array(ANGLES * 1.0)), warps(9)])
    shown = nn.augmentation.affine(jnp.tile(pictures[1:2], (18, 1, 1, 1)), matrices)
    for i, axes in enumerate(below.subplots(2, 9).flat):
        axes.imshow(shown[i, ..., 0], cmap="gray_r")
        axes.set(xticks=[], yticks=[])
        axes.set_title(f"{ANGLES[i]} degrees" if i < 9 else "warped", fontsize=8)
    return figure


def draw_dimensions(params, pictures: np.ndarray, labels: np.ndarray) -> Figure:
    """What is drawn while one dimension of a digit's capsule moves, for two digits."""
    moves = np.linspace(-0.25, 0.25, 11)
    figure = Figure(figsize=(15, 11.5), layout="constrained")
    figure.suptitle(
        "What each dimension of a capsule stands for: drawn from one capsule while one of its 16 "
        "numbers moves",
        fontsize=15,
    )
    for part, digit in zip(figure.subfigures(1, 2, squeeze=False)[0], (4, 2), strict=True):
        index = np.flatnonzero(labels == digit)[:1]
        capsules = jax.jit(reader)(params["reader"], pictures[index])
        step = np.eye(16)[:, None] * moves[None, :, None]  # [dimension, move, dimension]
        moved = jnp.tile(capsules, (16 * len(moves), 1, 1))
        moved = moved.at[:, digit].add(jnp.asarray(step.reshape(-1, 16), jnp.float32))
        drawn = jax.jit(decoder)(params["decoder"], (moved, jnp.full(len(moved), digit)))
        rows = np.asarray(drawn).reshape(16, len(moves), 28, 28)
        sheet = rows.transpose(0, 2, 1, 3).reshape(16 * 28, len(moves) * 28)
        axes = part.subplots()
        axes.imshow(sheet, cmap="gray_r")
        for line in np.arange(1, 16) * 28 - 0.5:
            axes.axhline(line, color="tab:blue", lw=0.4)
        axes.set(
            title=f"a {digit} that was not learned from",
            xlabel="added to the dimension (capsules are shorter than 1)",
            ylabel="dimension of the capsule (index)",
        )
        axes.set_xticks(np.arange(0, len(moves), 2) * 28 + 14, [f"{m:.2f}" for m in moves[::2]])
        axes.set_yticks(np.arange(16) * 28 + 14, [str(i) for i in range(16)])
    return figure

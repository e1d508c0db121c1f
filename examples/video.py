"""The next frame of a film, by kernels of its own for every pixel; and the way a digit moves.

The next frame: a small net looks at the last frames of a clip and gives each pixel a kernel over
them, whose sum is added to the last frame. The clip shows towers at night, past which a camera pans
by a tenth of a pixel a frame. What the net can foresee is how each part of the image goes on
moving, and how to smooth what it cannot foresee; its loss is the logarithm of each crop's squared
error, which is what a mean of decibels measures. It learns from the first four fifths of the shot,
and every choice was made on the last twenty frames of these. Beside it run one kernel for every
pixel, by least squares, and the last frame, as it was or moved by the shift between the last two.

The way of a digit: a residual network of 3-d convolutions names one of eight directions in which a
handwritten digit moves through noise; every step draws new clips on the device. The digits to test
are others. Beside it runs the rule that a digit is where the mean of its light is.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure
from scipy import ndimage
from skimage.registration import phase_cross_correlation

import jaxnn as nn
from examples import Check, Options, Result, data

BAR, WAY_BAR = 37.0, 0.97  # dB, 0.3 above one kernel for every pixel; accuracy of the direction
PAST, REACH, WIDTH, CROP = 3, 2, 24, 64  # frames seen; of a kernel; channels; pixels learned from
TAPS = PAST * (2 * REACH + 1) ** 2  # numbers in a kernel
BATCH, STEPS, QUICK_STEPS, RATE, DECAY = 8, 400, 10, 5e-3, 0.01
SIZE, TAUGHT = (96, 176), 92  # of a frame; frames to learn from, the last 23 are held out
TIME, SIDE, NOISE = 8, 40, 0.5  # frames and pixels of a clip of a digit; deviation of its noise
WAYS = ("right", "up right", "up", "up left", "left", "down left", "down", "down right")
WAY_BATCH, WAY_STEPS, QUICK_WAY_STEPS, WAY_RATE = 32, 500, 20, 1e-2

# The next frame


def foreseen(f, past: jax.Array) -> jax.Array:
    """The next frame [batch, height, width] of frames [batch, height, width, PAST]."""
    last = past[..., -1:]
    slopes = [jnp.roll(last, -1, axis) - jnp.roll(last, 1, axis) for axis in (1, 2)]
    changes = past[..., :-1] - last
    h = f.near(jnp.concatenate([last - 0.5, *(10 * each for each in slopes), 20 * changes], -1))
    # The camera moves all of the image: what is seen of it all scales what is seen here.
    h = f.far(h * (1 + f.whole(h))[:, None, None])
    change = jnp.sum(f.kernels(h) * differences(past), axis=-1)
    return last[..., 0] + 0.1 * change


def differences(past: jax.Array) -> jax.Array:
    """Each pixel's neighbours in all frames, less itself in the last: [..., TAPS]."""
    framed = jnp.pad(past, ((0, 0), (REACH, REACH), (REACH, REACH), (0, 0)), mode="edge")
    side, (rows, columns) = 2 * REACH + 1, past.shape[1:3]
    taps = [framed[:, i : i + rows, j : j + columns] for i in range(side) for j in range(side)]
    return jnp.concatenate(taps, axis=-1) - past[..., -1:]


def conv(width: int, kernel_size: int, dilation: int = 1):
    return nn.conv(width, kernel_size, dilation=dilation), jax.nn.relu


zeros = jax.nn.initializers.zeros
frames = nn.wire(
    foreseen,
    near=nn.serial(*conv(WIDTH, 3), *conv(WIDTH, 3, 2)),
    whole=nn.serial(nn.global_avg_pool(), nn.dense(WIDTH), jnp.tanh, nn.dense(WIDTH, w_init=zeros)),
    far=nn.serial(*conv(WIDTH, 3, 4), *conv(WIDTH, 1)),
    # It starts by repeating the last frame.
    kernels=nn.conv(TAPS, 1, w_init=zeros),
)


def decibels(prediction: jax.Array, truth: jax.Array) -> jax.Array:
    """The peak signal-to-noise ratio of each image whose values reach from 0 to 1, in dB."""
    return -10 * jnp.log10(jnp.mean(jnp.square(prediction - truth), axis=(1, 2)))


def loss(params, state, x, *, key, train):
    """The mean logarithm of the squared error of windows [batch, height, width, PAST + 1]."""
    if train:
        x = nn.augmentation.crop(jax.random.fold_in(key, 0), x, CROP)
    truth, repeated = x[..., -1], x[..., -2]
    prediction = frames(params, x[..., :-1])
    error = jnp.mean(jnp.square(prediction - truth), axis=(1, 2))
    ratio = decibels(prediction, truth)
    gain = jnp.mean(ratio - decibels(repeated, truth))
    # What is added keeps crops in which nothing moves from deciding everything.
    return jnp.mean(jnp.log(error + 1e-5)), ((), {"psnr": jnp.mean(ratio), "gain": gain})


def windows(clip: np.ndarray, first: int, last: int) -> np.ndarray:
    """Each frame from `first` to before `last`, behind the PAST before it."""
    turned = clip.transpose(1, 2, 0)
    each = range(max(first, PAST), last)
    return np.stack([turned[..., i - PAST : i + 1] for i in each])


def moved_on(past: np.ndarray) -> np.ndarray:
    """The last of frames [height, width, PAST], moved by the shift between the last two of them."""
    shift, _, _ = phase_cross_correlation(past[..., -1], past[..., -2], upsample_factor=100)
    return ndimage.shift(past[..., -1], shift, order=5, mode="nearest")


def one_kernel(x: np.ndarray) -> np.ndarray:
    """The kernel [TAPS] that serves every pixel of windows, by least squares."""
    products, wanted = np.zeros((TAPS, TAPS)), np.zeros(TAPS)
    look = jax.jit(differences)
    for window in x:
        seen = np.asarray(look(window[None, ..., :-1]), np.float64).reshape(-1, TAPS)
        products += seen.T @ seen
        wanted += seen.T @ (window[..., -1] - window[..., -2]).ravel()
    return np.linalg.lstsq(products, wanted, rcond=None)[0]


def length(options: Options) -> int:
    return QUICK_STEPS if options.quick else STEPS


def plan(options: Options):
    rate = optax.cosine_onecycle_schedule(length(options), RATE, pct_start=0.1)
    optimizer = optax.adamw(rate, weight_decay=DECAY, mask=nn.decayed)
    x = jax.ShapeDtypeStruct((BATCH, *SIZE, PAST + 1), jnp.float32)
    past = jax.ShapeDtypeStruct((BATCH, CROP, CROP, PAST), jnp.float32)
    train = nn.training.start(frames, optimizer, jax.random.key(options.seed), past)
    return nn.training.step(loss, optimizer), train, x


# The way of a digit


def moving(key: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Clips [batch, TIME, SIDE, SIDE, 1] of digits [batch, 784] that move through noise, and how.

    A digit crosses the middle of its clip at a speed of 0.5 to 1.5 pixels a frame, in one of eight
    directions.
    """
    keys = (jax.random.fold_in(key, i) for i in range(4))
    n, edge = len(x), (SIDE - 28) // 2
    way = jax.random.randint(next(keys), (n,), 0, len(WAYS))
    speed = jax.random.uniform(next(keys), (n, 1), minval=0.5, maxval=1.5)
    angle = 2 * jnp.pi / len(WAYS) * way
    velocity = speed * jnp.stack([-jnp.sin(angle), jnp.cos(angle)], axis=-1)
    middle = jax.random.uniform(next(keys), (n, 1, 2), minval=-3.0, maxval=3.0)
    time = (jnp.arange(TIME) - (TIME - 1) / 2)[None, :, None]
    places = (middle + time * velocity[:, None]).reshape(-1, 2, 1)
    still = jnp.broadcast_to(jnp.eye(2), (n * TIME, 2, 2))
    x = jnp.pad(x.reshape(n, 28, 28, 1), ((0, 0), (edge, edge), (edge, edge), (0, 0)))
    matrices = jnp.concatenate([still, -places], axis=-1)
    clips = nn.augmentation.affine(jnp.repeat(x, TIME, axis=0), matrices)
    clips = clips.reshape(n, TIME, SIDE, SIDE, 1)
    return clips + NOISE * jax.random.normal(next(keys), clips.shape), way


ways = nn.video_resnet(len(WAYS), (1, 1), width=8)
named = nn.training.supervised(
    ways, optax.softmax_cross_entropy_with_integer_labels, {"accuracy": nn.accuracy}
)


def way_loss(params, state, x, *, key, train):
    """The cross entropy of the ways of digits [batch, 784], in clips drawn anew."""
    return named(params, state, moving(jax.random.fold_in(key, 0), x), key=key, train=train)


def learn_ways(options: Options, digits: data.Split):
    """A trained net, and test clips that are the same for every seed: params, clips and ways."""
    steps = QUICK_WAY_STEPS if options.quick else WAY_STEPS
    rate = optax.cosine_onecycle_schedule(steps, WAY_RATE, pct_start=0.2)
    optimizer = optax.adamw(rate, weight_decay=DECAY, mask=nn.decayed)
    clip = jax.ShapeDtypeStruct((WAY_BATCH, TIME, SIDE, SIDE, 1), jnp.float32)
    key = jax.random.fold_in(jax.random.key(options.seed), 1)
    train = nn.training.start(ways, optimizer, key, clip)
    end = nn.training.fit(
        nn.training.step(way_loss, optimizer),
        train,
        digits.x,
        steps=steps,
        batch_size=WAY_BATCH,
        every=min(50, steps // 4),
    )
    few = slice(100 if options.quick else None)
    return end, *jax.jit(moving)(jax.random.key(0), digits.test_x[few])


def by_light(clips: np.ndarray) -> np.ndarray:
    """The way in which the mean place of a clip's light moves, by least squares over time."""
    light = np.clip(clips[..., 0], 0, 1)
    place = np.arange(SIDE) - (SIDE - 1) / 2
    whole = light.sum((2, 3))
    rows = (light.sum(3) * place).sum(2) / whole
    columns = (light.sum(2) * place).sum(2) / whole
    time = np.arange(TIME) - (TIME - 1) / 2
    angle = np.arctan2(-(rows * time).sum(1), (columns * time).sum(1))
    return np.round(angle * len(WAYS) / (2 * np.pi)).astype(int) % len(WAYS)


# Both


def run(options: Options) -> Result:
    clip = data.city()
    learned, held = windows(clip, 0, TAUGHT), windows(clip, TAUGHT, len(clip))
    step, train, _ = plan(options)
    end = nn.training.fit(
        step,
        train,
        learned,
        steps=length(options),
        batch_size=BATCH,
        every=min(50, length(options) // 5),
    )
    predict = jax.jit(lambda past: frames(end.train.params, past))
    predicted = np.concatenate([predict(held[i : i + 4, ..., :-1]) for i in range(0, len(held), 4)])
    moved = np.stack([moved_on(each) for each in held[..., :-1]])
    kernel = one_kernel(learned[::4])  # neighbouring frames say the same
    linear = held[..., -2] + np.asarray(differences(held[..., :-1])) @ kernel
    ratios = [np.asarray(decibels(jnp.asarray(each), jnp.asarray(held[..., -1])))
              for each in (predicted, linear, moved, held[..., -2])]  # fmt: skip

    digits = data.digits()
    way_end, clips, way = learn_ways(options, digits)
    test = nn.training.evaluate(named, way_end.train, (clips, way), batch_size=100)
    light = float(np.mean(by_light(np.asarray(clips)) == np.asarray(way)))
    return Result(
        checks=(
            Check("psnr", float(ratios[0].mean()), BAR),
            Check("way_accuracy", test["accuracy"], WAY_BAR),
        ),
        baseline="one kernel for every pixel, by least squares",
        baseline_value=float(ratios[1].mean()),
        steps=length(options),
        parameters=nn.size(train.params),
        metrics={
            "psnr_gain": float((ratios[0] - ratios[1]).mean()),
            "psnr_of_the_last_frame_moved": float(ratios[2].mean()),
            "psnr_of_the_last_frame": float(ratios[3].mean()),
            "way_accuracy_by_light": light,
            "way_parameters": float(nn.size(way_end.train.params)),
            "way_train_loss": way_end.history[-1]["loss"],
        },
        history=end.history,
        pictures={
            "next_frame": draw_frames(held, [predicted, linear, moved, held[..., -2]], ratios),
            "ways": draw_ways(np.asarray(clips), np.asarray(way), believed(way_end.train, clips)),
        },
    )


def believed(train: nn.training.Train, clips: jax.Array) -> np.ndarray:
    look = jax.jit(lambda clips: ways.apply(train.params, train.state, clips)[0])
    parts = [look(clips[i : i + 100]) for i in range(0, len(clips), 100)]
    return np.asarray(jax.nn.softmax(jnp.concatenate(parts)))


# The pictures


def draw_frames(
    held: np.ndarray, predictions: list[np.ndarray], ratios: list[np.ndarray]
) -> Figure:
    """A frame as it came and as it was foreseen, every error, and the ratio of every frame."""
    gain = ratios[0] - ratios[1]
    i = int(np.argsort(gain)[len(gain) // 2])  # neither the best nor the worst
    truth = held[i, ..., -1]
    figure = Figure(figsize=(13, 10), layout="constrained")
    figure.suptitle(
        f"The next frame of a clip, over the last fifth of a shot: {ratios[0].mean():.2f} dB, "
        f"{gain.mean():+.2f} dB against one kernel for every pixel",
        fontsize=14,
    )
    grid = figure.add_gridspec(3, 4, height_ratios=(1.4, 0.8, 1.2))
    for n, (title, image) in enumerate(
        ((f"frame {TAUGHT + i}, as it came", truth), ("as it was foreseen", predictions[0][i]))
    ):
        axes = figure.add_subplot(grid[0, 2 * n : 2 * n + 2])
        axes.imshow(image, cmap="gray", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[])
        axes.set_title(title, fontsize=10)
    for n, (name, prediction, ratio) in enumerate(zip(NAMES, predictions, ratios, strict=True)):
        axes = figure.add_subplot(grid[1, n])
        drawn = axes.imshow(prediction[i] - truth, cmap="RdBu", vmin=-0.2, vmax=0.2)
        axes.set(xticks=[], yticks=[])
        axes.set_title(f"error of {name}: {ratio[i]:.1f} dB", fontsize=9)
    figure.colorbar(drawn, ax=axes, label="share of white", shrink=0.8)
    axes = figure.add_subplot(grid[2, :])
    for name, ratio, style in zip(NAMES, ratios, ("o-", "^--", "s--", "d--"), strict=True):
        axes.plot(TAUGHT + np.arange(len(held)), ratio, style, label=name)
    axes.set(xlabel="frame of the clip", ylabel="peak signal-to-noise ratio (dB)")
    axes.set_title("Every frame held out", fontsize=10)
    axes.margins(y=0.25)
    axes.legend(loc="lower center", ncols=4)
    return figure


NAMES = ("the net", "one kernel", "the last frame, moved", "the last frame")


def draw_ways(clips: np.ndarray, way: np.ndarray, beliefs: np.ndarray) -> Figure:
    """Clips frame by frame: the first of each way, or one that was named wrong."""
    guesses = beliefs.argmax(axis=1)
    wrong = np.flatnonzero(guesses != way)
    first = [np.flatnonzero(way == each)[:1] for each in range(len(WAYS))]
    shown = np.concatenate([wrong[:2], *first])[: len(WAYS)].astype(int)
    figure = Figure(figsize=(11, 10), layout="constrained")
    axes = figure.subplots()
    rows = [np.concatenate(clips[i, ..., 0], axis=1) for i in shown]
    axes.imshow(np.concatenate(rows), cmap="gray", vmin=-1, vmax=1.5)
    axes.set_title(
        f"Digits that move through noise: {len(way) - len(wrong)} of {len(way)} ways named right\n"
        "(the first two lines are mistakes, where there were any)"
    )
    names = [
        f"{WAYS[way[i]]}\nnamed {WAYS[guesses[i]]}\n{100 * beliefs[i, guesses[i]]:.0f} % sure"
        for i in shown
    ]
    middles = SIDE * np.arange(TIME) + SIDE / 2
    axes.set_xticks(middles, [f"frame {time}" for time in range(TIME)])
    axes.set_yticks(middles[: len(shown)], names)
    for label, i in zip(axes.get_yticklabels(), shown, strict=True):
        label.set_color("tab:green" if guesses[i] == way[i] else "tab:red")
    axes.hlines(SIDE * np.arange(1, len(shown)) - 0.5, -0.5, TIME * SIDE - 0.5, "white", lw=1)
    axes.tick_params(length=0)
    return figure

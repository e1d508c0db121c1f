"""Autoencoders squeeze digits and faces into 32 numbers, beside as many principal components.

The digits go through one wide layer on each side of the code, which learn from 4000 digits that
every step turns, scales and moves a little; the decoder puts out logits of ink, and learns by their
cross entropy, which from the start is steeper than the squared error and ends at the same pixels.
Of the faces there are only 80 to learn from: there the encoder and the decoder are linear maps that
start as the principal components of the faces, mirrored and moved by up to two pixels, and a small
convolutional net refines the image that comes out. That net starts at zero, so that training starts
from the components and can only leave them; as it is the same at every pixel, even a few faces
teach it much. Both are measured on what they never saw, by the mean squared error of a pixel; the
components beside the faces are those of the faces alone or of the mirrored and moved ones,
whichever lose less. Widths, augmentation and steps were chosen on held-out parts of what was
learned from: 800 digits, and 16 faces at a time.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure
from sklearn.decomposition import PCA

import jaxnn as nn
from examples import Check, Options, Result, data

CODE = 32
DIGITS_BAR, FACES_BAR = 0.55, 1.0  # of the error of as many principal components
CODES, QUICK_CODES = (2, 4, 8, 16, 32, 64), (32,)
DIGIT_WIDTH, BATCH, STEPS, QUICK_STEPS = 1024, 128, 1800, 100
HEIGHT, WIDTH = 25, 25
MOVE, FACE_WIDTH, KERNEL = 2, 16, 5  # pixels a face is moved by; channels of what refines it
FACE_BATCH, FACE_STEPS, QUICK_FACE_STEPS = 40, 500, 20


def warped(key: jax.Array, x: jax.Array, by: float = 1.0) -> jax.Array:
    """Digits [rows, 28, 28, 1], each turned, scaled, sheared and moved a little, or more."""
    drawn = by * jax.random.uniform(key, (len(x), 6), x.dtype, -1, 1)
    turn = nn.augmentation.rotation(10 * drawn[:, 0])[:, :, :2]
    stretch = jnp.eye(2) + 0.1 * drawn[:, 1:5].reshape(-1, 2, 2)
    return nn.augmentation.affine(x, jnp.concatenate([turn @ stretch, drawn[:, 4:, None]], axis=-1))


def digit_coder(code: int) -> nn.Layer:
    """A net from digits to the logits of their ink."""
    return nn.autoencoder(*nn.dense_coder((28, 28, 1), code, DIGIT_WIDTH, activation=jax.nn.gelu))


def entropy(logits: jax.Array, x: jax.Array) -> jax.Array:
    return jnp.mean(optax.sigmoid_binary_cross_entropy(logits, x))


def augmented(net: nn.Layer, change, distance=nn.mse):
    """How far a net is from giving back its rows, in training those that change(key, x) makes."""
    plain = nn.reconstruction(net, distance)

    def loss(params, state, batch, *, key, train):
        if train:
            batch, key = change(jax.random.fold_in(key, 0), batch), jax.random.fold_in(key, 1)
        return plain(params, state, batch, key=key, train=train)

    return loss


def adamw(rate: float, steps: int) -> optax.GradientTransformation:
    schedule = optax.warmup_cosine_decay_schedule(0.0, rate, 100, max(steps, 200))
    return optax.adamw(schedule, weight_decay=1e-2)


def length(options: Options) -> int:
    return QUICK_STEPS if options.quick else STEPS


def plan(options: Options, code: int = CODE):
    net, optimizer = digit_coder(code), adamw(3e-3, length(options))
    x = jax.ShapeDtypeStruct((BATCH, 28, 28, 1), jnp.float32)
    train = nn.training.start(net, optimizer, jax.random.key(options.seed), x)
    return nn.training.step(augmented(net, warped, entropy), optimizer), train, x


def moved(key: jax.Array, x: jax.Array) -> jax.Array:
    """Faces [rows, pixels], each mirrored or not and moved by up to MOVE pixels both ways."""
    faces = x.reshape(-1, HEIGHT, WIDTH, 1)
    faces = jnp.pad(faces, ((0, 0), (MOVE, MOVE), (MOVE, MOVE), (0, 0)), mode="edge")
    faces = nn.augmentation.crop(jax.random.fold_in(key, 0), faces, (HEIGHT, WIDTH))
    return nn.augmentation.flip(jax.random.fold_in(key, 1), faces).reshape(x.shape)


def every_move(x: np.ndarray) -> np.ndarray:
    """All that `moved` can make of faces."""
    faces = x.reshape(-1, HEIGHT, WIDTH)
    faces = np.pad(faces, ((0, 0), (MOVE, MOVE), (MOVE, MOVE)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(faces, (HEIGHT, WIDTH), axis=(1, 2))
    windows = windows.reshape(-1, HEIGHT, WIDTH)
    return np.concatenate([windows, windows[:, :, ::-1]]).reshape(-1, HEIGHT * WIDTH)


def components(code: int, x: np.ndarray) -> PCA:
    return PCA(code, svd_solver="randomized", random_state=0).fit(x)


def kept(principal: PCA, x: np.ndarray) -> np.ndarray:
    """What the components keep of rows."""
    return principal.inverse_transform(principal.transform(x))


def face_coder(start: PCA) -> nn.Layer:
    """Two linear maps that start as these components, and a net that refines from zero on."""
    spread = np.sqrt(start.explained_variance_)[:, None]
    into, back = start.components_ / spread, start.components_ * spread

    def linear(w, b):
        return nn.dense(w.shape[1], w_init=given(w), b_init=given(b))

    def given(value):
        return lambda key, shape, dtype: jnp.asarray(value, dtype).reshape(shape)

    def image(x):
        return x.reshape(-1, HEIGHT, WIDTH, 1)

    refine = nn.serial(
        nn.conv(FACE_WIDTH, KERNEL),
        jax.nn.gelu,
        nn.conv(FACE_WIDTH, KERNEL),
        jax.nn.gelu,
        nn.conv(1, KERNEL, w_init=jax.nn.initializers.zeros),
    )
    decoder = nn.serial(linear(back, start.mean_), image, nn.residual(refine), nn.flatten())
    return nn.autoencoder(linear(into.T, -into @ start.mean_), decoder)


def faces_learned(options: Options, start: PCA, x: np.ndarray):
    """(net, its run) for faces, from these components on."""
    steps = QUICK_FACE_STEPS if options.quick else FACE_STEPS
    net, optimizer = face_coder(start), adamw(1e-3, steps)
    example = jax.ShapeDtypeStruct((FACE_BATCH, HEIGHT * WIDTH), jnp.float32)
    train = nn.training.start(net, optimizer, jax.random.key(options.seed), example)
    step = nn.training.step(augmented(net, moved), optimizer)
    return net, nn.training.fit(
        step, train, x, steps=steps, batch_size=FACE_BATCH, every=steps // 10
    )


def digits_learned(options: Options, code: int, x: np.ndarray):
    """(net, its run) for digits."""
    step, train, _ = plan(options, code)
    steps = length(options)
    return digit_coder(code), nn.training.fit(
        step, train, x, steps=steps, batch_size=BATCH, every=steps // 10
    )


def run(options: Options) -> Result:
    digits, (faces, test_faces) = data.digits(), data.faces()
    pictures = digits.x.reshape(-1, 28, 28, 1), digits.test_x.reshape(-1, 28, 28, 1)
    middle, spread = faces.mean(), faces.std()
    x, test_x = (faces - middle) / spread, (test_faces - middle) / spread
    moves = every_move(x)[:: 9 if options.quick else 1]
    errors, shown, ends = {}, {}, {}
    for code in QUICK_CODES if options.quick else CODES:
        net, end = digits_learned(options, code, pictures[0])
        logits = net(end.train.params, jnp.asarray(pictures[1]))
        made = np.asarray(jax.nn.sigmoid(logits)).reshape(-1, 784)
        beside = kept(PCA(code, random_state=0).fit(digits.x), digits.test_x)
        errors["digits", code] = nn.mse(made, digits.test_x), nn.mse(beside, digits.test_x)
        shown["digits", code], ends["digits", code] = (digits.test_x, beside, made), end

        start = components(code, moves)
        net, end = faces_learned(options, start, x)
        made = np.asarray(net(end.train.params, jnp.asarray(test_x))) * spread + middle
        both = [kept(each, test_x) for each in (start, components(code, x))]
        beside = min(both, key=lambda each: nn.mse(each, test_x)) * spread + middle
        errors["faces", code] = nn.mse(made, test_faces), nn.mse(beside, test_faces)
        shown["faces", code], ends["faces", code] = (test_faces, beside, made), end
    errors = {which: (float(own), float(beside)) for which, (own, beside) in errors.items()}
    ratios = {which: own / beside for which, (own, beside) in errors.items()}
    return Result(
        checks=(
            Check("digits_error", ratios["digits", CODE], DIGITS_BAR, higher_is_better=False),
            Check("faces_error", ratios["faces", CODE], FACES_BAR, higher_is_better=False),
        ),
        baseline=f"{CODE} principal components, whose error is the unit",
        baseline_value=1.0,
        steps=length(options),
        parameters=nn.size(ends["digits", CODE].train.params),
        metrics={f"{title}_mse_{code}": own for (title, code), (own, _) in errors.items()}
        | {f"{title}_mse_pca_{code}": beside for (title, code), (_, beside) in errors.items()}
        | {
            f"{title}_psnr": -10 * math.log10(errors[title, CODE][0])
            for title in ("digits", "faces")
        }
        | {"faces_parameters": float(nn.size(ends["faces", CODE].train.params))},
        history=ends["digits", CODE].history,
        pictures={
            "curve": curve(errors),
            "digits": draw(shown["digits", CODE], (28, 28), "digits"),
            "faces": draw(shown["faces", CODE], (HEIGHT, WIDTH), "faces"),
        },
    )


def curve(errors: dict[tuple[str, int], tuple[float, float]]) -> Figure:
    """Rate against distortion: the error over the size of the code."""
    figure = Figure(figsize=(12, 5), layout="constrained")
    figure.suptitle("What is lost over the size of the code, on pictures never seen", fontsize=15)
    for axes, title in zip(figure.subplots(1, 2), ("digits", "faces"), strict=True):
        codes = sorted(code for name, code in errors if name == title)
        for i, (name, style) in enumerate((("autoencoder", "o-"), ("principal components", "s--"))):
            axes.plot(codes, [errors[title, code][i] for code in codes], style, label=name)
        axes.set(xscale="log", yscale="log", title=f"Held-out {title}")
        axes.set(xlabel="numbers in the code", ylabel="mean squared error (white is 1)")
        axes.set_xticks(codes, [str(code) for code in codes])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


def draw(shown: tuple, shape: tuple[int, int], title: str) -> Figure:
    """Held-out pictures, and what is left of them after 32 numbers."""
    columns = 10
    picked = np.linspace(0, len(shown[0]) - 1, columns).astype(int)
    rows = [np.concatenate([x[i].reshape(shape) for i in picked], axis=1) for x in shown]
    figure = Figure(figsize=(12, 0.8 + 3.2 * shape[0] / shape[1]), layout="constrained")
    axes = figure.subplots()
    axes.imshow(np.concatenate(rows), cmap="gray", vmin=0, vmax=1)
    axes.set_title(f"Held-out {title}, and what {CODE} numbers keep of them", fontsize=15)
    names = ("as they are", f"{CODE} principal\ncomponents", f"autoencoder\nof {CODE}")
    axes.set_yticks([(row + 0.5) * shape[0] for row in range(3)], names, fontsize=11)
    axes.set_xticks([])
    return figure

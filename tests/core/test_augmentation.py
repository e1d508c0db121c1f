# pyright: reportArgumentType=false
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from jaxnn import augmentation

affine = jax.jit(augmentation.affine)
shift = jax.jit(augmentation.shift, static_argnums=2)
KEY = jax.random.key(0)
X = jax.random.normal(jax.random.key(1), (5, 9, 7, 2))
MANY = jnp.zeros((400, 9, 9, 1)).at[:, 4, 4].set(1.0)  # a point in the middle
CALLS = {
    "affine": lambda key, x: augmentation.affine(x, jnp.full((5, 2, 3), 0.7)),
    "rotate": lambda key, x: augmentation.rotate(key, x, 30),
    "shift": lambda key, x: augmentation.shift(key, x, 2),
    "crop": lambda key, x: augmentation.crop(key, x, 6, 1),
    "flip": augmentation.flip,
    "cutout": lambda key, x: augmentation.cutout(key, x, 3),
    "mixup": lambda key, x: augmentation.mixup(key, x, jnp.ones(len(x)), 1.0)[0],
}
JITTED = {name: jax.jit(call) for name, call in CALLS.items()}
DRAWN = [name for name in CALLS if name != "affine"]


def moves(y):
    """How far the point of each image is from the middle, as a set of (row, column)."""
    _, rows, columns, _ = np.nonzero(y)
    return set(zip((rows - 4).tolist(), (columns - 4).tolist(), strict=True))


def test_affine_is_scipys_bilinear_warp():
    matrices = np.random.default_rng(0).normal(size=(5, 2, 3)) * [1, 1, 3]
    y = affine(X, jnp.asarray(matrices, jnp.float32))
    middle = np.array([4, 3])
    for image, warped, matrix in zip(X, y, matrices, strict=True):
        a, b = matrix[:, :2], matrix[:, 2]
        for channel in range(2):
            framed = np.pad(np.asarray(image[..., channel], np.float64), 1)
            wanted = ndimage.affine_transform(
                framed, a, middle + 1 + b - a @ (middle + 1), order=1, mode="constant"
            )[1:-1, 1:-1]
            assert np.allclose(warped[..., channel], wanted, atol=1e-5)


def test_the_map_without_change_changes_nothing():
    same = jnp.tile(jnp.eye(2, 3), (5, 1, 1))
    assert (affine(X, same) == X).all()


def test_quarter_turns_are_numpys():
    degrees = jnp.array([0.0, 90, -90, 180, 270])
    x = np.asarray(X[:, :7])
    y = affine(x, augmentation.rotation(degrees))
    for turned, image, quarters in zip(y, x, (0, 1, -1, 2, 3), strict=True):
        assert np.allclose(turned, np.rot90(image, quarters), atol=1e-5)


def test_rotate_draws_angles_up_to_the_largest():
    x = np.zeros((400, 21, 21, 1), np.float32)
    x[:, 10, 16:] = 1  # a hand that points right
    y = np.asarray(jax.jit(augmentation.rotate, static_argnums=2)(KEY, x, 40))[..., 0]
    rows, columns = np.mgrid[:21, :21] - 10
    total = y.sum((1, 2))
    angles = np.rad2deg(np.arctan2((y * -rows).sum((1, 2)), (y * columns).sum((1, 2))))
    assert (total > 3).all()
    assert (abs(angles) < 41).all()
    assert angles.min() < -35 < 35 < angles.max()


def test_shift_moves_by_every_whole_number_of_pixels():
    found = moves(shift(KEY, MANY, 2))
    assert found == {(row, column) for row in range(-2, 3) for column in range(-2, 3)}


def test_what_comes_in_is_zero():
    sums = np.asarray(shift(KEY, np.ones_like(MANY), 1)).sum((1, 2, 3))
    assert set(sums.tolist()) == {81, 72, 64}


def test_crop_takes_every_window():
    crop = jax.jit(augmentation.crop, static_argnums=(2, 3))
    assert moves(crop(KEY, MANY, 9, 1)) == moves(shift(KEY, MANY, 1))
    x, y = np.asarray(X), np.asarray(crop(KEY, X, (4, 7), 0))
    assert y.shape == (5, 4, 7, 2)
    tops = [[i for i in range(6) if (y[n] == x[n, i : i + 4]).all()] for n in range(5)]
    assert {len(found) for found in tops} == {1}
    assert len({top for (top,) in tops}) > 1


def test_flip_mirrors_half_of_the_images():
    x = np.asarray(X)
    y = np.asarray(augmentation.flip(KEY, jnp.tile(X[:1], (400, 1, 1, 1))))
    kept, mirrored = ((y == z).all((1, 2, 3)).sum() for z in (x[0], x[0, :, ::-1]))
    assert kept + mirrored == 400
    assert 160 < kept < 240


def test_cutout_is_a_square_about_a_pixel():
    y = np.asarray(augmentation.cutout(KEY, jnp.ones_like(MANY), 3))[..., 0]
    rows = (y == 0).any(axis=2).sum(axis=1)
    columns = (y == 0).any(axis=1).sum(axis=1)
    assert ((y == 0).sum((1, 2)) == rows * columns).all()
    assert set(rows.tolist()) == set(columns.tolist()) == {2, 3}
    hidden = (y == 0).mean(axis=0)
    assert hidden.min() > 0.01  # no pixel is spared
    assert abs(hidden[1:-1, 1:-1].mean() - 9 / 81) < 0.01


def test_mixup_mixes_images_and_targets_alike():
    labels = np.arange(400) % 10
    targets = np.eye(10, dtype=np.float32)[labels]
    x = np.tile(targets[:, None, None], (1, 2, 2, 1))
    mixup = jax.jit(augmentation.mixup, static_argnums=3)
    mixed, y = jax.device_get(mixup(KEY, x, targets, 0.5))
    assert np.allclose(mixed, y[:, None, None], atol=1e-6)
    assert np.allclose(y.sum(1), 1, atol=1e-6)
    other = np.where(targets > 0, 0, y)
    assert ((other > 0).sum(1) <= 1).all()
    share = y[targets > 0][other.sum(1) > 1e-3]
    # Beta(1/2, 1/2) has the variance 1/8; a partner of the same class shows no mixing.
    assert abs(share.mean() - 0.5) < 0.1
    assert 0.06 < share.var() < 0.16


@pytest.mark.parametrize("name", CALLS)
def test_the_dtype_that_comes_in_goes_out(name):
    for dtype in (jnp.float32, jnp.bfloat16):
        with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
            y = jax.eval_shape(CALLS[name], KEY, X.astype(dtype))
        assert y.dtype == dtype


@pytest.mark.parametrize("name", DRAWN)
def test_the_key_alone_decides(name):
    y = np.asarray(JITTED[name](KEY, X))
    assert (y == np.asarray(JITTED[name](KEY, X))).all()
    assert not (y == np.asarray(JITTED[name](jax.random.key(3), X))).all()


@pytest.mark.parametrize("name", CALLS)
def test_bytes_and_other_ranks_are_refused(name):
    with pytest.raises(TypeError, match=rf"{name} takes floating features, .* / 255"):
        CALLS[name](KEY, jnp.zeros((5, 9, 7, 2), jnp.uint8))
    with pytest.raises(ValueError, match=rf"{name} takes images \[batch, height, width"):
        CALLS[name](KEY, X[0])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: augmentation.affine(X, jnp.ones((4, 2, 3))), r"matrices \[5, 2, 3\]"),
        (lambda: augmentation.rotate(KEY, X, -1), r"degrees must be in \[0, 180\]"),
        (lambda: augmentation.rotate(KEY, X, float("nan")), r"degrees must be in \[0, 180\]"),
        (lambda: augmentation.shift(KEY, X, 1.5), "shift: most must be a whole number"),
        (lambda: augmentation.crop(KEY, X, (8, 10), 1), "does not fit"),
        (lambda: augmentation.crop(KEY, X, 8, -1), "crop: padding must be a whole number"),
        (lambda: augmentation.crop(KEY, X, (4, 4, 4)), "size is a number or"),
        (lambda: augmentation.cutout(KEY, X, 0), "cutout: size must be a whole number"),
        (lambda: augmentation.mixup(KEY, X, X, 0), "alpha must be positive"),
        (lambda: augmentation.mixup(KEY, X, X[:4], 1), "takes 5 targets for 5 images"),
    ],
)
def test_bad_arguments_are_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def test_labels_are_refused_by_mixup():
    with pytest.raises(TypeError, match=r"jax.nn.one_hot"):
        augmentation.mixup(KEY, X, jnp.arange(5), 1.0)

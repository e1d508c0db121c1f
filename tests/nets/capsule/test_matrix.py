import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn
from jaxnn.nets.capsule import em_routing

normal = jax.random.normal
SHARP = [0.5, 0.7, 0.9]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def em(given, sharpness, parents):
    """Procedure 1 of the paper, loop by loop, for one row of children.

    Args:
      given: votes [children, all parents, 16], activations [children], beta_u and beta_a
        [all parents].
      parents: for each child, those that see it.
    """
    votes, a, beta_u, beta_a = given
    children, count, _ = votes.shape
    r = np.zeros((children, count))
    for i in range(children):
        r[i, parents[i]] = 1 / len(parents[i])
    for iteration, sharp in enumerate(sharpness):
        mean, variance = np.zeros((count, 16)), np.zeros((count, 16))
        active = np.zeros(count)
        for j in range(count):
            share = r[:, j] * a
            total = share.sum()
            mean[j] = (share[:, None] * votes[:, j]).sum(0) / total
            variance[j] = (share[:, None] * (votes[:, j] - mean[j]) ** 2).sum(0) / total
            variance[j] += em_routing.VARIANCE
            cost = ((beta_u[j] + np.log(np.sqrt(variance[j]))) * total).sum()
            active[j] = sigmoid(sharp * (beta_a[j] - cost))
        if iteration == len(sharpness) - 1:
            return mean, active, r
        for i in range(children):
            density = np.zeros(count)
            for j in parents[i]:
                p = np.exp(-((votes[i, j] - mean[j]) ** 2) / (2 * variance[j]))
                density[j] = active[j] * np.prod(p / np.sqrt(2 * np.pi * variance[j]))
            r[i] = density / density.sum()
    raise AssertionError


def made(net, x, key):
    """Params whose betas are not zero."""
    params, _ = jax.jit(net.init)(key, x)
    types = len(params["beta_u"])
    return params | {
        "beta_u": 0.1 * jnp.arange(1.0, types + 1),
        "beta_a": jnp.linspace(-1, 1, types),
    }


def layer_below(key, *shape):
    poses = normal(key, (*shape, 4, 4))
    return poses, jax.nn.sigmoid(normal(jax.random.fold_in(key, 1), shape))


def wide(tree):
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), tree)


@pytest.mark.parametrize("iterations", [1, 2, 3])
def test_routing_is_the_procedure_of_the_paper(iterations, key):
    votes, a = normal(key, (2, 6, 3, 16)), jax.random.uniform(key, (2, 6))
    betas = jnp.array([0.1, 0.2, 0.3]), jnp.array([-1.0, 0.0, 1.0])
    route = jax.jit(lambda v, a, u, b: nn.capsule.route_by_em(v, a, u, b, SHARP[:iterations]))
    found = route(votes, a, *betas)
    for row in range(2):
        everyone = [range(3)] * 6
        given = wide((votes[row], a[row], *betas))
        wanted = em(given, SHARP[:iterations], everyone)
        for mine, theirs in zip(found, wanted, strict=True):
            assert np.allclose(mine[row], theirs, rtol=1e-3, atol=1e-4)
    assert np.allclose(found[2].sum(axis=-1), 1, atol=1e-5)


def test_votes_that_agree_make_a_capsule_active(key):
    votes = normal(key, (1, 8, 2, 16)).at[:, :, 0].set(3.0)
    zeros = jnp.zeros(2)
    route = jax.jit(lambda v, a, u, b: nn.capsule.route_by_em(v, a, u, b, [0.01] * 3))
    mean, a, _ = route(votes, jnp.full((1, 8), 0.9), zeros, zeros)
    assert np.allclose(mean[0, 0], 3, atol=1e-5)
    assert a[0, 0] > 0.7 > 0.55 > a[0, 1]


def test_class_capsules_see_all_places(key):
    x = layer_below(key, 2, 3, 2, 4)
    net = nn.capsule.matrix_capsules(5, inverse_temperature=lambda i: SHARP[i])
    params = made(net, x, key)
    assert params["w"].shape == (4, 5, 4, 4)
    poses, a = jax.jit(net)(params, x)
    given, w = wide(x), wide(params)["w"]
    for row in range(2):
        votes = np.zeros((3, 2, 4, 5, 4, 4))
        for y, z, i, j in np.ndindex(3, 2, 4, 5):
            votes[y, z, i, j] = given[0][row, y, z, i] @ w[i, j]
            votes[y, z, i, j, :2, 3] += (y + 0.5) / 3, (z + 0.5) / 2
        betas = wide((params["beta_u"], params["beta_a"]))
        children = votes.reshape(24, 5, 16), given[1][row].ravel(), *betas
        mean, active, _ = em(children, SHARP, [range(5)] * 24)
        assert np.allclose(poses[row].reshape(5, 16), mean, rtol=1e-3, atol=1e-4)
        assert np.allclose(a[row], active, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("size", "stride"), [((5, 4), 1), ((6, 5), (2, 1))])
def test_windows_share_the_capsules_they_have_in_common(size, stride, key):
    x = layer_below(key, 1, *size, 2)
    net = nn.capsule.matrix_capsules(3, 3, stride=stride, inverse_temperature=lambda i: SHARP[i])
    params = made(net, x, key)
    assert params["w"].shape == (3, 3, 2, 3, 4, 4)
    poses, a = jax.jit(net)(params, x)
    given, w = wide(x), wide(params)["w"]
    down, right = stride if isinstance(stride, tuple) else (stride, stride)
    rows, columns = (size[0] - 3) // down + 1, (size[1] - 3) // right + 1
    assert a.shape == (1, rows, columns, 3)
    children = list(np.ndindex(*size, 2))
    votes = np.zeros((len(children), rows * columns * 3, 16))
    parents = [[] for _ in children]
    for child, (y, z, i) in enumerate(children):
        for parent, (row, column, j) in enumerate(np.ndindex(rows, columns, 3)):
            k, m = y - row * down, z - column * right
            if 0 <= k < 3 and 0 <= m < 3:
                votes[child, parent] = (given[0][0, y, z, i] @ w[k, m, i, j]).ravel()
                parents[child].append(parent)
    seen = [child for child, found in enumerate(parents) if found]
    betas = [np.tile(each, rows * columns) for each in wide((params["beta_u"], params["beta_a"]))]
    children = votes[seen], given[1][0].ravel()[seen], *betas
    mean, active, _ = em(children, SHARP, [parents[i] for i in seen])
    assert np.allclose(poses[0].reshape(-1, 16), mean, rtol=1e-3, atol=1e-4)
    assert np.allclose(a[0].ravel(), active, rtol=1e-3, atol=1e-4)


def test_primary_matrix_capsules_are_maps_of_each_place(key):
    x = normal(key, (2, 3, 3, 5))
    net = nn.capsule.primary_matrix_capsules(2)
    params, _ = net.init(key, x)
    poses, a = jax.jit(net)(params, x)
    linear = np.asarray(x @ params[0]["w"][0, 0] + params[0]["b"])
    assert np.allclose(poses[1, 2, 0, 1], linear[1, 2, 0, 16:32].reshape(4, 4), atol=1e-5)
    assert np.allclose(a, sigmoid(linear[..., 32:]), atol=1e-5)


def test_the_schedule_sharpens():
    numbers = [em_routing.inverse_temperature(i) for i in range(3)]
    assert np.allclose(numbers, [0.0005, 0.000975, 0.00142625])


def test_spread_loss_is_its_equation():
    a = jnp.array([[0.9, 0.2, 0.0], [0.5, 0.5, 0.4]])
    rows = [0.2**2, 0.9**2 + 0.8**2]
    assert np.allclose(nn.capsule.spread_loss(a, jnp.array([0, 1])), np.mean(rows), atol=1e-6)
    rows = [0, 0.2**2 + 0.1**2]
    low = nn.capsule.spread_loss(a, jnp.array([0, 1]), margin=jnp.array(0.2))
    assert np.allclose(low, np.mean(rows), atol=1e-6)


def test_the_reference_net_is_the_papers():
    x = jax.ShapeDtypeStruct((2, 32, 32, 1), jnp.float32)
    net = nn.capsule.matrix_capsnet(5)
    params, _ = jax.eval_shape(lambda: net.init(jax.random.key(0), x))
    poses, a = jax.eval_shape(net, params, x)
    assert (poses.shape, a.shape) == ((2, 5, 4, 4), (2, 5))
    # conv 5x5, poses and activations, two windows of 3x3 over 32 types, classes; two betas each
    layers = (
        25 * 32 + 32,
        33 * 32 * 17,
        9 * 32 * 32 * 16 + 64,
        9 * 32 * 32 * 16 + 64,
        5 * 32 * 16 + 10,
    )
    assert nn.count_params(params) == sum(layers)


# Bad input


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: nn.capsule.matrix_capsules(4, iterations=0),
            "matrix_capsules: iterations must be",
        ),
        (lambda: nn.capsule.matrix_capsules(0), "matrix_capsules: types must be"),
        (lambda: nn.capsule.matrix_capsules(4, 0), "matrix_capsules: kernel_size must be"),
        (lambda: nn.capsule.primary_matrix_capsules(0), "primary_matrix_capsules: types must be"),
        (lambda: nn.capsule.matrix_capsnet(5, iterations=0), "iterations must be"),
    ],
)
def test_bad_arguments_are_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_routing_without_iterations_is_refused():
    one = jnp.ones(1)
    with pytest.raises(ValueError, match="a number for each iteration, at least one"):
        nn.capsule.route_by_em(jnp.ones((1, 2, 1, 16)), jnp.ones((1, 2)), one, one, [])


def test_what_is_no_layer_of_matrix_capsules_is_refused(key):
    net = nn.capsule.matrix_capsules(4, 3)
    with pytest.raises(TypeError, match="takes a pair .* put primary_matrix_capsules before it"):
        net.init(key, jnp.ones((2, 5, 5, 3)))
    poses, a = layer_below(key, 2, 5, 5, 3)
    with pytest.raises(ValueError, match=r"matrix_capsules takes poses \[batch, height"):
        net.init(key, (poses[:, :4], a))
    with pytest.raises(ValueError, match="is larger than its input"):
        net.init(key, (poses[:, :2], a[:, :2]))
    params, _ = net.init(key, (poses, a))
    with pytest.raises(ValueError, match=r"has w \[3, 3, 3, 4, 4, 4\], and needs \[3, 3, 2"):
        net(params, (poses[..., :2, :, :], a[..., :2]))
    with pytest.raises(TypeError, match="/ 255, as images are"):
        nn.capsule.matrix_capsnet(5).init(key, jax.ShapeDtypeStruct((2, 32, 32, 1), jnp.uint8))

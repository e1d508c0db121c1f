import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn
from jaxnn.nets.capsule.routing import cast_votes

pytestmark = pytest.mark.ordinary

normal = jax.random.normal
VOTES = normal(jax.random.key(1), (3, 4, 6, 5))  # [batch, n, inputs, dimension]


def squash(s):
    length = np.linalg.norm(s, axis=-1, keepdims=True)
    return length**2 / (1 + length**2) * s / length


def route(votes, iterations):
    """Procedure 1 of the paper for one row, loop by loop: votes [n, inputs, dimension]."""
    n, inputs, dimension = votes.shape
    b = np.zeros((inputs, n))
    for iteration in range(iterations):
        c, v = np.zeros((inputs, n)), np.zeros((n, dimension))
        for i in range(inputs):
            c[i] = np.exp(b[i]) / np.exp(b[i]).sum()
        for j in range(n):
            v[j] = squash(sum(c[i, j] * votes[j, i] for i in range(inputs)))
        if iteration < iterations - 1:
            for i in range(inputs):
                for j in range(n):
                    b[i, j] += votes[j, i] @ v[j]
    return v, c.T


# Squashing and lengths


def test_squash_keeps_directions_and_brings_lengths_below_one(key):
    x = normal(key, (7, 4))
    assert np.allclose(nn.capsule.squash(x), squash(np.asarray(x)), atol=1e-6)
    lengths = nn.capsule.capsule_lengths(
        nn.capsule.squash(x * jnp.array([[1e-3], [1], [1e3]])[:, None])
    )
    assert np.all(lengths[:-1] < 1)
    assert np.all(np.abs(lengths[-1] - 1) < 1e-5)


def test_capsules_of_zeros_stay_zero_with_a_gradient_of_zero():
    zeros = jnp.zeros((2, 4))
    assert np.all(nn.capsule.squash(zeros) == 0)
    assert np.all(jax.grad(lambda x: nn.capsule.squash(x).sum())(zeros) == 0)
    assert np.all(jax.grad(lambda x: nn.capsule.capsule_lengths(x).sum())(zeros) == 0)


# Layers


def test_primary_capsules_are_squashed_groups_of_channels(key):
    x = normal(key, (2, 7, 6, 3))
    net = nn.capsule.primary_capsules(2, 4, 3, stride=2)
    params, _ = net.init(key, x)
    conv = nn.conv(8, 3, stride=2, padding="VALID")
    channels = np.asarray(conv(params[0], x))
    y = net(params, x)
    assert y.shape == (2, 3 * 2 * 2, 4)
    # Place (1, 0) and type 1: the fourth capsule of the second row of two places.
    assert np.allclose(y[:, 1 * 4 + 1], squash(channels[:, 1, 0, 4:]), atol=1e-6)


def test_votes_are_a_matrix_for_every_pair(key):
    x, w = normal(key, (2, 3, 4)), normal(key, (3, 4, 5, 6))
    u = cast_votes(x, w)
    assert u.shape == (2, 5, 3, 6)
    assert np.allclose(u[1, 2, 0], np.asarray(x[1, 0] @ w[0, :, 2]), atol=1e-5)
    assert np.allclose(u, np.einsum("bif,ifjd->bjid", x, w), atol=1e-5)


@pytest.mark.parametrize("iterations", [1, 2, 3, 6])
def test_routing_is_the_procedure_of_the_paper(iterations):
    y, c = nn.capsule.route_by_agreement(VOTES, iterations)
    for row in range(3):
        wanted_y, wanted_c = route(np.asarray(VOTES[row], np.float64), iterations)
        assert np.allclose(y[row], wanted_y, atol=1e-5)
        assert np.allclose(c[row], wanted_c, atol=1e-5)
    assert np.allclose(c.sum(axis=1), 1, atol=1e-5)


def test_one_iteration_weighs_all_alike():
    assert np.allclose(nn.capsule.route_by_agreement(VOTES, 1)[1], 0.25)


def test_capsules_that_agree_gain_weight():
    votes = VOTES.at[:, 0].set(jnp.ones(5))  # all say the same of the first, and differ elsewhere
    _, few = nn.capsule.route_by_agreement(votes, 2)
    _, many = nn.capsule.route_by_agreement(votes, 5)
    assert np.all(many[:, 0].mean(axis=-1) > few[:, 0].mean(axis=-1))
    assert np.all(few[:, 0].mean(axis=-1) > 0.25)


def test_the_layer_routes_its_votes(key):
    x = normal(key, (3, 6, 8))
    net = nn.capsule.capsules(4, 5, iterations=2)
    params, _ = net.init(key, x)
    u = np.einsum("bif,ifjd->bjid", np.asarray(x), np.asarray(params["w"]))
    wanted = np.stack([route(row, 2)[0] for row in u])
    assert np.allclose(net(params, x), wanted, atol=1e-5)


def test_stopped_gradients_see_the_weights_as_constants():
    y, c = nn.capsule.route_by_agreement(VOTES, 3)
    stopped_y, stopped_c = nn.capsule.route_by_agreement(VOTES, 3, stop_gradient=True)
    assert np.array_equal(y, stopped_y)
    assert np.array_equal(c, stopped_c)

    def last_sum(votes):
        return (nn.capsule.squash(jnp.einsum("bji,bjid->bjd", c, votes)) ** 2).sum()

    def routed(votes, stop):
        return (nn.capsule.route_by_agreement(votes, 3, stop)[0] ** 2).sum()

    wanted = jax.grad(last_sum)(VOTES)
    slope = jax.jit(jax.grad(routed), static_argnums=1)
    assert np.allclose(slope(VOTES, True), wanted, atol=1e-6)
    assert not np.allclose(slope(VOTES, False), wanted, atol=1e-3)


def test_the_reference_net_is_the_papers():
    x = jax.ShapeDtypeStruct((2, 28, 28, 1), jnp.float32)

    def run(x):
        params, _ = nn.capsule.capsnet(10).init(jax.random.key(0), x)
        return params, nn.capsule.capsnet(10)(params, x)

    params, y = jax.eval_shape(run, x)
    assert y.shape == (2, 10, 16)
    assert params[-1]["w"].shape == (1152, 8, 10, 16)
    # 9x9x1x256 + 256, 9x9x256x256 + 256, 1152x8x10x16
    assert nn.count_params(params) == 20992 + 5308672 + 1474560


# Losses


def test_margin_loss_is_its_equation():
    lengths = jnp.array([[0.95, 0.3, 0.05], [0.2, 0.6, 0.8]])
    rows = [0.5 * 0.2**2, (0.9 - 0.6) ** 2 + 0.5 * (0.1**2 + 0.7**2)]
    assert np.allclose(nn.capsule.margin_loss(lengths, jnp.array([0, 1])), np.mean(rows), atol=1e-6)
    other = nn.capsule.margin_loss(
        lengths, jnp.array([0, 1]), m_plus=1.0, m_minus=0.25, down_weight=1.0
    )
    rows = [0.05**2 + 0.05**2, 0.4**2 + 0.55**2]
    assert np.allclose(other, np.mean(rows), atol=1e-6)


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_outside_of_the_classes_is_a_row_without_any(label):
    scores, labels = jnp.array([[0.95, 0.3, 0.05]]), jnp.array([label])
    assert np.allclose(nn.capsule.margin_loss(scores, labels), 0.5 * (0.85**2 + 0.2**2), atol=1e-6)
    wanted = 1.85**2 + 1.2**2 + 0.95**2
    assert np.allclose(nn.capsule.spread_loss(scores, labels), wanted, atol=1e-5)
    capsules = jnp.ones((1, 3, 2))
    assert np.all(nn.capsule.mask_capsules((capsules, labels)) == 0)


# The decoder


def test_a_mask_keeps_the_label_or_the_longest(key):
    x = normal(key, (4, 3, 2))
    labels = jnp.array([2, 0, 1, 1])
    kept = np.asarray(nn.capsule.mask_capsules((x, labels)))
    for row, label in enumerate(labels):
        assert np.array_equal(kept[row, label], x[row, label])
        assert np.all(np.delete(kept[row], label, axis=0) == 0)
    longest = jnp.argmax(nn.capsule.capsule_lengths(x), axis=-1)
    assert np.array_equal(nn.capsule.mask_capsules(x), nn.capsule.mask_capsules((x, longest)))


def test_the_decoder_draws_from_the_kept_capsule_alone(key):
    x, labels = normal(key, (4, 3, 2)), jnp.array([2, 0, 1, 1])
    net = nn.capsule.capsule_decoder((5, 4, 1), (8,))
    params, _ = net.init(key, x)
    y = net(params, (x, labels))
    assert y.shape == (4, 5, 4, 1)
    assert np.all((y > 0) & (y < 1))
    others = nn.capsule.mask_capsules((x, labels)) + 7 * (x - nn.capsule.mask_capsules((x, labels)))
    assert np.array_equal(net(params, (others, labels)), y)
    hidden = np.maximum(np.asarray(nn.capsule.mask_capsules((x, labels))).reshape(4, 6)
                        @ params[1][0]["w"] + params[1][0]["b"], 0)  # fmt: skip
    wanted = 1 / (1 + np.exp(-(hidden @ params[1][2]["w"] + params[1][2]["b"])))
    assert np.allclose(y.reshape(4, 20), wanted, atol=1e-5)


# Bad input


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: nn.capsule.capsules(4, 8, iterations=0),
            "capsules: iterations must be .* at least 1",
        ),
        (lambda: nn.capsule.capsules(4, 0), "capsules: dimension must be .* at least 1, got 0"),
        (lambda: nn.capsule.capsules(0, 8), "capsules: n must be"),
        (lambda: nn.capsule.primary_capsules(4, 0, 3), "primary_capsules: dimension must be"),
        (lambda: nn.capsule.primary_capsules(0, 4, 3), "primary_capsules: types must be"),
        (lambda: nn.capsule.capsnet(10, iterations=0), "iterations must be"),
        (lambda: nn.capsule.capsnet(10, dimension=0), "dimension must be"),
        (lambda: nn.capsule.capsnet(10, width=0), "dimension must be"),
        (lambda: nn.capsule.capsnet(0), "capsules: n must be"),
        (lambda: nn.capsule.capsule_decoder((28, 0, 1)), "capsule_decoder: shape must be"),
        (lambda: nn.capsule.route_by_agreement(VOTES, 0), "route_by_agreement: iterations must be"),
        (
            lambda: nn.capsule.route_by_agreement(VOTES, -1),
            "route_by_agreement: iterations must be",
        ),
        (
            lambda: nn.capsule.route_by_agreement(VOTES[0]),
            r"takes votes \[batch, n, inputs, dimension\]",
        ),
    ],
)
def test_bad_arguments_are_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


NET = nn.capsule.capsnet(4, channels=8, kernel_size=3, types=2, primary_kernel=3)


def shaped(*shape, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(shape, dtype)


def test_images_of_bytes_are_refused_with_their_scale():
    with pytest.raises(TypeError, match=r"/ 255, as images are"):
        NET.init(jax.random.key(0), shaped(2, 8, 8, 1, dtype=jnp.uint8))


def test_other_images_than_the_params_are_for_are_refused(key):
    params, _ = NET.init(key, shaped(2, 8, 8, 1))
    with pytest.raises(ValueError, match=r"conv has w \[3, 3, 1, 8\], and needs \[3, 3, 3, 8\]"):
        jax.eval_shape(NET, params, shaped(2, 8, 8, 3))
    with pytest.raises(ValueError, match=r"capsules has w \[8, 8, 4, 16\], and needs \[18, 8"):
        jax.eval_shape(NET, params, shaped(2, 10, 10, 1))
    with pytest.raises(ValueError, match="a window of .* is larger than its input"):
        NET.init(key, shaped(2, 4, 4, 1))


def test_what_is_no_capsules_is_refused(key):
    with pytest.raises(ValueError, match="put primary_capsules before it"):
        nn.capsule.capsules(4, 8).init(key, shaped(2, 8, 8, 1))
    with pytest.raises(ValueError, match=r"mask_capsules takes capsules \[batch, capsules"):
        nn.capsule.mask_capsules(jnp.ones((2, 3)))
    with pytest.raises(TypeError, match="capsules takes floating features"):
        nn.capsule.capsules(4, 8).init(key, shaped(2, 8, 8, dtype=jnp.int32))


@pytest.mark.parametrize("loss", [nn.capsule.margin_loss, nn.capsule.spread_loss])
@pytest.mark.parametrize("labels", [jnp.zeros((2, 1), int), jnp.zeros(2), jnp.zeros(3, int)])
def test_labels_are_one_whole_number_a_row(loss, labels):
    with pytest.raises(ValueError, match="takes one integer label per row"):
        loss(jnp.ones((2, 4)), labels)

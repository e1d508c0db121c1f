import functools

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxnn.layers.norm import batch_norm, group_norm, instance_norm, layer_norm, rms_norm

pytestmark = pytest.mark.ordinary

MAKES = {
    "batch_norm": batch_norm,
    "layer_norm": layer_norm,
    "rms_norm": rms_norm,
    "group_norm": lambda **options: group_norm(2, **options),
    "instance_norm": instance_norm,
}
WHOLE, ROWS = PartitionSpec(), PartitionSpec("batch")
IMAGES = jax.random.normal(jax.random.key(1), (8, 3, 5, 4)) * 3 + 2


def made(net, x):
    params, state = net.init(jax.random.key(0), x)
    return functools.partial(net.apply, params, state)


# Values


@pytest.mark.parametrize(
    ("net", "axes"),
    [
        (batch_norm(), (0, 1, 2)),
        (layer_norm(axes=2), (2, 3)),
        (layer_norm(axes=3), (1, 2, 3)),
        (group_norm(1), (1, 2, 3)),
        (group_norm(4), (1, 2)),
        (instance_norm(), (1, 2)),
    ],
)
def test_the_output_has_mean_0_and_variance_1_over_its_axes(net, axes):
    y, _ = made(net, IMAGES)(IMAGES, train=True)
    assert jnp.abs(y.mean(axes)).max() < 1e-5
    assert jnp.abs(y.var(axes) - 1).max() < 1e-4


def test_rms_norm_divides_by_the_root_of_the_mean_square():
    y, _ = made(rms_norm(epsilon=0.5), IMAGES)(IMAGES)
    by_hand = IMAGES / jnp.sqrt(jnp.mean(IMAGES**2, -1, keepdims=True) + 0.5)
    assert jnp.allclose(y, by_hand, atol=1e-6)


def test_groups_are_of_neighbouring_channels():
    y, _ = made(group_norm(2), IMAGES)(IMAGES)
    left, _ = made(group_norm(1), IMAGES[..., :2])(IMAGES[..., :2])
    assert jnp.allclose(y[..., :2], left, atol=1e-6)


@pytest.mark.parametrize("title", MAKES)
def test_scale_and_b_end_it(title, key):
    ones = jax.nn.initializers.ones
    net = MAKES[title](scale_init=jax.nn.initializers.constant(3.0))
    params, state = net.init(key, IMAGES)
    plain = {name: ones(key, leaf.shape) for name, leaf in params.items() if name == "scale"}
    plain |= {name: jnp.zeros_like(leaf) for name, leaf in params.items() if name == "b"}
    shifted = {name: leaf + (name == "b") for name, leaf in params.items()}
    y, _ = net.apply(shifted, state, IMAGES, train=True)
    z, _ = net.apply(plain, state, IMAGES, train=True)
    assert jnp.allclose(y, 3 * z + ("b" in params), atol=1e-5)


@pytest.mark.parametrize("title", MAKES)
@pytest.mark.first(2)
def test_scale_and_b_may_be_left_out(title, key):
    options = {"scale": False} | ({} if title == "rms_norm" else {"bias": False})
    full, bare = MAKES[title](), MAKES[title](**options)
    assert bare.init(key, IMAGES)[0] == {}
    assert jnp.allclose(made(full, IMAGES)(IMAGES)[0], made(bare, IMAGES)(IMAGES)[0], atol=1e-6)


def test_a_norm_over_several_axes_has_params_of_their_shape(key):
    params, _ = layer_norm(axes=2).init(key, IMAGES)
    assert params["scale"].shape == (5, 4)


def test_the_variance_of_values_far_from_zero_is_exact():
    row = jnp.array([[1e4, 1e4 + 1, 1e4 + 2, 1e4 + 3]])
    for net, x in ((layer_norm(), row), (batch_norm(), row.T)):
        y, _ = made(net, x)(x, train=True)
        assert jnp.allclose(y.ravel(), (jnp.arange(4) - 1.5) / jnp.sqrt(1.25), atol=1e-4)


def test_statistics_of_half_precision_are_taken_in_float32(key):
    x = (jax.random.normal(key, (64, 512)) + 100).astype(jnp.float16)
    for net in (layer_norm(), batch_norm(), group_norm(4), rms_norm()):
        y, state = made(net, x)(x, train=True)
        exact, _ = made(net, x)(x.astype(jnp.float32), train=True)
        assert y.dtype == jnp.float16
        assert jnp.abs(y - exact).max() < 4e-3
        assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(state))


# The running statistics


def test_running_statistics_follow_those_of_the_batch():
    net = made(batch_norm(momentum=0.75), IMAGES)
    y, state = net(IMAGES, train=True)
    flat = IMAGES.reshape(-1, 4)
    assert jnp.allclose(state["mean"], 0.25 * flat.mean(0), rtol=1e-5)
    assert jnp.allclose(state["variance"], 0.75 + 0.25 * flat.var(0, ddof=1), rtol=1e-5)
    z, same = net(IMAGES)
    assert jnp.allclose(z, IMAGES, rtol=1e-4)  # those of init are 0 and 1
    assert (same["mean"] == 0).all()
    assert not jnp.allclose(y, z)


def test_after_many_batches_evaluation_is_as_training():
    net = batch_norm()
    params, state = net.init(jax.random.key(0), IMAGES)
    for _ in range(200):
        y, state = net.apply(params, state, IMAGES, train=True)
    z, _ = net.apply(params, state, IMAGES)
    assert jnp.allclose(y, z, atol=2e-2)  # the unbiased variance is larger by 1 in 120


def test_running_statistics_pass_no_gradient():
    net = batch_norm()
    params, state = net.init(jax.random.key(0), IMAGES)

    def after(x):
        return net.apply(params, state, x, train=True)[1]["variance"].sum()

    assert (jax.grad(after)(IMAGES) == 0).all()


# Over devices


def mesh():
    return jax.make_mesh((8,), ("batch",), axis_types=(AxisType.Auto,), devices=jax.devices("cpu"))


def spread(function, *out):
    """A function of params, state and x with the rows of x over eight devices."""
    return jax.shard_map(function, mesh=mesh(), in_specs=(WHOLE, WHOLE, ROWS), out_specs=out)


def test_with_an_axis_name_eight_devices_equal_one(key):
    one, many = batch_norm(), batch_norm(axis_name="batch")
    params, state = one.init(key, IMAGES)
    weigh = jax.random.normal(key, IMAGES.shape)

    def outcome(call):
        def objective(params, x):
            y, after = call(params, state, x)
            return (y * weigh).sum(), (y, after)

        return jax.jit(jax.grad(objective, (0, 1), has_aux=True))(params, IMAGES)

    alone = outcome(functools.partial(one.apply, train=True))
    together = outcome(spread(functools.partial(many.apply, train=True), ROWS, WHOLE))
    for ours, theirs in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
        assert jnp.allclose(ours, theirs, atol=1e-4)
    (local,) = spread(lambda *a: one.apply(*a, train=True)[:1], ROWS)(params, state, IMAGES)
    assert not jnp.allclose(local, alone[1][0], atol=1e-2)


def test_under_jit_sharded_data_needs_no_axis_name(key):
    net = batch_norm()
    params, state = net.init(key, IMAGES)
    step = jax.jit(functools.partial(net.apply, train=True))
    rows = NamedSharding(mesh(), ROWS)
    alone = step(params, state, IMAGES)
    together = step(params, state, jax.device_put(IMAGES, rows))
    for ours, theirs in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
        assert jnp.allclose(ours, theirs, atol=1e-5)


# Bad input


@pytest.mark.parametrize("momentum", [1, -0.1, 2.0, float("nan")])
def test_a_momentum_out_of_range_is_refused(momentum):
    with pytest.raises(ValueError, match=r"momentum must be in \[0, 1\).*fraction kept"):
        batch_norm(momentum=momentum)


@pytest.mark.parametrize("title", MAKES)
@pytest.mark.parametrize("epsilon", [0, -1e-5, float("nan")])
def test_an_epsilon_that_is_not_positive_is_refused(title, epsilon):
    with pytest.raises((TypeError, ValueError), match=f"{title}: epsilon must be a "):
        MAKES[title](epsilon=epsilon)


def test_groups_that_do_not_divide_the_channels_are_refused(key):
    with pytest.raises(ValueError, match="3 groups do not divide the channels.*a divisor"):
        group_norm(3).init(key, IMAGES)
    with pytest.raises(ValueError, match="groups must be a whole number"):
        group_norm(0)


@pytest.mark.parametrize(
    ("net", "x"),
    [
        (batch_norm(), jnp.ones((0, 4))),
        (layer_norm(), jnp.ones((8, 1))),
        (group_norm(4), jnp.ones((8, 4))),
        (group_norm(2), jnp.ones((8, 0, 4))),
        (instance_norm(), jnp.ones((8, 1, 1, 4))),
    ],
)
def test_a_single_value_has_no_variance_and_is_refused(net, x):
    with pytest.raises(ValueError, match="at least two values to normalize over, got [01] in"):
        made(net, x)(x, train=True)


def test_a_batch_of_one_row_or_none_may_be_evaluated():
    for rows in (0, 1):
        for make in MAKES.values():
            y, _ = made(make(), IMAGES)(IMAGES[:rows])
            assert y.shape == (rows, 3, 5, 4)


@pytest.mark.parametrize("title", MAKES)
def test_other_features_are_refused_with_the_mend(title):
    net = made(MAKES[title](), IMAGES)
    with pytest.raises(
        ValueError, match=rf"{title} has .* float32\[4\], got .*feed features \[4\]"
    ):
        net(jnp.ones((8, 3, 5, 8)))
    with pytest.raises(TypeError, match=f"{title} takes floating features"):
        net(jnp.ones((8, 3, 5, 4), jnp.int32))


def test_too_few_axes_are_refused(key):
    with pytest.raises(ValueError, match="layer_norm over 3 axes takes as many or more"):
        layer_norm(axes=3).init(key, jnp.ones((8, 4)))
    with pytest.raises(ValueError, match=r"instance_norm takes \[batch, ..., channels\]"):
        instance_norm().init(key, jnp.ones(4))


def test_a_missing_state_is_refused_with_the_mend(key):
    net = batch_norm()
    params, _ = net.init(key, IMAGES)
    with pytest.raises(ValueError, match=r"batch_norm keeps state.*net\.apply"):
        net(params, IMAGES)

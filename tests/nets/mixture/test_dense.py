import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnn as nn

X = jax.random.normal(jax.random.key(1), (7, 3))
TARGET = jax.random.normal(jax.random.key(2), (7, 2))


def softmax(logits):
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def affine(params, x):
    return np.asarray(x) @ np.asarray(params["w"]) + np.asarray(params["b"])


def made(net, x=X):
    return net.init(jax.random.key(0), x)[0]


def one_by_one(params, x, n):
    """Weights [rows, n] and outputs [rows, n, features] of a flat mixture of dense layers."""
    said = [affine(nn.mixture.take_module(params["experts"], i), x) for i in range(n)]
    return softmax(affine(params["gate"], x)), np.stack(said, axis=1)


# Values


def test_a_mixture_is_the_mean_of_experts_by_the_gate():
    net = nn.mixture.mixture_of_experts(nn.dense(2), 4)
    params = made(net)
    weights, outputs = one_by_one(params, X, 4)
    said = net(params, X)
    assert np.allclose(np.exp(said.log_weights), weights, atol=1e-6)
    assert np.allclose(said.outputs, outputs, atol=1e-6)
    assert np.allclose(said.output, (weights[..., None] * outputs).sum(1), atol=1e-6)


def test_a_tree_of_gates_is_the_product_along_its_branches():
    net = nn.mixture.mixture_of_experts(nn.dense(2), 2, 3)
    params = made(net)
    above = softmax(affine(params["gate"], X))
    weights, outputs = [], []
    for i in range(2):
        below = nn.mixture.take_module(params["experts"], i)
        g, said = one_by_one(below, X, 3)
        weights.append(above[:, i : i + 1] * g)
        outputs.append(said)
    weights, outputs = np.concatenate(weights, axis=1), np.concatenate(outputs, axis=1)
    said = net(params, X)
    assert np.allclose(np.exp(said.log_weights), weights, atol=1e-6)
    assert np.allclose(said.outputs, outputs, atol=1e-6)
    assert np.allclose(said.output, (weights[..., None] * outputs).sum(1), atol=1e-6)
    assert np.allclose(np.exp(said.log_weights).sum(1), 1, atol=1e-6)


@pytest.mark.parametrize("branches", [(4,), (2, 2)])
@pytest.mark.first(1)
def test_rows_of_several_axes_are_rows(branches):
    net = nn.mixture.mixture_of_experts(nn.dense(2), *branches, gate=lambda n: nn.mlp(5, n))
    x = jnp.stack([X, X + 1], axis=1)
    params = made(net, x)
    said = net(params, x)
    assert [part.shape for part in said] == [(7, 2, 2), (7, 2, 4), (7, 2, 4, 2)]
    for a, b in zip(said, net(params, x[:, 1]), strict=True):
        assert np.allclose(a[:, 1], b, atol=1e-6)


def test_one_gate_may_weigh_whole_images():
    gate = lambda n: nn.serial(nn.flatten(), nn.dense(n))  # noqa: E731
    net, x = nn.mixture.mixture_of_experts(nn.conv(2, 3), 3, gate=gate), jnp.ones((4, 5, 5, 1))
    said = jax.eval_shape(net, made(net, x), x)
    assert [part.shape for part in said] == [(4, 5, 5, 2), (4, 3), (4, 3, 5, 5, 2)]


def test_the_loss_is_the_likelihood_of_the_mixture():
    net = nn.mixture.mixture_of_experts(nn.dense(2), 4)
    params = made(net)
    weights, outputs = one_by_one(params, X, 4)
    density = np.exp(-np.square(outputs - np.asarray(TARGET)[:, None]).sum(-1) / (2 * 0.5**2))
    density /= 2 * np.pi * 0.5**2
    wanted = -np.log((weights * density).sum(1))
    loss = nn.mixture.mixture_loss(net, nn.autoencoder.gaussian_log_likelihood(0.5))
    value, (state, metrics) = loss(params, (), (X, TARGET))
    assert float(value) == pytest.approx(wanted.mean(), rel=1e-5)
    assert state == ()
    used = [float(metrics[f"usage_{i}"]) for i in range(4)]
    assert np.allclose(used, weights.mean(0), atol=1e-6)


def test_experts_come_to_have_parts_of_their_own():
    x = jax.random.uniform(jax.random.key(3), (256, 1), minval=-1, maxval=1)
    batch = x, jnp.where(x > 0, 2 * x, -x - 1)
    net, optimizer = nn.mixture.mixture_of_experts(nn.dense(1), 2), optax.adam(0.1)
    loss = nn.mixture.mixture_loss(net, nn.autoencoder.gaussian_log_likelihood(0.2))
    step = nn.training.step(loss, optimizer)
    train = nn.training.init_train(net, optimizer, jax.random.key(0), x)
    end = nn.training.fit(step, train, batch, steps=300, batch_size=256)
    answers = net(end.train.params, x).log_weights.argmax(1)
    right = answers == (x[:, 0] > 0)
    assert max(right.mean(), 1 - right.mean()) > 0.98
    assert end.history[-1]["experts_in_use"] == pytest.approx(2, abs=0.05)


def test_usage_counts_the_experts_in_use():
    metrics = nn.mixture.expert_usage(jnp.array([0.25, 0.0, 0.25, 0.5]))
    assert float(metrics["experts_in_use"]) == pytest.approx(np.exp(1.5 * np.log(2)))
    assert [float(metrics[f"usage_{i}"]) for i in range(4)] == [0.25, 0, 0.25, 0.5]


# Several tasks


def test_each_task_has_a_gate_and_a_tower():
    net = nn.mixture.multi_task(nn.dense(2), 4, {"a": nn.dense(1), "b": nn.dense(3)})
    params = made(net)
    said = net(params, X)
    outputs = np.stack(
        [affine(nn.mixture.take_module(params["experts"], i), X) for i in range(4)], axis=1
    )
    for i, task in enumerate("ab"):
        weights = softmax(affine(nn.mixture.take_module(params["gates"], i), X))
        mixed = (weights[..., None] * outputs).sum(1)
        assert np.allclose(said.weights[:, i], weights, atol=1e-6)
        assert np.allclose(said.outputs[task], affine(params["towers"][task], mixed), atol=1e-5)


def test_the_loss_of_tasks_is_their_weighed_sum():
    net = nn.mixture.multi_task(nn.dense(2), 4, {"a": nn.dense(1), "b": nn.dense(2)})
    params = made(net)
    targets = {"a": TARGET[:, :1], "b": TARGET}
    squared = lambda y, target: jnp.square(y - target).mean(-1)  # noqa: E731
    loss = nn.mixture.multi_task_loss(net, {"a": squared, "b": squared}, {"b": 3.0})
    value, (_, metrics) = loss(params, (), (X, targets))
    said = net(params, X)
    wanted = [float(nn.mse(said.outputs[task], targets[task])) for task in "ab"]
    assert [float(metrics[f"loss_{task}"]) for task in "ab"] == pytest.approx(wanted, rel=1e-5)
    assert float(value) == pytest.approx(wanted[0] + 3 * wanted[1], rel=1e-5)
    used = np.asarray(said.weights).mean((0, 1))
    assert [float(metrics[f"usage_{i}"]) for i in range(4)] == pytest.approx(used.tolist())


# Bad input


@pytest.mark.parametrize("branches", [(4,), (2, 2)])
@pytest.mark.first(1)
def test_an_expert_nobody_uses_is_reported_and_does_no_harm(branches):
    net = nn.mixture.mixture_of_experts(nn.dense(2), *branches)
    params = made(net)
    bias = jnp.full(branches[0], -1e4).at[0].set(1e4)
    params["gate"]["b"] = bias
    loss = nn.mixture.mixture_loss(net, nn.autoencoder.gaussian_log_likelihood(0.5))
    (_, (_, metrics)), gradient = jax.value_and_grad(loss, has_aux=True)(params, (), (X, TARGET))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    assert float(metrics["usage_3"]) == 0
    assert float(metrics["experts_in_use"]) < 2.1
    assert (jax.tree.leaves(gradient["experts"])[0][1:] == 0).all()


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="the number of experts"):
        nn.mixture.mixture_of_experts(nn.dense(2))
    with pytest.raises(
        ValueError, match="mixture_of_experts: branches must be a whole number of at least 1"
    ):
        nn.mixture.mixture_of_experts(nn.dense(2), 2, 0)
    with pytest.raises(ValueError, match="a tower for each task"):
        nn.mixture.multi_task(nn.dense(2), 2, {})
    with pytest.raises(ValueError, match="multi_task: n must be a whole number"):
        nn.mixture.multi_task(nn.dense(2), 0, {"a": nn.dense(1)})
    with pytest.raises(ValueError, match="has losses of"):
        nn.mixture.multi_task_loss(nn.dense(2), {"a": nn.mse}, {"b": 1.0})


def test_gates_and_experts_of_other_rows_are_refused():
    net = nn.mixture.mixture_of_experts(
        nn.dense(2), 3, gate=lambda n: nn.serial(lambda x: x[:4], nn.dense(n))
    )
    with pytest.raises(ValueError, match="both must have the same rows"):
        net.init(jax.random.key(0), X)


def test_tasks_of_other_names_are_refused():
    net = nn.mixture.multi_task(nn.dense(2), 2, {"a": nn.dense(1)})
    loss = nn.mixture.multi_task_loss(net, {"b": nn.mse})
    with pytest.raises(ValueError, match="use the same names"):
        loss(made(net), (), (X, {"b": TARGET}))

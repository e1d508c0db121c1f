# pyright: reportArgumentType=false
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnn as nn

SPIKES = jax.random.bernoulli(jax.random.key(1), 0.3, (6, 10, 4)).astype(jnp.float32)
MEMBRANES = jax.random.normal(jax.random.key(2), (6, 10, 4))
LABELS = jnp.array([0, 3, 1, 2, 0, 1])
LOSSES = (
    nn.spiking.count_loss,
    nn.spiking.count_cross_entropy,
    nn.spiking.membrane_loss,
    nn.spiking.latency_loss,
)


def entropy(logits, labels):
    logits = np.asarray(logits, np.float64)
    return np.log(np.exp(logits).sum(axis=-1)) - logits[np.arange(len(labels)), labels]


def test_count_loss_is_the_squared_error_of_rates():
    target = np.full((6, 4), 0.1)
    target[np.arange(6), LABELS] = 0.7
    wanted = ((np.asarray(SPIKES).mean(axis=1) - target) ** 2).mean(axis=1)
    loss = nn.spiking.count_loss(SPIKES, LABELS, correct=0.7, wrong=0.1)
    assert np.allclose(loss, wanted, atol=1e-6)


def test_count_cross_entropy_reads_counts_as_logits():
    wanted = entropy(np.asarray(SPIKES).sum(axis=1), LABELS)
    assert np.allclose(nn.spiking.count_cross_entropy(SPIKES, LABELS), wanted, atol=1e-5)


def test_membrane_loss_over_time_in_three_ways():
    u = np.asarray(MEMBRANES)
    every = np.mean([entropy(u[:, t], LABELS) for t in range(10)], axis=0)
    wanted = {"mean": entropy(u.mean(1), LABELS), "max": entropy(u.max(1), LABELS), "each": every}
    for over, value in wanted.items():
        assert np.allclose(nn.spiking.membrane_loss(MEMBRANES, LABELS, over=over), value, atol=1e-5)


def test_first_spikes_are_the_first_ones():
    s = np.asarray(SPIKES)
    wanted = np.where(s.any(axis=1), s.argmax(axis=1), 10)
    assert (wanted == 10).any() or (wanted > 0).any()
    assert np.array_equal(nn.spiking.first_spikes(SPIKES), wanted)
    loss = nn.spiking.latency_loss(SPIKES, LABELS, scale=0.5)
    assert np.allclose(loss, entropy(-0.5 * wanted, LABELS), atol=1e-5)


def test_the_gradient_of_a_first_spike_is_the_steps_that_it_saves():
    # None but the last spikes: one at step k saves 3 - k.
    slope = jax.grad(lambda s: nn.spiking.first_spikes(s).sum())(
        jnp.array([[[0.0], [0.0], [0.0], [1.0]]])
    )
    assert slope.ravel().tolist() == [-3, -2, -1, -1]


@pytest.mark.parametrize("loss", LOSSES)
def test_a_net_learns_under_every_loss(loss):
    x = jax.random.uniform(jax.random.key(3), (6, 5))
    readout = nn.spiking.leaky_integrator if loss is nn.spiking.membrane_loss else nn.spiking.lif
    net, optimizer = (
        nn.unroll(nn.spiking.spiking_mlp(32, 4, steps=6, readout=readout)),
        optax.adam(3e-2),
    )

    def descend(held, _):
        params, state = held
        value, slope = jax.value_and_grad(
            lambda params: loss(net(params, x).output, LABELS).mean()
        )(params)
        updates, state = optimizer.update(slope, state)
        return (optax.apply_updates(params, updates), state), value

    @jax.jit
    def learn(key):
        params, _ = net.init(key, x)
        return jax.lax.scan(descend, (params, optimizer.init(params)), length=30)[1]

    values = learn(jax.random.key(0))
    assert values[-1] < 0.7 * values[0]


def test_a_penalty_for_too_many_and_for_too_few():
    rate = np.asarray(SPIKES).mean(axis=1)
    over, under = np.maximum(rate - 0.4, 0), np.maximum(0.2 - rate, 0)
    wanted = (over**2 + under**2).mean()
    assert np.allclose(nn.spiking.spike_penalty(SPIKES, most=0.4, least=0.2), wanted, atol=1e-6)
    two = nn.spiking.spike_penalty((SPIKES, SPIKES[:, :, :1]))
    assert np.allclose(two, (rate**2).mean() + (rate[:, :1] ** 2).mean(), atol=1e-6)


def test_losses_are_those_of_snntorch():
    torch = pytest.importorskip("torch")
    pytest.importorskip("snntorch")
    from snntorch import functional as theirs

    spikes = torch.tensor(np.moveaxis(np.asarray(SPIKES), 1, 0))
    membranes = torch.tensor(np.moveaxis(np.asarray(MEMBRANES), 1, 0))
    labels = torch.tensor(np.asarray(LABELS), dtype=torch.long)
    pairs = [
        # Theirs is of counts, and divided by the steps.
        (10 * nn.spiking.count_loss(SPIKES, LABELS, correct=0.8, wrong=0.2),
         theirs.mse_count_loss(0.8, 0.2)(spikes, labels)),
        (nn.spiking.count_cross_entropy(SPIKES, LABELS), theirs.ce_count_loss()(spikes, labels)),
        (nn.spiking.membrane_loss(MEMBRANES, LABELS, over="max"),
         theirs.ce_max_membrane_loss()(membranes, labels)),
        (nn.spiking.membrane_loss(MEMBRANES, LABELS, over="each"),
         theirs.ce_rate_loss()(membranes, labels)),
    ]  # fmt: skip
    for ours, value in pairs:
        assert np.allclose(ours.mean(), value.item(), atol=1e-5)


# Bad input


@pytest.mark.parametrize("loss", LOSSES)
def test_no_steps_and_other_labels_are_refused(loss):
    with pytest.raises(ValueError, match="of at least one step"):
        loss(SPIKES[:, :0], LABELS)
    for labels in (LABELS[:3], LABELS[:, None], LABELS.astype(float)):
        with pytest.raises(ValueError, match=r"labels int \[batch\]"):
            loss(SPIKES, labels)


def test_arguments_out_of_range_are_refused():
    for call, said in (
        (
            lambda: nn.spiking.count_loss(SPIKES, LABELS, correct=2.0),
            "correct, spikes per step, must be a finite number",
        ),
        (
            lambda: nn.spiking.membrane_loss(SPIKES, LABELS, over="last"),
            "over is one of 'mean', 'max'",
        ),
        (
            lambda: nn.spiking.latency_loss(SPIKES, LABELS, scale=0.0),
            "scale must be a finite number greater than 0",
        ),
        (lambda: nn.spiking.spike_penalty(SPIKES, most=-0.1), "most, spikes per step, must be"),
        (lambda: nn.spiking.spike_penalty(SPIKES[:, :0]), "of at least one step"),
        (lambda: nn.spiking.first_spikes(SPIKES[:, :0]), "of at least one step"),
    ):
        with pytest.raises(ValueError, match=said):
            call()


def cut(loss, **options):
    """The loss of each row over its own steps, and over all with a mask."""
    steps = [10, 3, 7, 1, 10, 5]
    mask = nn.length_mask(jnp.array(steps), 10)
    y = jnp.where(mask[..., None], SPIKES + MEMBRANES * ("over" in options), 1.0)
    own = [loss(y[i : i + 1, :n], LABELS[i : i + 1], **options)[0] for i, n in enumerate(steps)]
    return np.array(own), loss(y, LABELS, mask=mask, **options)


@pytest.mark.parametrize(
    ("loss", "options"),
    [
        (nn.spiking.count_loss, {}),
        (nn.spiking.count_cross_entropy, {}),
        (nn.spiking.latency_loss, {}),
        *((nn.spiking.membrane_loss, {"over": over}) for over in ("mean", "max", "each")),
    ],
)
@pytest.mark.first(3)
def test_steps_that_are_padding_change_no_loss(loss, options):
    own, masked = cut(loss, **options)
    np.testing.assert_allclose(masked, own, rtol=1e-5)
    assert not np.allclose(own, loss(SPIKES, LABELS, **options))


def test_steps_that_are_padding_change_no_rate_and_no_penalty():
    mask = nn.length_mask(jnp.array([4, 10, 4, 4, 10, 10]), 10)
    held = np.asarray(SPIKES)[np.asarray(mask)]
    padded = jnp.where(mask[..., None], SPIKES, 1.0)
    assert nn.spiking.spike_rate(padded, mask) == pytest.approx(held.mean(), rel=1e-6)
    rate = np.stack(
        [np.asarray(SPIKES)[i, :n].mean(0) for i, n in enumerate([4, 10, 4, 4, 10, 10])]
    )
    wanted = np.square(np.maximum(rate - 0.2, 0)).mean()
    assert nn.spiking.spike_penalty((padded,), most=0.2, mask=mask) == pytest.approx(
        wanted, rel=1e-5
    )
    with pytest.raises(ValueError, match="a mask is"):
        nn.spiking.count_loss(SPIKES, LABELS, mask=mask[:, :5])


def test_rates_in_half_precision_are_counted_in_float32():
    # Of 5000 steps; float16 holds counts up to 2048, bfloat16 up to 256.
    for dtype in (jnp.float16, jnp.bfloat16):
        spikes = jnp.ones((2, 5000, 3), dtype).at[:, ::4].set(0)
        assert nn.spiking.spike_rate(spikes) == pytest.approx(0.75)
        assert (nn.spiking.first_spikes(jnp.zeros((1, 5000, 1), dtype)) == 5000).all()
    assert jnp.isfinite(nn.spiking.spike_rate(jnp.ones((60, 2000, 1), jnp.float16)))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("label", [-1, 4])
def test_a_label_that_is_no_class_is_refused_unless_it_is_left_out(loss, label):
    labels = LABELS.at[1].set(label)
    with pytest.raises(ValueError, match=f"labels are 0 to 3, got {label}"):
        loss(SPIKES, labels)
    left = nn.ignore_label(loss, label)(SPIKES, labels)
    kept = np.delete(np.asarray(loss(SPIKES, LABELS)), 1)
    assert float(jnp.mean(left)) == pytest.approx(kept.mean(), rel=1e-5)

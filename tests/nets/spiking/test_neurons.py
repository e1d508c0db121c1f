import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn
from tests import golden

pytestmark = pytest.mark.ordinary

normal = jax.random.normal


def by_hand(x, decay, threshold, reset="subtract", refractory=0, **more):
    """Spikes and membranes of [time, features] in float64, neuron by neuron and step by step."""
    x = np.asarray(x, np.float64)
    spikes, membranes = np.zeros_like(x), np.zeros_like(x)
    for neuron in range(x.shape[1]):
        u = current = tired = 0.0
        waits = delayed = 0
        for t in range(len(x)):
            drive = x[t, neuron]
            if "synaptic_decay" in more:
                current = more["synaptic_decay"] * current + drive
                drive = current
            if waits:
                waits -= 1
                membranes[t, neuron] = u
                tired *= more.get("adaptation_decay", 0)
                continue
            u = decay * u + drive - delayed
            delayed = 0
            lifted = threshold + more.get("adaptation", 0) * tired
            fires = u > lifted
            membranes[t, neuron], spikes[t, neuron] = u, fires
            tired = more.get("adaptation_decay", 0) * tired + fires
            if fires:
                waits = refractory
                if reset == "zero":
                    u = 0.0
                elif reset == "subtract":
                    u -= threshold
                elif reset == "delayed":
                    delayed = threshold
    return spikes, membranes


def run(cell, x):
    """What a cell puts out for [time, features], in float64."""
    with jax.enable_x64(True):
        x = jnp.asarray(np.asarray(x), jnp.float64)[None]
        return jax.tree.map(lambda leaf: np.asarray(leaf[0]), nn.unroll(cell)((), x))


X = 0.4 + 0.6 * normal(jax.random.key(1), (30, 12))


# Against their equations


@pytest.mark.parametrize("reset", ["subtract", "zero", "delayed", "none"])
def test_lif_follows_its_equations(reset):
    y = run(nn.spiking.lif(0.8, 0.9, reset=reset, membrane=True), X)
    spikes, membranes = by_hand(X, 0.8, 0.9, reset)
    assert 0.05 < spikes.mean() < 0.95
    assert np.array_equal(y["spikes"], spikes)
    assert np.allclose(y["membrane"], membranes, atol=1e-12)


@pytest.mark.parametrize("refractory", [1, 3])
def test_a_refractory_neuron_takes_nothing_in_and_does_not_spike(refractory):
    y = run(nn.spiking.lif(0.8, 0.9, reset="zero", refractory=refractory, membrane=True), X)
    spikes, membranes = by_hand(X, 0.8, 0.9, "zero", refractory)
    assert np.array_equal(y["spikes"], spikes)
    assert np.allclose(y["membrane"], membranes, atol=1e-12)
    for neuron in y["spikes"].T:
        times = np.flatnonzero(neuron)
        assert np.diff(times).min() > refractory


def test_adaptive_lif_follows_its_equations():
    more = {"adaptation_decay": 0.9, "adaptation": 0.7}
    cell = nn.spiking.adaptive_lif(
        0.8, 0.5, adaptation_decay=0.9, adaptation=0.7, membrane=True, refractory=1
    )
    y = run(cell, X)
    spikes, membranes = by_hand(X, 0.8, 0.5, "subtract", 1, **more)
    assert np.array_equal(y["spikes"], spikes)
    assert np.allclose(y["membrane"], membranes, atol=1e-12)


def test_synaptic_lif_follows_its_equations():
    y = run(nn.spiking.synaptic_lif(0.8, 1.5, synaptic_decay=0.6, membrane=True), X)
    spikes, membranes = by_hand(X, 0.8, 1.5, synaptic_decay=0.6)
    assert np.array_equal(y["spikes"], spikes)
    assert np.allclose(y["membrane"], membranes, atol=1e-12)


def test_feedback_brings_the_spikes_of_the_step_before():
    cell, x = nn.spiking.lif(0.8, feedback=True), jnp.asarray(X)[None]
    params, _ = cell.init(jax.random.key(0), x)
    v = np.asarray(params["v"], np.float64)
    assert np.allclose(v @ v.T, np.eye(12), atol=1e-5)
    u, s, wanted = np.zeros(12), np.zeros(12), []
    for step in np.asarray(X, np.float64):
        u = 0.8 * u + step + s @ v
        s = (u > 1).astype(float)
        u = u - s
        wanted.append(s)
    assert np.array_equal(nn.unroll(cell)(params, x)[0], wanted)


def test_neurons_over_images_are_those_over_features():
    x = normal(jax.random.key(2), (2, 5, 3, 4, 6))
    apart = nn.unroll(nn.spiking.lif())((), x.reshape(2, 5, 72)).reshape(x.shape)
    assert np.array_equal(nn.unroll(nn.spiking.lif())((), x), apart)


# Against snnTorch: the values stand in a file, which `tests.golden.make spiking` makes anew

GOLDEN = {
    "lif_delayed": lambda **more: nn.spiking.lif(0.75, 0.875, reset="delayed", **more),
    "lif_zero": lambda **more: nn.spiking.lif(0.75, 0.875, reset="zero", **more),
    "synaptic_lif_delayed": lambda **more: nn.spiking.synaptic_lif(
        0.75, 0.875, synaptic_decay=0.5, reset="delayed", **more
    ),
}


@pytest.mark.parametrize("name", golden.names("spiking"))
def test_golden(name):
    net = nn.unroll(GOLDEN[name](membrane=True, spike=nn.spiking.surrogate.fast_sigmoid(5.0)))

    def run(inputs):
        y = net((), inputs["x"])
        return y["spikes"], y["membrane"]

    case = golden.load("spiking", name)
    assert 0.1 < case.outputs[0].mean() < 0.9
    golden.check(case, run)


# Learned constants


def test_learned_constants_start_where_they_were_given():
    cell, x = (
        nn.spiking.synaptic_lif(0.8, 0.7, learn=("decay", "threshold", "synaptic_decay")),
        X[None],
    )
    params, _ = cell.init(jax.random.key(0), x)
    assert {name: leaf.shape for name, leaf in params.items()} == dict.fromkeys(
        ("decay", "threshold", "synaptic_decay"), (12,)
    )
    assert np.allclose(jax.nn.sigmoid(params["decay"]), 0.8)
    assert np.allclose(jnp.exp(params["threshold"]), 0.7)
    y = nn.unroll(cell)(params, x)
    assert np.array_equal(y, nn.unroll(nn.spiking.synaptic_lif(0.8, 0.7))((), x))


def test_each_feature_has_a_decay_of_its_own():
    cell, x = nn.spiking.leaky_integrator(0.5, learn=("decay",)), jnp.ones((1, 3, 2))
    y = nn.unroll(cell)({"decay": jnp.array([0.0, jnp.log(3.0)])}, x)
    assert np.allclose(y[0], [[1, 1], [1.5, 1.75], [1.75, 2.3125]])


def test_a_decay_is_learned_from_spikes():
    net = nn.unroll(nn.spiking.lif(0.3, learn=("decay",), spike=nn.spiking.surrogate.arctan()))
    x = jnp.full((1, 20, 1), 0.45)
    wanted = nn.unroll(nn.spiking.lif(0.9))((), x).mean()
    params, _ = net.init(jax.random.key(0), x)

    @jax.jit
    def descend(params):
        loss = lambda params: jnp.square(net(params, x).mean() - wanted)  # noqa: E731
        return jax.tree.map(lambda p, g: p - 5 * g, params, jax.grad(loss)(params))

    assert net(params, x).mean() == 0
    for _ in range(60):
        params = descend(params)
    assert abs(net(params, x).mean() - wanted) <= 0.05


def test_the_gradient_does_not_go_through_the_reset():
    # With a threshold that u_1 passes, u_2 is decay (u_1 - 1) + x_2, whose slope is that of u_1.
    cell = nn.spiking.lif(0.5, membrane=True)

    def last(x):
        return nn.unroll(cell)((), x)["membrane"][0, -1, 0]

    slope = jax.grad(last)(jnp.array([[[1.5], [0.2]]]))
    assert np.allclose(slope.ravel(), [0.5, 1])


# Izhikevich's neuron


def izhikevich_by_hand(a, b, c, d, current, steps):
    v, spikes = -65.0, []
    u = b * v
    for _ in range(steps):
        for _ in range(2):
            v = min(v + 0.5 * (0.04 * v**2 + 5 * v + 140 - u + current), 35)
        u += a * (b * v - u)
        spikes.append(v > 30)
        if spikes[-1]:
            v, u = c, u + d
    return np.array(spikes)


KINDS = {
    "regular": (0.02, 0.2, -65, 8),
    "chattering": (0.02, 0.2, -50, 2),
    "fast": (0.1, 0.2, -65, 2),
}


@pytest.mark.parametrize("kind", KINDS)
def test_izhikevich_follows_its_equations(kind):
    y = run(nn.spiking.izhikevich(*KINDS[kind]), np.full((400, 1), 10.0))[:, 0]
    assert np.array_equal(y, izhikevich_by_hand(*KINDS[kind], 10.0, 400))


def test_neurons_spike_as_their_kind_does():
    spikes = {
        kind: run(nn.spiking.izhikevich(*KINDS[kind]), np.full((400, 1), 10.0)) for kind in KINDS
    }
    gaps = {kind: np.diff(np.flatnonzero(y[100:, 0])) for kind, y in spikes.items()}
    assert gaps["regular"].std() <= 1
    assert gaps["fast"].mean() < 0.6 * gaps["regular"].mean()
    # Bursts: some spikes follow at once, others after a long pause.
    assert gaps["chattering"].max() > 4 * gaps["chattering"].min()


# Documented behaviour and bad input


@pytest.mark.parametrize(
    "cell", [nn.spiking.lif(), nn.spiking.izhikevich(), nn.spiking.leaky_integrator()]
)
def test_a_chunk_of_no_steps_puts_out_none_and_leaves_the_carry(cell):
    x = jnp.ones((2, 0, 3))
    carry = cell.carry((), x)
    (after, y), _ = cell.apply((), (), (carry, x))
    assert y.shape == (2, 0, 3)
    assert jax.tree.all(jax.tree.map(np.array_equal, carry, after))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: nn.spiking.lif(0.0),
            r"decay must be a finite number of at most 1 and greater than 0",
        ),
        (
            lambda: nn.spiking.lif(1.1),
            r"decay must be a finite number of at most 1 and greater than 0",
        ),
        (lambda: nn.spiking.lif(1.0, learn=("decay",)), r"decay, to be learned, must be"),
        (lambda: nn.spiking.lif(threshold=0.0), "threshold must be a finite number greater than 0"),
        (
            lambda: nn.spiking.lif(threshold=float("nan")),
            "threshold must be a finite number greater than 0",
        ),
        (
            lambda: nn.spiking.adaptive_lif(adaptation=-1.0),
            "adaptation must be a finite number greater than 0",
        ),
        (lambda: nn.spiking.synaptic_lif(synaptic_decay=2.0), "synaptic_decay must be a finite"),
        (
            lambda: nn.spiking.lif(reset="soft"),
            "reset is one of 'subtract', 'zero', 'delayed', 'none'",
        ),
        (lambda: nn.spiking.lif(refractory=-1), "refractory must be a whole number"),
        (lambda: nn.spiking.lif(learn=("tau",)), "learn is one of 'decay', 'threshold', got 'tau'"),
        (
            lambda: nn.spiking.izhikevich(c=31.0),
            "c, v after a spike in mV, must be .* less than 30",
        ),
        (lambda: nn.spiking.izhikevich(a=float("inf")), "a must be a finite number"),
    ],
)
def test_constants_out_of_range_are_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_currents_without_a_time_axis_are_refused(key):
    with pytest.raises(ValueError, match="lif takes .*one step is a chunk of length 1"):
        nn.spiking.lif().init(key, jnp.ones((4, 3)))
    with pytest.raises(TypeError, match="lif takes floating features"):
        nn.spiking.lif().init(key, jnp.ones((4, 3, 2), int))


def test_feedback_over_images_is_refused(key):
    with pytest.raises(ValueError, match=r"lif with feedback takes \[batch, time, features\]"):
        nn.spiking.lif(feedback=True).init(key, jnp.ones((4, 3, 2, 2, 1)))


def test_params_of_other_features_or_nets_are_refused(key):
    cell, x = nn.spiking.lif(learn=("decay",)), jnp.ones((2, 3, 4))
    params, _ = cell.init(key, x)
    with pytest.raises(ValueError, match="decay for 4 features"):
        nn.unroll(cell)(params, x[..., :3])
    with pytest.raises(ValueError, match="has no params"):
        nn.unroll(nn.spiking.lif())(params, x)

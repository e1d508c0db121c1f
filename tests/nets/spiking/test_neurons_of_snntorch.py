"""Neurons and a net beside snnTorch's: the same spikes, membranes and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn

torch = pytest.importorskip("torch")
snn = pytest.importorskip("snntorch")

X = np.random.default_rng(0).normal(0.3, 0.7, (25, 4, 12))  # [time, batch, features]
FAST = {"ours": nn.spiking.surrogate.fast_sigmoid(5.0), "theirs": snn.surrogate.fast_sigmoid(5)}
COTANGENT = np.random.default_rng(1).normal(size=(2, *X.shape))


def theirs(make):
    """(spikes, membranes, gradient of x) of snnTorch's neuron, in float64."""
    x = torch.tensor(X, requires_grad=True)
    neuron = make(spike_grad=FAST["theirs"])
    memory, spikes, membranes = (
        [torch.zeros(4, 12, dtype=torch.float64)] * (2 if isinstance(neuron, snn.Synaptic) else 1),
        [],
        [],
    )
    for step in x:
        s, *memory = neuron(step, *memory)
        spikes.append(s)
        membranes.append(memory[-1])
    spikes, membranes = torch.stack(spikes), torch.stack(membranes)
    weighed = torch.tensor(COTANGENT)
    ((spikes * weighed[0]).sum() + (membranes * weighed[1]).sum()).backward()
    return spikes.detach().numpy(), membranes.detach().numpy(), x.grad.numpy()


def ours(make):
    """The same of jaxnn's."""
    with jax.enable_x64(True):
        net = nn.unroll(make(membrane=True, spike=FAST["ours"]))

        def run(x):
            y = net((), jnp.swapaxes(x, 0, 1))
            return jnp.stack([jnp.swapaxes(y[name], 0, 1) for name in ("spikes", "membrane")])

        y, pull = jax.vjp(run, jnp.asarray(X))
        return *map(np.asarray, y), np.asarray(pull(jnp.asarray(COTANGENT))[0])


PAIRS = {
    "lif, delayed": (
        lambda **more: nn.spiking.lif(0.8, 0.9, reset="delayed", **more),
        lambda **more: snn.Leaky(beta=0.8, threshold=0.9, **more),
    ),
    "lif, to zero": (
        lambda **more: nn.spiking.lif(0.8, 0.9, reset="zero", **more),
        lambda **more: snn.Leaky(beta=0.8, threshold=0.9, reset_mechanism="zero", **more),
    ),
    "lif, no reset": (
        lambda **more: nn.spiking.lif(0.8, 0.9, reset="none", **more),
        lambda **more: snn.Leaky(beta=0.8, threshold=0.9, reset_mechanism="none", **more),
    ),
    "synaptic_lif, delayed": (
        lambda **more: nn.spiking.synaptic_lif(
            0.8, 0.9, synaptic_decay=0.6, reset="delayed", **more
        ),
        lambda **more: snn.Synaptic(alpha=0.6, beta=0.8, threshold=0.9, **more),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_neuron_has_the_spikes_membranes_and_gradients_of_snntorchs(name):
    mine, their = PAIRS[name]
    (s, u, slope), (s_t, u_t, slope_t) = ours(mine), theirs(their)
    assert 0.05 < s.mean() < 0.95
    assert np.array_equal(s, s_t)
    # Their constants are float32.
    assert np.allclose(u, u_t, atol=1e-6)
    assert np.allclose(slope, slope_t, rtol=1e-4, atol=1e-5)


def test_a_layer_with_feedback_has_the_spikes_of_snntorchs():
    v = 0.3 * np.random.default_rng(2).normal(size=(12, 12)).astype(np.float32)
    neuron = snn.RLeaky(beta=0.8, threshold=0.9, linear_features=12)
    neuron.recurrent.weight.data = torch.tensor(v.T)
    neuron.recurrent.bias.data = torch.zeros(12)
    neuron.double()
    s = u = torch.zeros(4, 12, dtype=torch.float64)
    spikes = []
    with torch.no_grad():
        for step in torch.tensor(X):
            s, u = neuron(step, s.double(), u)
            spikes.append(s.numpy())
    with jax.enable_x64(True):
        net = nn.unroll(nn.spiking.lif(0.8, 0.9, reset="delayed", feedback=True))
        params = {"v": jnp.asarray(v, jnp.float64)}
        y = net(params, jnp.swapaxes(jnp.asarray(X), 0, 1))
    assert np.array_equal(np.swapaxes(y, 0, 1), spikes)

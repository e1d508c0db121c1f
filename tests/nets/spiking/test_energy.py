import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn
from jaxnn.nets.spiking.energy import VECTORS
from jaxnn.tree import path_of
from tests.registry import ENTRIES

normal = jax.random.normal


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_rounding_is_to_the_nearest_of_the_levels(bits):
    w = normal(jax.random.key(1), (20, 3, 5))
    found = nn.spiking.quantize({"w": w, "b": w[0, 0]}, bits)
    most = 2 ** (bits - 1) - 1
    assert found["w"].values.dtype == jnp.int8
    assert np.array_equal(found["b"], w[0, 0])
    assert np.array_equal(np.abs(found["w"].values).max(axis=(0, 1)), np.full(5, most))
    rounded = nn.spiking.dequantize(found)["w"]
    assert np.all(np.abs(rounded - w) <= np.asarray(found["w"].scale) / 2 + 1e-6)


def test_zeros_stay_zeros():
    w = jnp.zeros((4, 3)).at[:, 0].set(1.0)
    assert np.array_equal(nn.spiking.dequantize(nn.spiking.quantize({"w": w}))["w"], w)


def test_a_quarter_of_the_bytes():
    params, _ = nn.mlp(256, 10).init(jax.random.key(0), jnp.ones((1, 784)))
    assert 0.25 < nn.nbytes(nn.spiking.quantize(params)) / nn.nbytes(params) < 0.26


def test_every_spike_adds_once_for_each_weight_it_meets(key):
    spikes = jax.random.bernoulli(key, 0.2, (3, 6, 7)).astype(jnp.float32)
    net = nn.dense(5)
    params, _ = net.init(key, spikes)
    counted = nn.spiking.synaptic_operations(net, params, spikes)
    assert np.array_equal(counted, 5 * spikes.sum(axis=(1, 2)))


def test_what_lies_over_the_edge_is_not_counted(key):
    net = nn.spiking.time_distributed(nn.conv(2, 3, padding="SAME"))
    corner = jnp.zeros((2, 1, 5, 5, 1)).at[0, 0, 0, 0, 0].set(1.0).at[1, 0, 2, 2, 0].set(3.0)
    params, _ = net.init(key, corner)
    # Two outputs at each place: four places see a corner, nine the middle.
    assert nn.spiking.synaptic_operations(net, params, corner).tolist() == [8, 18]


def test_energy_is_what_additions_and_multiplications_take():
    assert nn.spiking.energy(10, 3) == pytest.approx(1e-12 * (9.0 + 11.1))
    assert nn.spiking.energy(10, 3, kind="int8") == pytest.approx(1e-12 * (0.3 + 0.6))


def test_bad_input_is_refused():
    for bits in (1, 9):
        with pytest.raises(ValueError, match="bits"):
            nn.spiking.quantize({}, bits)
    with pytest.raises(ValueError, match="kind is one of 'float32'"):
        nn.spiking.energy(1, kind="int4")


def test_vectors_under_repeat_are_kept_as_they_are():
    net = nn.repeat(nn.serial(nn.layer_norm(), nn.dense(8)), 3)
    params, _ = net.init(jax.random.key(0), jnp.ones((2, 8)))
    spread = jnp.array([1e-3, 1.0, 1e3])[:, None]
    params[1]["b"] = params[1]["b"] + spread
    params[0]["scale"] = params[0]["scale"] * spread
    found = nn.spiking.dequantize(nn.spiking.quantize(params))
    assert (found[1]["b"] == params[1]["b"]).all()
    assert (found[0]["scale"] == params[0]["scale"]).all()
    assert (found[1]["w"] != params[1]["w"]).any()


def test_what_a_neuron_learns_of_itself_keeps_its_own_values_under_repeat():
    block = nn.serial(nn.dense(3), nn.spiking.lif(learn=("decay", "threshold")))
    params, _ = nn.repeat(nn.unroll(block), 4).init(jax.random.key(0), jnp.ones((2, 5, 3)))
    few = nn.spiking.quantize(params, 4)
    for name in ("decay", "threshold"):
        assert few[1][name] is params[1][name]
    assert few[0]["w"].values.dtype == jnp.int8


def test_every_vector_of_the_registry_is_known_by_its_name():
    names = set()
    for title in ("lif", "adaptive_lif", "synaptic_lif", "lru", "weight_norm", "matrix_capsules"):
        entry = ENTRIES[title]
        x = entry.input(jax.random.key(0), jnp.float32)
        params, _ = jax.eval_shape(entry.make().init, jax.random.key(0), x)
        leaves = jax.tree_util.tree_flatten_with_path(params)[0]
        names |= {path_of(keys).split("/")[-1] for keys, leaf in leaves if leaf.ndim == 1}
    assert names <= set(VECTORS)

import builtins

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn
from jaxnn.interop.nir import Affine, AvgPool, Conv, CubaLif, Flatten, Leaky, Lif, from_nir, to_nir

nir = pytest.importorskip("nir")

DENSE = (Affine(16), Lif(0.8, 0.5), Affine(8, False), CubaLif(0.9, 0.3, 0.7))
PICTURES = (
    *(Conv(4, (3, 3), (2, 2), (1, 1)), Lif(0.8, 0.5), AvgPool((2, 2))),
    *(Flatten(), Affine(8), Lif(0.9, 0.4, ("decay",)), Affine(5), Lif(0.75, 0.2)),
)


def made(parts, shape, rows=3):
    """A net of a chain, its params, and what goes in."""
    net = nn.unroll(nn.spiking.spiking_chain(*parts))
    x = jax.random.uniform(jax.random.key(1), (rows, 10, *shape))
    return net, net.init(jax.random.key(0), x)[0], x


@pytest.mark.parametrize(("parts", "shape"), [(DENSE, (6,)), (PICTURES, (8, 10, 2))])
def test_a_chain_comes_back_through_a_file_with_the_same_spikes(parts, shape, tmp_path):
    net, params, x = made(parts, shape)
    nir.write(tmp_path / "net.nir", to_nir(parts, params, shape))
    back, held = from_nir(nir.read(tmp_path / "net.nir"))
    assert [type(part) for part in back] == [type(part) for part in parts]
    y = net(params, x)
    assert 0 < y.mean() < 1
    assert np.array_equal(y, nn.unroll(nn.spiking.spiking_chain(*back))(held, x))


def test_learned_numbers_of_each_feature_come_back_as_such():
    parts = (Affine(3), Lif(0.9, 1.0, ("decay", "threshold")))
    held = {"decay": jnp.array([-1.0, 0.0, 2.0]), "threshold": jnp.array([0.0, 0.5, -0.5])}
    params = ({"w": jnp.ones((2, 3)), "b": jnp.zeros(3)}, held)
    graph = to_nir(parts, params, (2,))
    decay = 1 - 1e-4 / graph.nodes["lif"].tau
    assert np.allclose(decay, jax.nn.sigmoid(held["decay"]))
    assert np.allclose(graph.nodes["lif"].v_threshold, jnp.exp(held["threshold"]))
    back, learned = from_nir(graph)
    assert isinstance(back[1], Lif)
    assert back[1].learn == ("decay", "threshold")
    assert all(np.allclose(learned[1][name], held[name], atol=1e-6) for name in held)


def test_a_neuron_of_other_units_is_measured_in_what_it_takes_in():
    # v' = (-v + 5 x) / 2 ms at a step of 1 ms: v = v / 2 + 2.5 x, which fires at x = 1 / 2.5.
    ones = np.ones(1)
    node = nir.LIF(2e-3 * ones, 5 * ones, 0 * ones, ones)
    parts, params = from_nir(nir.NIRGraph.from_list(node), dt=1e-3)
    assert parts == (Lif(0.5, 0.4),)
    assert params == ((),)


def test_without_a_leak_it_is_an_integrator_that_fires():
    _, params, _ = made((Affine(4), Lif(1.0, 0.5)), (3,))
    graph = to_nir((Affine(4), Lif(1.0, 0.5)), params, (3,))
    assert isinstance(graph.nodes["if"], nir.IF)
    assert from_nir(graph)[0] == (Affine(4), Lif(1.0, 0.5))


def test_a_read_out_that_does_not_spike_goes_and_comes():
    _, params, _ = made((Affine(4), Leaky(0.75)), (3,))
    assert from_nir(to_nir((Affine(4), Leaky(0.75)), params, (3,)))[0][1] == Leaky(0.75)


@pytest.mark.parametrize(("parts", "shape"), [(DENSE, (6,)), (PICTURES, (8, 10, 2))])
def test_snntorch_runs_the_graph_with_the_same_spikes(parts, shape, capsys):
    torch = pytest.importorskip("torch")
    pytest.importorskip("nirtorch")
    pytest.importorskip("snntorch")
    from snntorch.import_nir import import_from_nir

    net, params, x = made(parts, shape, rows=1)
    theirs = import_from_nir(to_nir(parts, params, shape)).float()
    # Channels first; one row at a time, since its Flatten would fold rows as well.
    steps = np.moveaxis(np.asarray(x[0]), -1, 1)
    state, spikes = None, []
    with torch.no_grad():
        for step in steps:
            row = torch.tensor(step)[None]
            y = theirs(row, state) if state is not None else theirs(row)
            y, state = y if isinstance(y, tuple) else (y, state)
            spikes.append(y.reshape(-1).numpy())
    ours = np.asarray(net(params, x))[0]
    assert 0 < ours.mean() < 1
    assert np.array_equal(ours, np.stack(spikes))


# Bad input


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    ordinary = builtins.__import__

    def absent(name, *rest):
        if name == "nir":
            raise ImportError(name)
        return ordinary(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(ImportError, match=r"pip install -e '.\[nir\]'"):
        to_nir(DENSE, ((), (), (), ()), (6,))


@pytest.mark.parametrize("params", [(), ((),), {"w": 1}])
def test_params_of_another_chain_are_refused(params):
    with pytest.raises(ValueError, match="a tuple of as many params"):
        to_nir(DENSE, params, (6,))


def test_weights_for_another_shape_are_refused():
    _, params, _ = made(DENSE, (6,))
    with pytest.raises(ValueError, match=r"weights \[6, 16\] do not take \[7\]"):
        to_nir(DENSE, params, (7,))


def test_neurons_between_a_flattening_and_its_weights_are_refused():
    parts = (Flatten(), Lif(0.5), Affine(2))
    _, params, _ = made(parts, (2, 2, 1))
    with pytest.raises(ValueError, match="neurons come before the flattening"):
        to_nir(parts, params, (2, 2, 1))


def test_a_decay_of_one_has_no_time_constant():
    with pytest.raises(ValueError, match="a decay of 1 has no time constant"):
        to_nir((Leaky(1.0),), ((),), (2,))


def test_what_is_no_part_is_refused():
    with pytest.raises(TypeError, match="spiking_chain takes parts"):
        nn.spiking.spiking_chain(nn.spiking.lif())


ONE = np.ones(1)


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (nir.LIF(ONE, ONE, ONE, ONE), "v_leak of lif is not zero"),
        (nir.LIF(ONE, ONE, 0 * ONE, ONE, ONE), "v_reset of lif is not zero"),
        (nir.LI(ONE, ONE, 0 * ONE), "li scales what it takes in"),
        (nir.LIF(ONE * 1e-5, ONE, 0 * ONE, ONE), "tau of lif must be finite and at least a step"),
        (nir.LIF(ONE * 0, ONE, 0 * ONE, ONE), "tau of lif must be finite and at least a step"),
        (nir.LI(-ONE, ONE, 0 * ONE), "tau of li must be finite and at least a step"),
        (nir.IF(0 * ONE, ONE), "r of if must be finite and not zero"),
        (nir.IF(-ONE, ONE), "threshold of if over its gain must be finite and positive"),
        (nir.IF(np.ones(2), np.array([1.0, -1.0])), "threshold of if over its gain"),
        (nir.Delay(ONE), "delay is Delay, which no part is"),
        (
            nir.Flatten({"input": np.array([2, 3, 4])}, start_dim=1),
            "flatten flattens axes 1 to 2 of 3",
        ),
        (nir.Scale(ONE), "scale is Scale, which no part is"),
        (nir.Conv2d((4, 4), np.ones((2, 1, 3, 3)), 1, 1, 1, 2, np.ones(2)), "conv2d has groups"),
    ],
)
def test_nodes_that_no_part_is_are_refused(node, said):
    graph = nir.NIRGraph.from_list(node, type_check=False)
    with pytest.raises(ValueError, match=said):
        from_nir(graph)


def test_a_graph_that_branches_is_refused():
    nodes = {
        "input": nir.Input(np.array([1])),
        "a": nir.Scale(ONE),
        "b": nir.Scale(ONE),
        "output": nir.Output(np.array([1])),
    }
    edges = [("input", "a"), ("input", "b"), ("a", "output"), ("b", "output")]
    with pytest.raises(ValueError, match="from_nir takes a chain"):
        from_nir(nir.NIRGraph(nodes, edges))


@pytest.mark.parametrize(
    ("edges", "said"),
    [
        ([("input", "a"), ("a", "input")], "input comes again|ends at input|recurrence"),
        ([("input", "a"), ("a", "b"), ("b", "a")], "a comes again after itself"),
        ([("input", "a"), ("a", "b")], "ends at b, a Scale"),
        ([("input", "a"), ("a", "output")], "b lie beside it"),
        ([("a", "output")], "with a way on"),
    ],
)
def test_a_graph_that_is_no_chain_is_refused_and_says_where(edges, said):
    nodes = {
        "input": nir.Input(np.array([1])),
        "a": nir.Scale(ONE),
        "b": nir.Scale(ONE),
        "output": nir.Output(np.array([1])),
    }
    with pytest.raises(ValueError, match=said):
        from_nir(nir.NIRGraph(nodes, edges, type_check=False))

# pyright: reportGeneralTypeIssues=false, reportCallIssue=false, reportArgumentType=false
"""Frameworks side by side: turns, ratios, what is counted, and processes that answer."""

import importlib.util
import json

import jax
import numpy as np
import pytest

import jaxnn as nn
from benchmarks import __main__ as command
from benchmarks import backends, depth, layers, networks, race
from benchmarks.peers import (
    family_sizes,
    family_steps_in_jaxnn,
    graph_in_jaxnn,
    graph_sizes,
    layers_in_jaxnn,
    net_sizes,
    nets_in_jaxnn,
    sizes,
)
from jaxnn import inspection


def frameworks(order, **milliseconds):
    """Workers that take so long a step, and note when they were asked."""

    def asks(name, each):
        def ask(request):
            if "case" not in request:
                return {}
            order.append(name)
            steps = request["steps"]
            return {"seconds": each * steps / 1e3, "parameters": 7, "first_seconds": 1.0}

        return ask

    return {name: (["net"], asks(name, each)) for name, each in milliseconds.items()}


def test_frameworks_take_turns_and_every_other_round_runs_backwards():
    order = []
    taken, _, rate = race.one("net", frameworks(order, jaxnn=10, torch=20), rounds=2, turn=0.1)
    assert order == ["jaxnn"] * 3 + ["torch"] * 3 + ["jaxnn", "torch", "torch", "jaxnn"]
    assert {name: len(each) for name, each in taken.items()} == {"jaxnn": 2, "torch": 2}
    assert rate > 1e9


def test_what_a_framework_has_not_is_left_out():
    asks = frameworks([], jaxnn=10, torch=20)
    asks["torch"] = ([], asks["torch"][1])
    assert set(race.one("net", asks, rounds=2, turn=0.01)[0]) == {"jaxnn"}


def test_a_row_says_how_long_jaxnn_takes_of_it_within_a_round():
    facts = {"parameters": 7, "first_seconds": 1.0}
    taken = {"jaxnn": [0.01, 0.03, 0.02], "torch": [0.02, 0.02, 0.02]}
    row = race.row("net", "torch", taken, facts)
    assert row["jaxnn_over_it"] == 1.0
    assert (row["low_ms"], row["median_ms"], row["high_ms"]) == (20, 20, 20)


def test_a_bar_is_the_fastest_jax_peer_and_never_pytorch():
    def row(framework, over):
        return {"case": sizes.CNN, "framework": framework, "jaxnn_over_it": over}

    rows = [row("jaxnn", 1.0), row("Flax NNX", 0.5), row("Equinox", 0.7), row("PyTorch", 2.0)]
    checks = {each["metric"]: each["value"] for each in layers.bars(rows)}
    assert list(checks.values()) == [0.7, 2.0]
    assert not layers.bars([row("jaxnn", 1.0), row("PyTorch", 2.0)])


def test_a_process_answers_until_its_input_ends():
    with race.worker("layers_in_jaxnn") as (titles, ask):
        assert titles == list(layers.TITLES)
        answer = ask({"case": sizes.LSTM, "steps": 1})
        assert answer["parameters"] == 4 * 128 * (32 + 128 + 1)
        assert answer["seconds"] > 0
        ask({"drop": sizes.LSTM})


def test_a_process_that_dies_is_named():
    ended = pytest.raises(RuntimeError, match="no_such_module ended with exit code 1")
    with ended, race.worker("no_such_module"):
        pass


@pytest.mark.parametrize("module", ["jaxnn", "flax", "equinox", "torch"])
def test_every_framework_has_cases_of_the_benchmark(module):
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    with race.worker(f"layers_in_{module}") as (titles, _):
        assert set(titles) <= set(layers.TITLES)
        assert sizes.GPT in titles


@pytest.mark.parametrize("title", [sizes.CNN, sizes.RESNET, sizes.LSTM, sizes.GRU])
def test_operations_are_those_of_the_forward_pass(title):
    net, _, (x, _) = layers_in_jaxnn.NETS[title]()
    counted = inspection.summary_rows(net, jax.numpy.asarray(x))[-1].macs
    first, others = sizes._MULTIPLY_ADDS[title]
    # An LSTM takes its bias as one more feature.
    assert first + others <= counted <= 1.01 * (first + others)
    assert sizes.flops(title) == 4 * first + 6 * others


@pytest.mark.parametrize(
    ("make", "shapes", "adds"),
    [
        (lambda: nets_in_jaxnn.capsnet().net, [(64, 28, 28, 1)], net_sizes.CAPSNET),
        (nets_in_jaxnn.coder, [(128, 784), (128, 1, 20)], net_sizes.VAE),
        (lambda: nn.gan.dcgan_generator(28), [(64, 64)], net_sizes.GENERATOR),
        (nn.gan.dcgan_discriminator, [(64, 28, 28, 1)], net_sizes.DISCRIMINATOR),
    ],
)
def test_operations_of_the_nets_of_pictures_are_those_of_the_forward_pass(make, shapes, adds):
    x = tuple(jax.ShapeDtypeStruct(shape, jax.numpy.float32) for shape in shapes)
    counted = inspection.summary_rows(make(), x if len(x) > 1 else x[0])[-1].macs
    assert sum(net_sizes.MULTIPLY_ADDS.get(adds, adds)) == counted


def test_operations_of_the_other_families_are_those_of_the_forward_pass():
    rows = jax.ShapeDtypeStruct((128, 784), jax.numpy.float32)
    words, ends, _ = graph_sizes.citations()
    for title, net, x in (
        (family_sizes.RBF_STEP, family_steps_in_jaxnn.rbf().net, rows),
        (family_sizes.SPIKING, family_steps_in_jaxnn.spiking().net, rows),
        (graph_sizes.GCN, graph_in_jaxnn.gcn()[0], nn.graph.make_graph(words, *ends)),
    ):
        counted = inspection.summary_rows(net, x)[-1].macs
        first, others = family_steps_in_jaxnn.MULTIPLY_ADDS[title]
        # Distances are sums of squared differences, which are no products to the inspection.
        assert counted == others + (0 if title == family_sizes.RBF_STEP else first)


@pytest.mark.parametrize("title", [family_sizes.SOM, graph_sizes.GCN])
def test_families_step_in_every_dtype(title):
    network = networks.Network(title, 2)
    runs = {name: networks.steps(network, dtype) for name, dtype in backends.DTYPES.items()}
    networks.agree(network, runs)
    first, *_, last = runs["float32"](5)
    assert last < first


def test_a_net_with_a_step_of_its_own_takes_it_in_every_dtype():
    network = networks.Network(net_sizes.VAE, 2)
    runs = {name: networks.steps(network, dtype) for name, dtype in backends.DTYPES.items()}
    networks.agree(network, runs)
    assert networks.flops(network) == net_sizes.flops(net_sizes.VAE)


def test_a_network_that_steps_otherwise_is_caught():
    network = networks.Network(sizes.LSTM, 2)
    losses = networks.by_hand(network, networks.CHECKED)
    networks.agree(network, {"float32": lambda count: losses})
    with pytest.raises(ValueError, match="float32 disagrees with a scan by hand"):
        networks.agree(network, {"float32": lambda count: losses * np.array([1, 1, 1.01])})


def test_compile_time_over_depth_is_reported(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(depth, "seconds", lambda blocks: (0.5, 2.0 if blocks == 2 else 2.25))
    assert command.main(["depth", "--quick", "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "depth" / "report.json").read_text())
    assert [row["median"] for row in report["rows"]] == [2.5, 2.75]
    assert report["checks"][0]["value"] == 1.1
    assert "met     compile time of 48 blocks over that of 2" in capsys.readouterr().out


def test_the_program_does_not_grow_with_depth():
    def length(blocks):
        code = depth.PROGRAM.partition("begin = ")[0] + "text = step.lower(train, (x, x)).as_text()"
        found = {}
        exec(code.replace("int(sys.argv[1])", str(blocks)), found)
        return found["text"].count("\n")

    assert length(48) == length(2)

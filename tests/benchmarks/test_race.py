# pyright: reportGeneralTypeIssues=false, reportCallIssue=false, reportArgumentType=false
"""Races of frameworks: turns, ratios, counted operations, and processes that answer."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxnn as nn
from benchmarks import __main__ as command
from benchmarks import backends, depth, layers, networks, peers, race
from benchmarks.peers import cases, data
from benchmarks.peers.jaxnn import family_steps, graph, nets
from benchmarks.peers.jaxnn import layers as layers_in_jaxnn
from jaxnn import inspection
from tests.benchmarks.rows import row


def frameworks(order, **milliseconds):
    """Workers whose step takes the given time, and that record when they were asked."""

    def worker(name, ms):
        def ask(request):
            if "case" not in request:
                return {}
            order.append(name)
            seconds = ms * request["steps"] / 1e3
            return {"seconds": seconds, "parameters": 7, "first_seconds": 1.0}

        return ask

    return {name: (["net"], worker(name, ms)) for name, ms in milliseconds.items()}


def test_frameworks_take_turns_and_every_other_round_runs_backwards():
    order = []
    workers = frameworks(order, jaxnn=10, torch=20)
    seconds, _, rate = race.race_case("net", workers, rounds=2, turn=0.1)
    assert order == ["jaxnn"] * 3 + ["torch"] * 3 + ["jaxnn", "torch", "torch", "jaxnn"]
    assert {name: len(each) for name, each in seconds.items()} == {"jaxnn": 2, "torch": 2}
    assert rate > 1e9


def test_a_framework_without_the_case_is_left_out():
    workers = frameworks([], jaxnn=10, torch=20)
    workers["torch"] = ([], workers["torch"][1])
    assert set(race.race_case("net", workers, rounds=2, turn=0.01)[0]) == {"jaxnn"}


def test_every_file_of_the_peers_belongs_to_a_framework():
    folder = Path(peers.__file__).parent
    benchmarks = ("layers", "nets", "sequences", "families")
    files = {
        f"{path.parent.name}.{path.stem}"
        for benchmark in benchmarks
        for path in folder.glob(f"*/{benchmark}*.py")
    }
    modules = {each.module(name) for each in race.FRAMEWORKS.values() for name in benchmarks}
    assert files <= modules
    assert {module.partition(".")[0] for module in files} == {
        each.library for each in race.FRAMEWORKS.values()
    }


def test_a_row_says_how_long_jaxnn_takes_of_it_within_a_round():
    facts = {"parameters": 7, "first_seconds": 1.0}
    seconds = {"jaxnn": [0.01, 0.03, 0.02], "torch": [0.02, 0.02, 0.02]}
    result = race.row("net", "torch", seconds, facts)
    assert result["jaxnn_over_it"] == 1.0
    assert (result["low_ms"], result["median_ms"], result["high_ms"]) == (20, 20, 20)
    assert result.keys() == row("net", "torch").keys()


def test_a_case_is_compared_with_the_fastest_jax_peer_and_never_with_pytorch():
    overs = {"jaxnn": 1.0, "Flax NNX": 0.5, "Equinox": 0.7, "PyTorch": 2.0}
    rows = [row(cases.CNN, framework, over) for framework, over in overs.items()]
    assert [each["value"] for each in layers.checks_of(rows)] == [0.7, 2.0]
    assert not layers.checks_of([row(cases.CNN, "jaxnn"), row(cases.CNN, "PyTorch", 2.0)])


def test_a_process_answers_until_its_input_ends():
    with race.worker("jaxnn.layers") as (titles, ask):
        assert titles == list(layers.TITLES)
        answer = ask({"case": cases.LSTM, "steps": 1})
        assert answer["parameters"] == 4 * 128 * (32 + 128 + 1)
        assert answer["seconds"] > 0
        ask({"drop": cases.LSTM})


def test_a_process_that_dies_is_named():
    ended = pytest.raises(RuntimeError, match=r"torch\.no_such_module ended with exit code 1")
    with ended, race.worker("torch.no_such_module"):
        pass


@pytest.mark.parametrize("framework", ["jaxnn", "Flax NNX", "Equinox", "PyTorch"])
def test_every_framework_has_cases_of_the_benchmark(framework):
    if not race.FRAMEWORKS[framework].installed():
        pytest.skip(f"{framework} is not installed")
    with race.worker(race.FRAMEWORKS[framework].module("layers")) as (titles, _):
        assert set(titles) <= set(layers.TITLES)
        assert cases.GPT in titles


@pytest.mark.parametrize("title", [cases.CNN, cases.SMALL_RESNET, cases.LSTM, cases.GRU])
def test_operations_are_those_of_the_forward_pass(title):
    net, _, (x, _) = layers_in_jaxnn.TASKS[title]()
    counted = inspection.summary_rows(net, jax.numpy.asarray(x))[-1].macs
    first, others = cases.MULTIPLY_ADDS[title]
    # An LSTM takes its bias as one more feature.
    assert first + others <= counted <= 1.01 * (first + others)
    assert cases.flops(title) == 4 * first + 6 * others


@pytest.mark.parametrize(
    ("make", "shapes", "adds"),
    [
        (lambda: nets.capsnet().net, [(64, 28, 28, 1)], cases.CAPSNET),
        (nets.variational, [(128, 784), (128, 1, 20)], cases.VAE),
        (lambda: nn.gan.dcgan_generator(28), [(64, 64)], cases.DCGAN_GENERATOR),
        (nn.gan.dcgan_discriminator, [(64, 28, 28, 1)], cases.DCGAN_DISCRIMINATOR),
    ],
)
def test_operations_of_image_nets_are_those_of_the_forward_pass(make, shapes, adds):
    x = tuple(jax.ShapeDtypeStruct(shape, jax.numpy.float32) for shape in shapes)
    counted = inspection.summary_rows(make(), x if len(x) > 1 else x[0])[-1].macs
    assert sum(cases.MULTIPLY_ADDS.get(adds, adds)) == counted


def test_operations_of_the_other_families_are_those_of_the_forward_pass():
    rows = jax.ShapeDtypeStruct((128, 784), jax.numpy.float32)
    words, ends, _ = data.citations()
    for title, net, x in (
        (cases.RBF_NET, family_steps.rbf().net, rows),
        (cases.SPIKING, family_steps.spiking().net, rows),
        (cases.GCN, graph.gcn()[0], nn.graph.make_graph(words, *ends)),
    ):
        counted = inspection.summary_rows(net, x)[-1].macs
        first, others = cases.MULTIPLY_ADDS[title]
        # Distances are sums of squared differences, which the inspection does not count.
        assert counted == others + (0 if title == cases.RBF_NET else first)


@pytest.mark.parametrize("title", [cases.SOM, cases.GCN])
def test_families_step_in_every_dtype(title):
    network = networks.Network(title, 2)
    runs = {name: networks.losses(network, dtype) for name, dtype in backends.DTYPES.items()}
    networks.agree(network, runs)
    first, *_, last = runs["float32"](5)
    assert last < first


def test_a_net_with_a_step_of_its_own_takes_it_in_every_dtype():
    network = networks.Network(cases.VAE, 2)
    runs = {name: networks.losses(network, dtype) for name, dtype in backends.DTYPES.items()}
    networks.agree(network, runs)
    assert backends.flops(network) == cases.flops(cases.VAE)


def test_a_network_that_steps_otherwise_is_caught():
    network = networks.Network(cases.LSTM, 2)
    losses = networks.losses_by_hand(network, networks.CHECKED)
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
        names = {}
        exec(code.replace("int(sys.argv[1])", str(blocks)), names)
        return names["text"].count("\n")

    assert length(48) == length(2)

import importlib

import jax
import numpy as np
import pytest

import jaxnn as nn
from benchmarks import race, sequences
from benchmarks.__main__ import listing
from benchmarks.peers import cases, data
from benchmarks.peers.jaxnn import layers as layers_in_jaxnn
from benchmarks.peers.jaxnn import sequences as sequences_in_jaxnn
from tests.benchmarks.rows import row


def result(framework, over=1.0, title=cases.GPT, ms=4.0):
    return row(title, framework, over, ms, tokens_a_second=256e3)


TRAINING = [
    result(race.OURS, 1.0),
    result("Flax NNX", 0.5),
    result("Equinox", 0.6),
    result("PyTorch", 0.9),
    result("torch.compile", 1.2),
]
GENERATION = [
    result(race.OURS, 1.0, sequences.FIRST),
    result("PyTorch", 2.0, sequences.FIRST, 2.0),
    result(race.OURS, 1.0, sequences.SOME, 68.0),
    result("PyTorch", 0.5, sequences.SOME, 130.0),
]


def report():
    rows = TRAINING + GENERATION
    after = sequences.later(rows, sequences.SOME)
    return {
        "jax": "0",
        "machine": "none",
        "quick": False,
        "rows": rows,
        "absent": ["Equinox"],
        "after_the_first": after,
        "token_ms": {"early": 0.5, "late": 0.51},
        "checks": sequences.checks_of(rows, after),
    }


def test_it_is_listed():
    assert listing()["sequences"].startswith("How many tokens a second do sequence nets train on")


def test_checks_are_the_fastest_jax_peer_flax_and_pytorch():
    checks = {each["metric"]: (each["value"], each["threshold"]) for each in report()["checks"]}
    assert checks == {
        f"time over the fastest JAX peer's, {cases.GPT}": (0.6, 1.0),
        f"time over PyTorch's, {cases.GPT}": (1.2, 1.0),
        f"time over PyTorch's, {sequences.FIRST}": (2.0, 1.0),
        f"time over PyTorch's, {sequences.SOME}": (0.5, 1.0),
        "times as fast as Flax NNX, the GPT": (2.0, 1.3),
        f"time of a later token over PyTorch's, {sequences.SOME}": (0.5, 1.0),
    }
    assert sequences.checks_of([result(race.OURS, 1.0)], []) == []


def test_a_later_token_costs_what_all_took_less_the_first():
    ours, theirs = sequences.later(GENERATION, sequences.SOME)
    assert (ours["framework"], ours["ms"], ours["tokens_a_second"]) == (race.OURS, 0.5, 16e3)
    assert (theirs["framework"], theirs["ms"]) == ("PyTorch", 1.0)
    assert sequences.later(GENERATION, sequences.FIRST) == []
    assert sequences.later(TRAINING, cases.GPT) == []


def test_the_report_is_printed_and_drawn(tmp_path):
    printed = sequences.text(report())
    assert "Equinox is not installed: pip install -e '.[peers]'" in printed
    assert f"{'PyTorch':<24}{8000:>11}{1:>9.3f} for each token of a row after the first" in printed
    assert "an early token takes 0.500 ms, a late one 0.510 ms" in printed
    assert "MISSED  time over PyTorch's, GPT of 4 layers" in printed
    sequences.chart(report(), tmp_path / "sequences.png")
    assert (tmp_path / "sequences.png").read_bytes().startswith(b"\x89PNG")


def test_tokens_are_counted():
    for title, count in cases.TOKENS.items():
        x, _ = layers_in_jaxnn.TASKS[title.replace("12 layers", "4 layers")]().batch
        assert x.shape[0] * x.shape[1] == count
    assert sequences.tokens(sequences.SOME) == 8 * 129


def test_programs_compiled_meanwhile_are_counted():
    with sequences.compilations() as events:
        jax.jit(lambda x: x + 1)(np.ones(3))
    assert len(events) == 1
    jax.jit(lambda x: x + 2)(np.ones(3))
    assert len(events) == 1


def test_growth_is_measured_and_compiles_nothing(monkeypatch):
    monkeypatch.setattr(sequences, "SPANS", (1, 3, 5, 6))
    small = nn.serial(nn.embedding(65, 8), nn.lstm(8), nn.dense(65))
    monkeypatch.setattr(sequences_in_jaxnn, "model", lambda capacity: small)
    early, late, compiled = sequences.growth(2)
    assert np.isfinite([early, late]).all()
    assert compiled == 0


@pytest.mark.parametrize(
    "framework", ["jaxnn", "jaxnn by steps", "Flax NNX", "Equinox", "PyTorch", "torch.compile"]
)
def test_every_framework_has_cases_of_the_benchmark(framework):
    if not race.FRAMEWORKS[framework].installed():
        pytest.skip(f"{framework} is not installed")
    with race.worker(race.FRAMEWORKS[framework].module("sequences")) as (titles, _):
        assert set(cases.TOKENS) <= set(titles) <= set(sequences.TITLES)
        assert (sequences.FIRST in titles) == (framework in ("jaxnn", "PyTorch"))


def test_pytorch_generates_what_its_whole_net_finds_most_likely():
    torch = pytest.importorskip("torch")
    theirs = importlib.import_module("benchmarks.peers.torch.sequences")
    torch.manual_seed(0)
    net = theirs.Gpt(32, 2)
    prompt = torch.from_numpy(data.prompts()[:, :5])
    found = theirs.generate(net, prompt, 4)
    for i in range(4):
        before = torch.cat([prompt, found[:, :i]], 1)
        x = net.tokens(before) + net.positions[: before.shape[1]]
        assert (net.head(net.blocks(x))[:, -1].argmax(-1) == found[:, i]).all()

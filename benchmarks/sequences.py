"""How many tokens a second do sequence nets train on and generate, beside other frameworks?

A training step on one batch, as users of each framework write it (jaxnn's by `fit`, many steps in
one dispatch, and one by one too), and generation with a cache of keys and values, beside a loop in
PyTorch. Each framework runs in a process of its own and they take turns. What bounds each case and
what was tried stands in benchmarks/README.md.
"""

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

from benchmarks import chart as charts
from benchmarks import race, timing
from benchmarks import raced as reports
from benchmarks.backends import check, note, verdicts
from benchmarks.peers import sequence_sizes, sequences_in_jaxnn, sizes

FIRST, SOME, MANY = sequence_sizes.GENERATED
TITLES = *sequence_sizes.TOKENS, *sequence_sizes.GENERATED
QUICK = sizes.LSTM, FIRST, SOME
PYTORCH = "PyTorch", "torch.compile"
COMPILED = "/jax/core/compile/backend_compile_duration"
SPANS = (1, 129, 769, 897)  # tokens generated in a cache of one size: early ones, and late ones


def measure(quick: bool) -> dict[str, Any]:
    """The report: a row for each case and framework, what growth costs, checks against bars."""
    titles = QUICK if quick else TITLES
    raced = race.race("sequences", titles, rounds=3 if quick else 11, turn=0.05 if quick else 0.5)
    for row in raced["rows"]:
        row["tokens_a_second"] = 1e3 * tokens(row["case"]) / row["median_ms"]
    after = [each for title in titles[::-1] for each in later(raced["rows"], title)]
    early, late, compiled = growth(3 if quick else 7)
    return {
        "jax": jax.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        **raced,
        "after_the_first": after,
        "token_ms": {"early": early, "late": late},
        "checks": [
            *bars(raced["rows"], after),
            check("a late token's cost over an early one's, in one cache", late / early, 1.1),
            check("programs compiled while more is generated", compiled, 0),
        ],
    }


def tokens(title: str) -> int:
    """Tokens of one run: of the batch of a training step, or those generated."""
    if title in sequence_sizes.TOKENS:
        return sequence_sizes.TOKENS[title]
    return sequence_sizes.ROWS * sequence_sizes.GENERATED[title]


def later(rows: list[dict], title: str) -> list[dict]:
    """What a token after the first costs in each framework, by what all took less the first."""
    count = sequence_sizes.GENERATED.get(title, 1)
    if count == 1:
        return []
    took = {(row["case"], row["framework"]): row["median_ms"] for row in rows}
    found = []
    for framework in race.FRAMEWORKS:
        if (title, framework) in took:
            ms = (took[title, framework] - took[FIRST, framework]) / (count - 1)
            rate = 1e3 * sequence_sizes.ROWS / ms
            found.append({"case": title, "framework": framework, "ms": ms, "tokens_a_second": rate})
    return found


def growth(rounds: int) -> tuple[float, float, int]:
    """Milliseconds of an early and a late token in one cache, and programs compiled meanwhile."""
    note("what does a token cost, early and late?")
    generate = sequences_in_jaxnn.generating(sequence_sizes.PROMPT + SPANS[-1] - 1)
    runs: dict[int, Callable] = {count: lambda count=count: generate(count) for count in SPANS}
    for run in runs.values():
        jax.block_until_ready(run())
    with compilations() as events:
        taken = timing.interleaved(runs, rounds)

    def each(few: int, more: int) -> float:
        pairs = zip(taken[few], taken[more], strict=True)
        return timing.quartiles([1e3 * (b - a) / (more - few) for a, b in pairs])[1]

    return each(*SPANS[:2]), each(*SPANS[2:]), len(events)


@contextmanager
def compilations() -> Iterator[list[str]]:
    """The programs that are compiled meanwhile."""
    events: list[str] = []

    def listen(event: str, duration_secs: float, **_: Any) -> None:
        if event == COMPILED:
            events.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield events
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def bars(rows: list[dict], after: list[dict]) -> list[dict]:
    """jaxnn against the fastest JAX peer, the GPT's factor over Flax NNX, PyTorch as the mark."""
    over = {(row["case"], row["framework"]): row["jaxnn_over_it"] for row in rows}
    checks = reports.over_the_fastest(rows)
    checks += reports.over_the_fastest(rows, PYTORCH, "PyTorch")
    if (sizes.GPT, "Flax NNX") in over:
        faster = 1 / over[sizes.GPT, "Flax NNX"]
        checks.append(check("times as fast as Flax NNX, the GPT", faster, 1.3, True))
    took = {(each["case"], each["framework"]): each["ms"] for each in after}
    for title in dict.fromkeys(each["case"] for each in after):
        if (title, "PyTorch") in took:
            ratio = took[title, race.OURS] / took[title, "PyTorch"]
            checks.append(check(f"time of a later token over PyTorch's, {title}", ratio, 1.0))
    return checks


def text(report: dict[str, Any]) -> str:
    """The report in lines."""
    lines = [
        f"A training step (forward, backward, SGD with momentum), or generation of the most likely "
        f"tokens (jax {report['jax']}, {report['machine']}); each framework in a process of its "
        "own, rounds interleaved."
    ]
    lines += reports.absent(report)
    more = {"tokens/s": lambda row: f"{row['tokens_a_second']:.0f}"}
    for title in reports.titles(report["rows"]):
        lines += reports.table(report, title, more=more)
        for each in reports.rows_of(report["after_the_first"], title):
            lines.append(
                f"  {each['framework']:<24}{each['tokens_a_second']:>11.0f}{each['ms']:>9.3f}"
                " after the first, a token of each row"
            )
    early, late = report["token_ms"]["early"], report["token_ms"]["late"]
    lines += ["", f"In one cache an early token takes {early:.3f} ms, a late one {late:.3f} ms."]
    return "\n".join([*lines, "", *verdicts(report)])


def chart(report: dict[str, Any], path: Path) -> None:
    """One panel a case."""
    panels = [reports.panel(report, each) for each in reports.titles(report["rows"])]
    charts.draw(path, "Sequences: a training step, or tokens generated", "ms", panels)

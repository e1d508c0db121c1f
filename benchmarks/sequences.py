"""How many tokens a second do sequence nets train on and generate, beside other frameworks?

A training step on one batch, as users of each framework write it (in jaxnn by `fit`, many steps in
one dispatch, and also step by step), and generation with a cache of keys and values, beside a loop
in PyTorch. Each framework runs in its own process, and they take turns. docs/performance.md says
what limits each case and what was tried.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

from benchmarks import chart as charts
from benchmarks import checks, race, timing
from benchmarks import race_report as reports
from benchmarks.peers import cases
from benchmarks.peers.jaxnn import sequences as ours

FIRST, SOME, MANY = cases.GENERATED
TITLES = *cases.TOKENS, *cases.GENERATED
QUICK = cases.LSTM, FIRST, SOME
PYTORCH = "PyTorch", "torch.compile"
COMPILED = "/jax/core/compile/backend_compile_duration"
SPANS = (1, 129, 769, 897)  # tokens generated in one cache; differences give early and late costs


def measure(quick: bool) -> dict[str, Any]:
    """The report: a row for each case and framework, the cost of later tokens, and the checks."""
    titles = QUICK if quick else TITLES
    results = race.race("sequences", titles, rounds=3 if quick else 11, turn=0.05 if quick else 0.5)
    rows = results["rows"]
    for row in rows:
        row["tokens_a_second"] = 1e3 * tokens(row["case"]) / row["median_ms"]
    after = [each for title in titles[::-1] for each in later(rows, title)]
    early, late, programs = growth(3 if quick else 7)
    return {
        **timing.environment(),
        **results,
        "after_the_first": after,
        "token_ms": {"early": early, "late": late},
        "checks": [
            *checks_of(rows, after),
            checks.check(
                "a late token's cost over an early one's, in one cache", late / early, 1.1
            ),
            checks.check("programs compiled while more is generated", programs, 0),
        ],
    }


def tokens(title: str) -> int:
    """Tokens of one run: those of a training batch, or those generated."""
    if title in cases.TOKENS:
        return cases.TOKENS[title]
    return cases.PROMPT_ROWS * cases.GENERATED[title]


def later(rows: list[dict], title: str) -> list[dict]:
    """The cost of a token after the first in each framework: the time of all less the first's."""
    count = cases.GENERATED.get(title, 1)
    if count == 1:
        return []
    median = {(row["case"], row["framework"]): row["median_ms"] for row in rows}
    costs = []
    for framework in race.FRAMEWORKS:
        if (title, framework) in median:
            ms = (median[title, framework] - median[FIRST, framework]) / (count - 1)
            rate = 1e3 * cases.PROMPT_ROWS / ms
            costs.append({"case": title, "framework": framework, "ms": ms, "tokens_a_second": rate})
    return costs


def growth(rounds: int) -> tuple[float, float, int]:
    """Milliseconds of an early and a late token in one cache; programs compiled meanwhile."""
    print("generation: the cost of early and of late tokens", file=sys.stderr)
    generate = ours.generator(cases.PROMPT_LENGTH + SPANS[-1] - 1)
    runs: dict[int, Callable] = {count: lambda count=count: generate(count) for count in SPANS}
    for run in runs.values():
        jax.block_until_ready(run())
    with compilations() as events:
        seconds = timing.interleaved(runs, rounds)

    def token_ms(few: int, more: int) -> float:
        pairs = zip(seconds[few], seconds[more], strict=True)
        return timing.quartiles([1e3 * (b - a) / (more - few) for a, b in pairs])[1]

    return token_ms(*SPANS[:2]), token_ms(*SPANS[2:]), len(events)


@contextmanager
def compilations() -> Iterator[list[str]]:
    """The list of programs that are compiled inside the context."""
    events: list[str] = []

    def listen(event: str, duration_secs: float, **_: Any) -> None:
        if event == COMPILED:
            events.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield events
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def checks_of(rows: list[dict], after: list[dict]) -> list[dict]:
    """jaxnn beside the fastest JAX peer and PyTorch, and its factor over Flax NNX for the GPT."""
    over = {(row["case"], row["framework"]): row["jaxnn_over_it"] for row in rows}
    found = reports.over_the_fastest(rows)
    found += reports.over_the_fastest(rows, PYTORCH, "PyTorch")
    if (cases.GPT, "Flax NNX") in over:
        faster = 1 / over[cases.GPT, "Flax NNX"]
        found.append(checks.check("times as fast as Flax NNX, the GPT", faster, 1.3, True))
    ms = {(each["case"], each["framework"]): each["ms"] for each in after}
    for title in dict.fromkeys(each["case"] for each in after):
        if (title, "PyTorch") in ms:
            ratio = ms[title, race.OURS] / ms[title, "PyTorch"]
            found.append(checks.check(f"time of a later token over PyTorch's, {title}", ratio, 1.0))
    return found


def text(report: dict[str, Any]) -> str:
    """The report in lines."""
    lines = [
        f"A training step (forward, backward, SGD with momentum), or generation of the most likely "
        f"tokens (jax {report['jax']}, {report['machine']}); each framework in its own process, "
        "rounds interleaved.",
        *reports.absent(report),
    ]
    columns = {"tokens/s": lambda row: f"{row['tokens_a_second']:.0f}"}
    for title in reports.titles(report["rows"]):
        lines += reports.table(report, title, columns=columns)
        for each in reports.rows_of(report["after_the_first"], title):
            lines.append(
                f"  {each['framework']:<24}{each['tokens_a_second']:>11.0f}{each['ms']:>9.3f}"
                " for each token of a row after the first"
            )
    early, late = report["token_ms"]["early"], report["token_ms"]["late"]
    lines += ["", f"In one cache an early token takes {early:.3f} ms, a late one {late:.3f} ms."]
    return "\n".join([*lines, "", *checks.lines(report)])


def chart(report: dict[str, Any], path: Path) -> None:
    """One panel for each case."""
    charts.draw(
        path, "Sequences: a training step, or tokens generated", "ms", reports.panels(report)
    )

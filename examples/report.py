"""The output of an example: result.json, history.jsonl, figures, and a few lines of text."""

import json
from pathlib import Path
from typing import Any

import jaxnn as nn
from examples import Check, Options, Result


def flat(
    name: str, result: Result, options: Options, device: str, seconds: float
) -> dict[str, Any]:
    """The result as one flat record; if it has several checks, "checks" lists them all."""
    record: dict[str, Any] = {
        "example": name,
        **_check(result.checks[0]),
        "baseline": result.baseline,
        "baseline_value": float(result.baseline_value),
        "seconds": seconds,
        "steps": result.steps,
        "parameters": result.parameters,
        "device": device,
        "seed": options.seed,
        "quick": options.quick,
    }
    taken = [metric for metric in result.metrics if metric in record]
    if taken:
        raise ValueError(f"{name} has a metric named {taken[0]!r}, which is a field: rename it.")
    record |= {metric: float(value) for metric, value in result.metrics.items()}
    if len(result.checks) > 1:
        record["checks"] = [_check(check) for check in result.checks]
    return record


def write(record: dict[str, Any], result: Result, folder: Path) -> None:
    """Write the record, the history and the figures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    nn.training.write_history(folder / "history.jsonl", result.history)
    for title, figure in result.figures.items():
        figure.savefig(folder / f"{title}.png", dpi=120)


def text(record: dict[str, Any], result: Result, folder: Path) -> str:
    """The record as text: each check and whether it was reached, then all other measurements."""
    note = " (quick: its thresholds are not judged)" if record["quick"] else ""
    lines = [record["example"] + note]
    others = ("seconds", "steps", "parameters", "device", "seed", *result.metrics)
    width = 2 + max(len(key) for key in (*others, *(check.metric for check in result.checks)))
    for check in result.checks:
        word = "at least" if check.higher_is_better else "at most"
        verdict = "" if record["quick"] else ": reached" if check.reached else ": MISSED"
        value = f"{check.value:.4g}, {word} {check.threshold:g}{verdict}"
        lines.append(f"  {check.metric:<{width}}{value}")
    lines.append(f"  {'baseline':<{width}}{record['baseline_value']:.4g} ({record['baseline']})")
    for key in others:
        value = record[key]
        lines.append(f"  {key:<{width}}{f'{value:.4g}' if isinstance(value, float) else value}")
    files = ["result.json", "history.jsonl", *(f"{title}.png" for title in result.figures)]
    return "\n".join([*lines, f"  {'files':<{width}}{folder}: {', '.join(files)}"])


def _check(check: Check) -> dict[str, Any]:
    return check._asdict() | {"value": float(check.value)}

"""What an example leaves: result.json, history.jsonl and pictures, and a few lines of text."""

import json
from pathlib import Path
from typing import Any

import jaxnn as nn
from examples import Check, Options, Result


def flat(
    name: str, result: Result, options: Options, device: str, seconds: float
) -> dict[str, Any]:
    """The result as one flat record; several bars are listed under "checks" as well."""
    record: dict[str, Any] = {
        "example": name,
        **_bar(result.checks[0]),
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
        raise ValueError(f"{name} has a metric named {taken[0]!r}, as a field is: rename it.")
    record |= {metric: float(value) for metric, value in result.metrics.items()}
    if len(result.checks) > 1:
        record["checks"] = [_bar(check) for check in result.checks]
    return record


def write(record: dict[str, Any], result: Result, folder: Path) -> None:
    """Writes the record, the history and the pictures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    nn.training.write_history(folder / "history.jsonl", result.history)
    for title, figure in result.figures.items():
        figure.savefig(folder / f"{title}.png", dpi=120)


def text(record: dict[str, Any], result: Result, folder: Path) -> str:
    """The record for a reader: each bar and whether it was reached, then what else is known."""
    lines = [f"{record['example']}{' (quick: its bars are not judged)' if record['quick'] else ''}"]
    known = ("seconds", "steps", "parameters", "device", "seed", *result.metrics)
    wide = 2 + max(len(key) for key in (*known, *(check.metric for check in result.checks)))
    for check in result.checks:
        word = "at least" if check.higher_is_better else "at most"
        verdict = "" if record["quick"] else ": reached" if check.reached else ": MISSED"
        lines.append(
            f"  {check.metric:<{wide}}{check.value:.4g}, {word} {check.threshold:g}{verdict}"
        )
    lines.append(f"  {'beside it':<{wide}}{record['baseline_value']:.4g} ({record['baseline']})")
    for key in known:
        value = record[key]
        lines.append(f"  {key:<{wide}}{f'{value:.4g}' if isinstance(value, float) else value}")
    files = ["result.json", "history.jsonl", *(f"{title}.png" for title in result.figures)]
    return "\n".join([*lines, f"  {'in':<{wide}}{folder}: {', '.join(files)}"])


def _bar(check: Check) -> dict[str, Any]:
    return check._asdict() | {"value": float(check.value)}

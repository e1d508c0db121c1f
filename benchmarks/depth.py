"""Does compile time grow with depth? Transformers of 2 and of 48 blocks, by `repeat`.

Seconds to trace and to compile one training step, each in a fresh process so that nothing is
cached, with interleaved rounds.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import chart as charts
from benchmarks import checks, timing

SHALLOW, DEEP, THRESHOLD = 2, 48, 1.3
QUARTILES = ("low", "median", "high")
PROGRAM = """
import sys, time
import jax, optax
import jaxnn as nn
depth = int(sys.argv[1])
attention = nn.serial(nn.layer_norm(), nn.attention(4, causal=True))
dense = nn.serial(nn.layer_norm(), nn.dense(512), jax.nn.gelu, nn.dense(128))
block = nn.serial(nn.residual(attention), nn.residual(dense))
net = nn.serial(nn.embedding(65, 128), nn.repeat(block, depth), nn.layer_norm(), nn.dense(65))
x = jax.numpy.zeros((8, 128), int)
loss = nn.training.supervised(net, optax.softmax_cross_entropy_with_integer_labels)
step = nn.training.step(loss, optax.sgd(1e-3, 0.9))
start = lambda: nn.training.init_train(net, optax.sgd(1e-3, 0.9), jax.random.key(0), x)
train = jax.eval_shape(start)
begin = time.perf_counter()
lowered = step.lower(train, (x, x))
traced = time.perf_counter()
lowered.compile()
print(traced - begin, time.perf_counter() - traced)
"""


def seconds(blocks: int) -> tuple[float, float]:
    """Seconds to trace and to compile the step of a net with so many blocks, in a new process."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(blocks)],
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    trace, compilation = map(float, done.stdout.split())
    return trace, compilation


def measure(quick: bool) -> dict[str, Any]:
    """The report: a row for each depth, and the check of their ratio."""
    taken: dict[int, list[tuple[float, float]]] = {SHALLOW: [], DEEP: []}
    for _ in range(2 if quick else 7):
        for blocks in taken:
            taken[blocks].append(seconds(blocks))
    total = {blocks: [sum(pair) for pair in pairs] for blocks, pairs in taken.items()}
    rows = []
    for blocks, pairs in taken.items():
        low, median, high = timing.quartiles(total[blocks])
        trace = timing.quartiles([pair[0] for pair in pairs])[1]
        rows.append({"blocks": blocks, "low": low, "median": median, "high": high, "trace": trace})
    over = timing.ratio(total[DEEP], total[SHALLOW])
    metric = f"compile time of {DEEP} blocks over that of {SHALLOW}"
    return {
        **timing.environment(),
        "rows": rows,
        "checks": [checks.check(metric, over, THRESHOLD)],
    }


def text(report: dict[str, Any]) -> str:
    """The report in lines."""
    lines = [
        f"One training step of a transformer by `repeat` (jax {report['jax']}, "
        f"{report['machine']}): seconds to trace and compile it.",
        f"  {'blocks':>6}{'seconds':>9}{'[quartiles]':>16}{'of it tracing':>15}",
    ]
    for row in report["rows"]:
        spread = f"[{row['low']:.2f}, {row['high']:.2f}]"
        lines.append(f"  {row['blocks']:>6}{row['median']:>9.2f}{spread:>16}{row['trace']:>15.2f}")
    return "\n".join([*lines, "", *checks.lines(report)])


def chart(report: dict[str, Any], path: Path) -> None:
    """One bar for each depth."""
    bars = [
        charts.Bar(f"{row['blocks']} blocks", "trace and compile", *(row[q] for q in QUARTILES))
        for row in report["rows"]
    ]
    panel = charts.Panel("a training step of a transformer, by repeat", bars)
    charts.draw(path, "Compile time over depth", "seconds", [panel])

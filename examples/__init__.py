"""One application a file, on real data: `python -m examples` lists them.

An example is a module of this folder with a docstring, whose first line is its line in the list,
and two functions, or three:

    plan(options) -> (step, train, batch)   its train step, where it starts, and a batch for it:
                                            arrays or `jax.ShapeDtypeStruct`s, rows first, of a
                                            multiple of 8 rows
    run(options) -> Result                  trains with that step, measures, draws; writes nothing
    flags(parser) -> None                   adds the flags of its own to the command line, whose
                                            values arrive in `options.own`

`plan` lets the command line compile the step for an accelerator that is not there, and the tests
export it for every platform.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Options(NamedTuple):
    """What the command line says to an example.

    quick: few steps, to see that it works; no bar is judged.
    seed: moves initialisation, order and augmentation, never the split of the data.
    folder: where the results will be, for checkpoints of long runs.
    own: the values of the example's own flags.
    """

    quick: bool = False
    seed: int = 0
    folder: Path = Path("runs")
    own: argparse.Namespace = argparse.Namespace()


class Check(NamedTuple):
    """A measured value and the bar that it has to reach."""

    metric: str
    value: float
    threshold: float
    higher_is_better: bool = True

    @property
    def reached(self) -> bool:
        """Whether the value is at the bar or on its better side; NaN is on neither."""
        return (
            self.value >= self.threshold if self.higher_is_better else self.value <= self.threshold
        )


class Result(NamedTuple):
    """What an example found.

    checks: one for each bar; the first is what the example is about.
    baseline, baseline_value: what ran beside it, and that one's value of the first metric.
    steps: update steps of one training run.
    parameters: numbers that were learned.
    metrics: every further measurement by name.
    history: rows of `jaxnn.training.fit`.
    figures: by file name, without ".png".
    """

    checks: tuple[Check, ...]
    baseline: str
    baseline_value: float
    steps: int
    parameters: int
    metrics: dict[str, float]
    history: list[dict[str, float]]
    figures: "dict[str, Figure]"

"""How networks train: the jitted update step, the loop around it, and what it takes."""

from jaxnn.arguments import check_public
from jaxnn.training.evaluation import evaluate, measure, predict
from jaxnn.training.history import write_history
from jaxnn.training.loop import Fit, fit
from jaxnn.training.planning import Plan, available, compile_for, report
from jaxnn.training.step import Train, start, step, supervised

__all__ = [
    "Fit",
    "Plan",
    "Train",
    "available",
    "compile_for",
    "evaluate",
    "fit",
    "measure",
    "predict",
    "report",
    "start",
    "step",
    "supervised",
    "write_history",
]

check_public(globals(), __all__)

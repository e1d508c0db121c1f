"""How networks train: the jitted update step, the loop around it, and what it takes."""

from jaxnn.arguments import check_public
from jaxnn.training.averaging import average, averaged
from jaxnn.training.evaluation import evaluate, measure, predict
from jaxnn.training.exactness import gradient_errors
from jaxnn.training.history import write_history
from jaxnn.training.loop import FitResult, fit
from jaxnn.training.planning import CompiledPlan, available, compile_for, report
from jaxnn.training.precision import loss_scaled
from jaxnn.training.step import TrainState, init_train, step, supervised
from jaxnn.training.sweep import Sweep, runs, sweep

__all__ = [
    "FitResult",
    "CompiledPlan",
    "Sweep",
    "TrainState",
    "available",
    "average",
    "averaged",
    "compile_for",
    "evaluate",
    "fit",
    "gradient_errors",
    "loss_scaled",
    "measure",
    "predict",
    "report",
    "runs",
    "init_train",
    "step",
    "supervised",
    "sweep",
    "write_history",
]

check_public(globals(), __all__)

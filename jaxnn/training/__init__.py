"""How networks train: the jitted update step, the loop around it, and what it takes."""

from jaxnn.arguments import check_public
from jaxnn.training.evaluation import evaluate, measure, predict
from jaxnn.training.history import write_history
from jaxnn.training.loop import FitResult, fit
from jaxnn.training.planning import CompiledPlan, available, compile_for, report
from jaxnn.training.step import TrainState, init_train, step, supervised
from jaxnn.training.watching import log_json, log_tensorboard, log_trackio, log_wandb

__all__ = [
    "FitResult",
    "CompiledPlan",
    "TrainState",
    "available",
    "compile_for",
    "evaluate",
    "fit",
    "log_json",
    "log_tensorboard",
    "log_trackio",
    "log_wandb",
    "measure",
    "predict",
    "report",
    "init_train",
    "step",
    "supervised",
    "write_history",
]

check_public(globals(), __all__)

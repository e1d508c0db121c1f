"""How networks train: the jitted update step, the loop around it, and what it takes."""

from jaxnn.arguments import check_public
from jaxnn.training.data import Loader, loader, record_source, write_records
from jaxnn.training.distributed import Processes, initialize_distributed
from jaxnn.training.evaluation import evaluate, measure, predict
from jaxnn.training.history import write_history
from jaxnn.training.loop import FitResult, fit
from jaxnn.training.planning import CompiledPlan, available, compile_for, report
from jaxnn.training.step import TrainState, init_train, step, supervised

__all__ = [
    "FitResult",
    "CompiledPlan",
    "Loader",
    "Processes",
    "TrainState",
    "available",
    "compile_for",
    "evaluate",
    "fit",
    "loader",
    "measure",
    "predict",
    "record_source",
    "report",
    "init_train",
    "initialize_distributed",
    "step",
    "supervised",
    "write_history",
    "write_records",
]

check_public(globals(), __all__)

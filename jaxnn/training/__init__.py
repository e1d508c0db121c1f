"""How networks train: the jitted update step, the loop around it, and what it takes."""

from jaxnn.arguments import check_public
from jaxnn.training.averaging import average, averaged
from jaxnn.training.data import Loader, loader
from jaxnn.training.distributed import Processes, initialize_distributed
from jaxnn.training.evaluation import evaluate, measure, predict
from jaxnn.training.exactness import gradient_errors
from jaxnn.training.history import write_history
from jaxnn.training.loop import FitResult, fit
from jaxnn.training.planning.compiled import CompiledPlan, compile_for
from jaxnn.training.planning.compilers import available
from jaxnn.training.planning.plans import StepPlan, plan
from jaxnn.training.planning.report import report
from jaxnn.training.planning.search import search_plans
from jaxnn.training.precision import loss_scaled
from jaxnn.training.records import record_source, write_records
from jaxnn.training.sharding import (
    TENSOR_RULES,
    Sharding,
    data_parallel,
    expert_parallel,
    fully_sharded,
    sequence_parallel,
    shardings,
    tensor_parallel,
)
from jaxnn.training.step import TrainState, init_train, step, supervised
from jaxnn.training.sweep import Sweep, runs, sweep
from jaxnn.training.watching import log_json, log_tensorboard, log_trackio, log_wandb

__all__ = [
    "FitResult",
    "CompiledPlan",
    "Loader",
    "Processes",
    "Sweep",
    "Sharding",
    "StepPlan",
    "TENSOR_RULES",
    "TrainState",
    "available",
    "average",
    "averaged",
    "compile_for",
    "data_parallel",
    "evaluate",
    "expert_parallel",
    "fit",
    "fully_sharded",
    "gradient_errors",
    "init_train",
    "initialize_distributed",
    "loader",
    "log_json",
    "log_tensorboard",
    "log_trackio",
    "log_wandb",
    "loss_scaled",
    "measure",
    "plan",
    "predict",
    "record_source",
    "report",
    "runs",
    "search_plans",
    "sequence_parallel",
    "shardings",
    "step",
    "supervised",
    "sweep",
    "tensor_parallel",
    "write_history",
    "write_records",
]

check_public(globals(), __all__)

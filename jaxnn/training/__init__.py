"""How networks train: the jitted update step, the loop around it, and what it takes."""

from jaxnn.arguments import check_public
from jaxnn.training.evaluation import evaluate, measure, predict
from jaxnn.training.history import write_history
from jaxnn.training.loop import FitResult, fit
from jaxnn.training.planning.compiled import CompiledPlan, compile_for
from jaxnn.training.planning.compilers import available
from jaxnn.training.planning.plans import StepPlan, plan
from jaxnn.training.planning.report import report
from jaxnn.training.planning.search import search_plans
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

__all__ = [
    "FitResult",
    "CompiledPlan",
    "Sharding",
    "StepPlan",
    "TENSOR_RULES",
    "TrainState",
    "available",
    "compile_for",
    "data_parallel",
    "evaluate",
    "expert_parallel",
    "fit",
    "fully_sharded",
    "init_train",
    "measure",
    "plan",
    "predict",
    "report",
    "search_plans",
    "sequence_parallel",
    "shardings",
    "step",
    "supervised",
    "tensor_parallel",
    "write_history",
]

check_public(globals(), __all__)

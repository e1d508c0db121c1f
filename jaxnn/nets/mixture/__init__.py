"""Mixtures of experts and modular networks."""

from jaxnn.arguments import check_public
from jaxnn.nets.mixture.dense import (
    Mixture,
    Tasks,
    expert_usage,
    mixture_loss,
    mixture_of_experts,
    multi_task,
    multi_task_loss,
)
from jaxnn.nets.mixture.expert_parallel import expert_parallel
from jaxnn.nets.mixture.modular import (
    average,
    feature_parts,
    freeze_modules,
    join_features,
    modular,
    module_shardings,
    swap_module,
    take_module,
    vmap_modules,
)
from jaxnn.nets.mixture.routing import Routing, routed, routings
from jaxnn.nets.mixture.sparse import sparse_mixture

__all__ = [
    "Mixture",
    "Routing",
    "Tasks",
    "average",
    "expert_parallel",
    "expert_usage",
    "feature_parts",
    "freeze_modules",
    "join_features",
    "mixture_loss",
    "mixture_of_experts",
    "modular",
    "module_shardings",
    "multi_task",
    "multi_task_loss",
    "routed",
    "routings",
    "sparse_mixture",
    "swap_module",
    "take_module",
    "vmap_modules",
]

check_public(globals(), __all__)

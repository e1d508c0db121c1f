"""Plans of train steps for accelerators that are not there."""
from jaxnn.training.planning.compiled import CompiledPlan, available, compile_for, report

"""Programs compiled for a function of the user's, kept for as long as that function lives.

A module-level `jax.jit` with the function as a static argument would keep it, and all that its
programs hold, until the process ends.
"""

from collections.abc import Callable
from weakref import WeakKeyDictionary, ref

_PROGRAMS: WeakKeyDictionary[Callable, dict[Callable, Callable]] = WeakKeyDictionary()


def compiled_for(function: Callable, make: Callable[[Callable], Callable]) -> Callable:
    """`make(function)`, made once for each function and forgotten with it.

    Args:
      function: a step, a loss or the like, which the program calls.
      make: a function at the top of a module that returns a jitted one.
    """
    try:
        made = _PROGRAMS.setdefault(function, {})
    except TypeError:  # it can be neither hashed nor referenced weakly, so nothing is kept
        return make(function)
    if make not in made:
        alive = ref(function)

        def call(*args, **kwargs):
            target = alive()
            if target is None:
                raise ReferenceError("the function that this program was made for is gone.")
            return target(*args, **kwargs)

        made[make] = make(call)
    return made[make]

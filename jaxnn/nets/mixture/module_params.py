"""One module among others: take it, swap it, freeze it, or place it on a device of its own.

The params of modules and of experts have a leading axis, one index for each module.
"""

from fnmatch import fnmatchcase

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxnn import core, tree
from jaxnn.core import Tree

MODULES = ("modules/*", "experts/*", "*/modules/*", "*/experts/*")


def take_module(modules: Tree, index: int) -> Tree:
    """The params or the state of one module, as in `take_module(params["modules"], 2)`.

    Args:
      modules: a pytree of arrays [n, ...], one index for each module.
      index: the index of the module, 0 to n - 1.

    Returns:
      The pytree of that module, with leaves [...] of the same dtypes.

    Raises:
      TypeError: if a leaf is not an array.
      ValueError: if there is no module of that index.

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> params, _ = nn.ensemble(nn.dense(2), 5).init(jax.random.key(0), jnp.ones((4, 3)))
    >>> nn.mixture.take_module(params, 4)["w"].shape
    (3, 2)
    """
    _check_index(modules, index, "take_module")
    return jax.tree.map(lambda leaf: leaf[index], modules)


def swap_module(modules: Tree, index: int, module: Tree) -> Tree:
    """The params of modules, with those of another module in the place of module `index`.

    Args:
      modules: a pytree of arrays [n, ...], one index for each module.
      index: the index of the module to replace, 0 to n - 1.
      module: the pytree of the new module, with leaves [...] of the same shapes and dtypes.

    Returns:
      A new pytree like `modules`.

    Raises:
      TypeError: if a leaf is not an array.
      ValueError: if there is no module of that index, or if the new module is of another kind.

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> params, _ = nn.ensemble(nn.dense(2), 5).init(jax.random.key(0), jnp.ones((4, 3)))
    >>> params = nn.mixture.swap_module(params, 0, nn.mixture.take_module(params, 4))
    >>> bool((params["w"][0] == params["w"][4]).all())
    True
    """
    _check_index(modules, index, "swap_module")
    _check_arrays(module, "swap_module")
    current = jax.eval_shape(lambda: take_module(modules, index))
    core.check_same_spec(
        current, core.spec(module), "swap_module: the module must be of the same kind as the others"
    )
    return jax.tree.map(lambda leaf, new: leaf.at[index].set(new), modules, module)


def freeze_modules(
    optimizer: optax.GradientTransformation,
    *indices: int,
    within: tuple[str, ...] = MODULES,
    axis: int = 0,
) -> optax.GradientTransformationExtraArgs:
    """An optimizer that leaves some modules unchanged; `jaxnn.freeze` does so for whole paths.

    Args:
      optimizer: any optax optimizer.
      *indices: the indices of the modules to leave unchanged.
      within: patterns of paths, as in `labels`, whose leaves have an axis of modules.
      axis: the axis of modules: 0, or 1 in a net under `repeat`.

    Returns:
      An optimizer. Frozen modules have zero updates, and their gradients count in no moment and no
      norm. Its update raises ValueError if there is no module of an index, or if no path matches.

    Raises:
      ValueError: if there are no indices.

    >>> import jaxnn as nn, optax
    >>> optimizer = nn.mixture.freeze_modules(optax.adam(1e-3), 0, 2)
    """
    if not indices:
        raise ValueError("freeze_modules takes the indices of modules, got none.")

    def zero_frozen(updates, params):
        def one(leaf, of_modules):
            if not of_modules:
                return leaf
            for index in indices:
                _check_index(jnp.moveaxis(leaf, axis, 0), index, "freeze_modules")
            return jnp.moveaxis(jnp.moveaxis(leaf, axis, 0).at[jnp.array(indices)].set(0), 0, axis)

        return jax.tree.map(one, updates, _of_modules(updates, within, "freeze_modules"))

    # Before the optimizer, so that no moment or gradient norm counts them; after, for weight decay.
    return optax.chain(
        optax.stateless(zero_frozen),
        optax.with_extra_args_support(optimizer),
        optax.stateless(zero_frozen),
    )


def module_shardings(
    of: Tree, mesh: Mesh, axis_name: str, *, within: tuple[str, ...] = MODULES, axis: int = 0
) -> Tree:
    """The sharding of each leaf when modules are spread over devices and all else is replicated.

    With as many devices as modules, each device holds one module. The result is for
    `jax.device_put`. A whole `training.TrainState` works as well, since the moments of an optimizer
    have the paths of their params.

    Args:
      of: params, or a pytree with params in it; arrays or `jax.ShapeDtypeStruct`s.
      mesh: a mesh made by `jax.make_mesh`, with `axis_types` of `jax.sharding.AxisType.Auto`.
      axis_name: the axis of the mesh over which the modules are spread.
      within: patterns of paths, as in `labels`, whose leaves have an axis of modules.
      axis: the axis of modules: 0, or 1 in a net under `repeat`.

    Returns:
      A pytree like `of`, of `jax.sharding.NamedSharding`.

    Raises:
      ValueError: if the mesh does not have the axis, if no path matches, or if the number of
        modules is not a multiple of the number of devices.

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> mesh = jax.make_mesh((1,), ("modules",), axis_types=(jax.sharding.AxisType.Auto,))
    >>> params, _ = nn.mixture.modular(nn.dense(2), 4).init(jax.random.key(0), jnp.ones((4, 3)))
    >>> nn.mixture.module_shardings(params, mesh, "modules")["modules"]["w"].spec
    P('modules',)
    """
    if axis_name not in mesh.shape:
        raise ValueError(
            f"module_shardings: the mesh has the axes {list(mesh.shape)}, but no {axis_name!r}."
        )
    devices = mesh.shape[axis_name]

    def sharding(leaf, of_modules):
        if not of_modules:
            return NamedSharding(mesh, PartitionSpec())
        if leaf.ndim <= axis or leaf.shape[axis] % devices:
            raise ValueError(
                f"module_shardings: the modules of {core.describe(leaf)} cannot be split evenly "
                f"over the {devices} devices of {axis_name!r}."
            )
        return NamedSharding(mesh, PartitionSpec(*[None] * axis, axis_name))

    return jax.tree.map(sharding, of, _of_modules(of, within, "module_shardings"))


def _of_modules(of: Tree, within: tuple[str, ...], title: str) -> Tree:
    """Whether each leaf has an axis of modules; raises ValueError if none has."""

    def matches(keys, leaf):
        return any(fnmatchcase(tree.path_of(keys), pattern) for pattern in within)

    matched = jax.tree_util.tree_map_with_path(matches, of)
    if not any(jax.tree.leaves(matched)):
        paths = [tree.path_of(keys) for keys, _ in jax.tree_util.tree_leaves_with_path(of)]
        raise ValueError(f"{title}: none of {', '.join(paths)} matches {within}: give `within`.")
    return matched


def _check_arrays(modules: Tree, title: str) -> None:
    for leaf in jax.tree.leaves(modules):
        if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
            raise TypeError(
                f"{title} takes arrays whose first axis is that of modules, params['modules'], "
                f"and those of one module, got {core.describe(leaf)}."
            )


def _check_index(modules: Tree, index: int, title: str) -> None:
    """Raises ValueError for an index that JAX would clamp or count from the end."""
    _check_arrays(modules, title)
    count = min((leaf.shape[0] for leaf in jax.tree.leaves(modules)), default=0)
    if core.check_int(index, f"{title}: the index of a module", 0) >= count:
        raise ValueError(f"{title}: there is no module {index} among {count}.")

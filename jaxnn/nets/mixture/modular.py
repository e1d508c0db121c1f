"""Modular networks: independent modules on parts of a problem, side by side, and a combiner.

`modular` has n modules of one kind, computed as one; modules of several kinds stand side by side in
`jaxnn.parallel`. Where a gate says which module is heard, it is a mixture of experts: all of them
in `jaxnn.nets.mixture.dense`, a few of many in `jaxnn.nets.mixture.sparse`. Params of modules have
a leading axis, by which one of them is taken, put in the place of another, frozen, or put on a
device of its own.
"""

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxnn import core, tree
from jaxnn.combine import ensemble
from jaxnn.core import Cell, Layer, Tree
from jaxnn.flow import wire
from jaxnn.printing import factory

MODULES = ("modules/*", "experts/*", "*/modules/*", "*/experts/*")


def average(outputs: jax.Array) -> jax.Array:
    """The mean over modules, which lead: [n, batch, ...] to [batch, ...].

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.mixture.average(jnp.array([[[1.0], [2.0]], [[3.0], [4.0]]])).tolist()
    [[2.0], [3.0]]
    """
    return _of_modules(outputs, "average").mean(axis=0)


def join_features(outputs: jax.Array) -> jax.Array:
    """The features of modules, which lead, side by side: [n, ..., features] to [..., n features].

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.mixture.join_features(jnp.arange(4).reshape(2, 1, 2)).tolist()
    [[0, 1, 2, 3]]
    """
    _of_modules(outputs, "join_features")
    return jnp.moveaxis(outputs, 0, -2).reshape(*outputs.shape[1:-1], -1)


def _of_modules(outputs: jax.Array, title: str) -> jax.Array:
    if outputs.ndim < 2 or not outputs.shape[0]:
        raise ValueError(
            f"{title} takes outputs of one module at least, [modules, batch, ...], got "
            f"{core.describe(outputs)}."
        )
    return outputs


def feature_parts(n: int) -> Callable:
    """A function that cuts features into n parts, which lead: [..., n f] to [n, ..., f].

    Raises:
      ValueError: for features that do not divide by n.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.mixture.feature_parts(2)(jnp.arange(4).reshape(1, 4)).tolist()
    [[[0, 1]], [[2, 3]]]
    """
    n = core.check_int(n, "feature_parts: n")

    def parts(x):
        if x.ndim == 0 or x.shape[-1] % n:
            raise ValueError(f"feature_parts of {n} cuts equal parts, got {core.describe(x)}.")
        return jnp.moveaxis(x.reshape(*x.shape[:-1], n, x.shape[-1] // n), -2, 0)

    return parts


@factory
def vmap_modules(layer: Any, n: int) -> Layer:
    """n members of one layer, each over its own input, as one vmap: y_i = f(params_i, x_i).

    `jaxnn.ensemble` gives all of them the same. Every leaf of x and y is [n, ...].

    Raises:
      TypeError: for a cell.
      ValueError: where n < 1, and for x that does not lead with n.

    >>> import jax, jaxnn as nn
    >>> net, x = nn.mixture.vmap_modules(nn.dense(2), 5), jax.numpy.ones((5, 4, 3))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> params["w"].shape, net(params, x).shape
    ((5, 3, 2), (5, 4, 2))
    """
    child, n = core.lift(layer), core.check_int(n, "each: n")
    if isinstance(child, Cell):
        raise TypeError("each takes a layer, got a cell: unroll it first.")

    def led(x):
        for leaf in jax.tree.leaves(x):
            if leaf.ndim == 0 or leaf.shape[0] != n:
                raise ValueError(f"each of {n} takes [{n}, ...], got {core.describe(leaf)}.")

    def init(key, x):
        led(x)
        one = jax.eval_shape(lambda x: jax.tree.map(lambda leaf: leaf[0], x), x)
        with core.error_scope("each", None, child, one):
            return jax.vmap(lambda i: child.init(core.fold_in(key, i), one))(jnp.arange(n))

    def apply(params, state, x, *, key=None, train=False):
        led(x)

        def member(params, state, x, i):
            return child.apply(params, state, x, key=core.fold_in(key, i), train=train)

        with core.error_scope("each", None, child, x):
            return jax.vmap(member)(params, state, x, jnp.arange(n))

    return Layer(init, apply)


@factory
def modular(
    module: Any, n: int, combine: Any = average, *, parts: Callable | None = None
) -> core.Net:
    """n modules side by side, each on its part of the input, and a combiner of what they put out.

    y = combine([m_1(x_1), ..., m_n(x_n)]). Params are {"modules", "combine"}, those of the modules
    with a leading axis of n.

    Args:
      module: a layer; all modules are of its kind, each with params of its own.
      combine: a layer or function of [n, batch, ...]: their mean by default, `join_features`, or
        `serial(join_features, mlp(16, 1))`.
      parts: a function of x whose result has every leaf [n, batch, ...], the part of each module,
        such as `feature_parts(n)`; by default all modules see all of x.

    Raises:
      ValueError: where n < 1, and for parts that do not lead with n.

    (Auda and Kamel, Modular neural networks: a survey, 1999.)

    >>> import jax, jaxnn as nn
    >>> net = nn.mixture.modular(nn.mlp(8, 2), 3, nn.mixture.join_features,
    ...     parts=nn.mixture.feature_parts(3))
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), jax.numpy.ones((4, 6)))
    >>> y = jax.eval_shape(net, params, jax.numpy.ones((4, 6)))
    >>> params["modules"][0]["w"].shape, y.shape
    ((3, 2, 8), (4, 6))
    """
    side_by_side = ensemble(module, n) if parts is None else vmap_modules(module, n)

    def flow(f, x):
        return f.combine(f.modules(x if parts is None else parts(x)))

    return wire(flow, modules=side_by_side, combine=combine)


# One module among the others


def take_module(modules: Tree, index: int) -> Tree:
    """The params or state of one module: `take_module(params["modules"], 2)`.

    Raises:
      ValueError: for an index that no module has.

    >>> import jax, jaxnn as nn
    >>> params, _ = nn.ensemble(nn.dense(2), 5).init(jax.random.key(0), jax.numpy.ones((4, 3)))
    >>> nn.mixture.take_module(params, 4)["w"].shape
    (3, 2)
    """
    _within(modules, index, "take_module")
    return jax.tree.map(lambda leaf: leaf[index], modules)


def swap_module(modules: Tree, index: int, module: Tree) -> Tree:
    """The params of modules with those of another in the place of module `index`.

    Raises:
      ValueError: for an index that no module has; where the other is not of their kind.

    >>> import jax, jaxnn as nn
    >>> params, _ = nn.ensemble(nn.dense(2), 5).init(jax.random.key(0), jax.numpy.ones((4, 3)))
    >>> params = nn.mixture.swap_module(params, 0, nn.mixture.take_module(params, 4))
    >>> bool((params["w"][0] == params["w"][4]).all())
    True
    """
    _within(modules, index, "swap_module")
    _of_arrays(module, "swap_module")
    there = jax.eval_shape(lambda: take_module(modules, index))
    core.check_same_spec(
        there, core.spec(module), "swap_module: the module must be of the others' kind"
    )
    return jax.tree.map(lambda leaf, one: leaf.at[index].set(one), modules, module)


def freeze_modules(
    optimizer: optax.GradientTransformation,
    *indices: int,
    within: tuple[str, ...] = MODULES,
    axis: int = 0,
) -> optax.GradientTransformationExtraArgs:
    """The optimizer with some modules left as they are; `jaxnn.freeze` leaves all of a path so.

    Args:
      optimizer: any of optax's.
      *indices: of the modules that stay as they are.
      within: patterns of paths, as in `labels`, whose leaves have an axis of modules.
      axis: that axis: 0, or 1 in a net under `repeat`.

    Raises:
      ValueError: for no indices, and for one that no module has; where no path matches.

    >>> import jax, jaxnn as nn, optax
    >>> optimizer = nn.mixture.freeze_modules(optax.adam(1e-3), 0, 2)
    """
    if not indices:
        raise ValueError("freeze_modules takes the indices of modules, got none.")

    def hold(updates, params):
        def one(leaf, theirs):
            if not theirs:
                return leaf
            for index in indices:
                _within(jnp.moveaxis(leaf, axis, 0), index, "freeze_modules")
            return jnp.moveaxis(jnp.moveaxis(leaf, axis, 0).at[jnp.array(indices)].set(0), 0, axis)

        return jax.tree.map(one, updates, _theirs(updates, within, "freeze_modules"))

    # Before, so that no moment and no norm of a gradient counts them; after, for weight decay.
    return optax.chain(
        optax.stateless(hold), optax.with_extra_args_support(optimizer), optax.stateless(hold)
    )


def module_shardings(
    of: Tree, mesh: Mesh, axis_name: str, *, within: tuple[str, ...] = MODULES, axis: int = 0
) -> Tree:
    """Where each leaf lies when modules are shared out over devices, and all else is on each.

    With as many devices as modules, each has one. It is for `jax.device_put`, and takes a whole
    `training.TrainState` too, in which moments have the paths of their params.

    Args:
      of: params, or a pytree with params in it; arrays or `jax.ShapeDtypeStruct`s.
      mesh: of `jax.make_mesh`, with `axis_types` of `jax.sharding.AxisType.Auto`.
      axis_name: the axis of the mesh.
      within, axis: those of `freeze_modules`.

    Raises:
      ValueError: for an axis that the mesh has not; where no path matches, or the modules do not
        divide by the devices.

    >>> import jax, jaxnn as nn
    >>> mesh = jax.make_mesh((1,), ("modules",), axis_types=(jax.sharding.AxisType.Auto,))
    >>> params, _ = nn.mixture.modular(nn.dense(2), 4).init(jax.random.key(0), jax.numpy.ones((4,
    ...     3)))
    >>> nn.mixture.module_shardings(params, mesh, "modules")["modules"]["w"].spec
    P('modules',)
    """
    if axis_name not in mesh.shape:
        raise ValueError(f"module_shardings: the mesh has {list(mesh.shape)}, no {axis_name!r}.")
    devices = mesh.shape[axis_name]

    def place(leaf, theirs):
        if not theirs:
            return NamedSharding(mesh, PartitionSpec())
        if leaf.ndim <= axis or leaf.shape[axis] % devices:
            raise ValueError(
                f"module_shardings: {core.describe(leaf)} does not share out its modules among the "
                f"{devices} devices of {axis_name!r}."
            )
        return NamedSharding(mesh, PartitionSpec(*[None] * axis, axis_name))

    return jax.tree.map(place, of, _theirs(of, within, "module_shardings"))


def _theirs(of: Tree, within: tuple[str, ...], title: str) -> Tree:
    """Whether each leaf is one of modules; raises ValueError where none is."""

    def matches(keys, leaf):
        return any(fnmatchcase(tree.path_of(keys), pattern) for pattern in within)

    found = jax.tree_util.tree_map_with_path(matches, of)
    if not any(jax.tree.leaves(found)):
        paths = [tree.path_of(keys) for keys, _ in jax.tree_util.tree_leaves_with_path(of)]
        raise ValueError(f"{title}: none of {', '.join(paths)} matches {within}: give `within`.")
    return found


def _of_arrays(modules: Tree, title: str) -> None:
    for leaf in jax.tree.leaves(modules):
        if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
            raise TypeError(
                f"{title} takes arrays whose first axis is that of modules, params['modules'], "
                f"and those of one module, got {core.describe(leaf)}."
            )


def _within(modules: Tree, index: int, title: str) -> None:
    """Raises ValueError for an index that JAX would clamp or count from behind."""
    _of_arrays(modules, title)
    least = min((leaf.shape[0] for leaf in jax.tree.leaves(modules)), default=0)
    if core.check_int(index, f"{title}: the index of a module", 0) >= least:
        raise ValueError(f"{title}: there is no module {index} among {least}.")

"""How params and batches lie on the devices of a mesh, as data: recipes, products, own rules.

A recipe is rules from patterns of paths to the axes of a mesh, as labels for optax are. It is given
to `init_train`, `step`, `fit`, `evaluate`, `predict` and `measure` as `sharding=`, and everything
else stays as on one device: the same numbers, wherever they lie.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxnn.checks import check_int
from jaxnn.core import Tree
from jaxnn.training.rules import Experts, Group, Largest, Way, merged, spec_beside, specs_of
from jaxnn.tree import path_of

# Where tensor parallelism cuts the params of this library: the first layer of a pair by its
# outputs, the second by its inputs, so that one sum over the devices joins them. Of several axes
# the first that the mesh divides is cut.
TENSOR_RULES: dict[str, Way] = {
    "*qkv/[wb]": -1,
    "*kv/[wb]": -1,
    "[qkv]/[wb]": -1,
    "*/[qkv]/[wb]": -1,
    "*out/w": -2,
    "*up/[wb]": -1,
    "*gate/[wb]": (-1,),
    "*down/w": -2,
    "*out/b": None,
    "*down/b": None,
    "*embed/w": (-2, -1),
    "*head/w": (-1, -2),
    "*w": (-1, -2),
}


class Sharding(NamedTuple):
    """How params and batches are divided among devices; `*` joins two over one mesh.

    mesh: the devices, with axes of type Auto. rules: a group for each recipe, by path. batch: how
    the axes of every leaf of a batch are split, rows first; leaves of fewer axes take the first
    entries. recipe: what made it, as it prints.
    """

    mesh: Mesh
    rules: tuple[Group, ...]
    batch: PartitionSpec
    recipe: str = "Sharding"

    def __repr__(self) -> str:
        return self.recipe

    def __mul__(self, other: Any) -> "Sharding":  # pyright: ignore
        if not isinstance(other, Sharding):
            return NotImplemented
        if self.mesh != other.mesh:
            raise ValueError(
                f"a product of shardings is over one mesh, got axes {dict(self.mesh.shape)} and "
                f"{dict(other.mesh.shape)}: make one mesh with the axes of both, such as "
                'jax.make_mesh((4, 2), ("data", "model")).'
            )
        batch = PartitionSpec(*merged(self.batch, other.batch))
        rules = self.rules + other.rules
        return Sharding(self.mesh, rules, batch, f"{self.recipe} * {other.recipe}")


def data_parallel(mesh: Mesh, axis: str = "data") -> Sharding:
    """Splits the rows of a batch over an axis of the mesh; every device holds all params.

    Args:
      mesh: the devices, as `jax.make_mesh` gives them, with axes of any type.
      axis: the axis of the mesh.

    Returns:
      A `Sharding`, for `init_train`, `step`, `fit`, `evaluate`, `predict` and `measure`.

    Raises:
      ValueError: if the mesh does not have the axis.

    >>> import jax, jaxnn as nn
    >>> nn.training.data_parallel(jax.make_mesh((1,), ("data",)))
    data_parallel(data=1)
    """
    mesh, recipe = _opened(mesh, axis, "data_parallel")
    return Sharding(mesh, (), PartitionSpec(axis), recipe)


def fully_sharded(mesh: Mesh, axis: str = "data", *, smallest: int = 2**12) -> Sharding:
    """Splits rows, params and the optimizer's moments over one axis of the mesh.

    Each leaf is cut along the largest of its axes that the devices divide; of a stack of matrices,
    as under `repeat`, along one of the last two. A step gathers the params where it needs them and
    scatters the sums of their gradients. (FSDP, ZeRO stage 3.)

    Args:
      mesh: the devices, as `jax.make_mesh` gives them, with axes of any type.
      axis: the axis of the mesh.
      smallest: leaves of fewer entries are whole on every device, as are those of which the devices
        divide no axis.

    Returns:
      A `Sharding`.

    Raises:
      ValueError: if the mesh does not have the axis.

    (Rajbhandari et al., ZeRO, 2020.)

    >>> import jax, jaxnn as nn
    >>> sharding = nn.training.fully_sharded(jax.make_mesh((1,), ("data",)))
    >>> nn.training.shardings(sharding, {"w": jax.numpy.ones((128, 64))})["w"].spec
    P('data',)
    """
    smallest = check_int(smallest, "fully_sharded: smallest")
    mesh, recipe = _opened(mesh, axis, "fully_sharded")
    group = Group(recipe, axis, (("*", Largest(smallest)),), False)
    return Sharding(mesh, (group,), PartitionSpec(axis), recipe)


def tensor_parallel(
    mesh: Mesh, axis: str = "model", rules: Mapping[str, Way] | None = None
) -> Sharding:
    """Splits matrices over an axis of the mesh, on whose devices all rows of a batch are alike.

    Args:
      mesh: the devices, as `jax.make_mesh` gives them, with axes of any type.
      axis: the axis of the mesh.
      rules: ways by patterns of paths, of which the first that matches counts: the axis of a leaf
        that is cut, -1 for its last; a tuple of axes, of which the first that the devices divide
        is cut, if any; None to leave it whole; a `PartitionSpec` or a function (path, shape) ->
        one of these. By default `TENSOR_RULES`, for attention, feed-forward, embedding and dense
        layers.

    Returns:
      A `Sharding`. Multiply it by `data_parallel` or `fully_sharded` to split rows as well.

    Raises:
      ValueError: if the mesh does not have the axis; where it is used, if a pattern matches no
        param or the devices do not divide an axis.

    (Shoeybi et al., Megatron-LM, 2019.)

    >>> import jax, jaxnn as nn
    >>> sharding = nn.training.tensor_parallel(jax.make_mesh((1,), ("model",)))
    >>> params, _ = nn.feed_forward(8).init(jax.random.key(0), jax.numpy.ones((4, 3)))
    >>> placed = nn.training.shardings(sharding, params)
    >>> placed["up"]["w"].spec, placed["down"]["w"].spec
    (P(None, 'model'), P('model',))
    """
    mesh, recipe = _opened(mesh, axis, "tensor_parallel")
    pairs = tuple((TENSOR_RULES if rules is None else rules).items())
    group = Group(recipe, axis, pairs, rules is not None)
    return Sharding(mesh, (group,), PartitionSpec(), recipe)


def expert_parallel(mesh: Mesh, axis: str = "expert") -> Sharding:
    """Splits rows and the experts of mixtures over an axis of the mesh.

    All other params are whole on every device. A `sparse_mixture` sends rows to the devices of
    their experts by all-to-alls where it is made for this axis by `nn.mixture.expert_parallel`.

    Args:
      mesh: the devices, as `jax.make_mesh` gives them, with axes of any type.
      axis: the axis of the mesh.

    Returns:
      A `Sharding`.

    Raises:
      ValueError: if the mesh does not have the axis; where it is used, if no path holds "experts/"
        or the devices do not divide their number.

    (Lepikhin et al., GShard, 2020.)

    >>> import jax, jaxnn as nn
    >>> sharding = nn.training.expert_parallel(jax.make_mesh((1,), ("expert",)))
    >>> net = nn.mixture.sparse_mixture(16, 4)
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), jax.numpy.ones((4, 8)))
    >>> nn.training.shardings(sharding, params)["experts"]["up"]["w"].spec
    P('expert',)
    """
    mesh, recipe = _opened(mesh, axis, "expert_parallel")
    pairs = (("experts/*", Experts()), ("*/experts/*", Experts()))
    return Sharding(mesh, (Group(recipe, axis, pairs, False),), PartitionSpec(axis), recipe)


def sequence_parallel(mesh: Mesh, axis: str = "sequence") -> Sharding:
    """Splits the second axis of every leaf of a batch, its steps, over an axis of the mesh.

    Args:
      mesh: the devices, as `jax.make_mesh` gives them, with axes of any type.
      axis: the axis of the mesh.

    Returns:
      A `Sharding`. Multiply it by `data_parallel` or `fully_sharded` to split rows as well.

    Raises:
      ValueError: if the mesh does not have the axis.

    (Korthikanti et al., Reducing activation recomputation in large transformer models, 2022.)

    >>> import jax, jaxnn as nn
    >>> mesh = jax.make_mesh((1, 1), ("data", "sequence"))
    >>> sharding = nn.training.fully_sharded(mesh) * nn.training.sequence_parallel(mesh)
    >>> sharding.batch
    P('data', 'sequence')
    """
    mesh, recipe = _opened(mesh, axis, "sequence_parallel")
    return Sharding(mesh, (), PartitionSpec(None, axis), recipe)


def shardings(sharding: Sharding, tree: Tree, params: Tree = None) -> Tree:
    """How each leaf of params, or of what holds them, lies on the mesh, from shapes alone.

    A leaf whose path ends in that of a param and whose shape ends in its shape lies as the param
    does: so do the moments of an optimizer and averages of params.

    Args:
      sharding: what a recipe returned.
      tree: params, a `TrainState`, or a pytree of several; arrays or `ShapeDtypeStruct`s.
      params: the params that `tree` belongs to, where it is an optimizer's or a net's state alone.

    Returns:
      A pytree like `tree`, of `jax.sharding.NamedSharding`.

    Raises:
      ValueError: if a rule matches no path, or the mesh does not divide an axis, with its path.

    >>> import jax, jaxnn as nn, optax
    >>> sharding = nn.training.fully_sharded(jax.make_mesh((1,), ("data",)), smallest=1)
    >>> train = nn.training.init_train(
    ...     nn.dense(8), optax.adam(1e-3), jax.random.key(0), jax.numpy.ones((4, 16))
    ... )
    >>> nn.training.shardings(sharding, train).opt_state[0].mu["w"].spec
    P('data',)
    """
    # A `TrainState` is known by its fields: `step` imports this module.
    trains = [node for node in jax.tree.leaves(tree, is_leaf=_is_train) if _is_train(node)]
    owners = [params] if params is not None else [train.params for train in trains] or [tree]
    known: dict[str, tuple] = {}
    for owner in owners:
        known |= _shapes(owner)
    specs = specs_of(sharding.rules, sharding.mesh, known)

    def place(keys, leaf):
        path, shape = path_of(keys), tuple(jnp.shape(leaf))
        owner = next((each for each in _tails(path) if _ends(shape, known.get(each))), None)
        if owner is None:
            spec = spec_beside(sharding.rules, sharding.mesh, path, shape)
        else:
            spec = PartitionSpec(*(None,) * (len(shape) - len(known[owner])), *specs[owner])
        return NamedSharding(sharding.mesh, spec)

    return jax.tree_util.tree_map_with_path(place, tree)


def _is_train(node: Any) -> bool:
    return hasattr(node, "params") and hasattr(node, "opt_state")


def _shapes(tree: Tree) -> dict[str, tuple]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {path_of(keys): tuple(jnp.shape(leaf)) for keys, leaf in leaves}


def _tails(path: str) -> list[str]:
    """The path, then what is left of it without its first keys, to nothing."""
    parts = path.split("/")
    return ["/".join(parts[i:]) for i in range(len(parts) + 1)]


def _ends(shape: tuple, tail: tuple | None) -> bool:
    return tail is not None and shape[len(shape) - len(tail) :] == tail and len(shape) >= len(tail)


def _opened(mesh: Mesh, axis: str, title: str) -> tuple[Mesh, str]:
    """The mesh with axes of type Auto, and the recipe in words.

    On Explicit axes, the default of `jax.make_mesh`, JAX asks the author of every product for the
    sharding of its output, which layers that know nothing of meshes cannot say.
    """
    if axis not in mesh.shape:
        raise ValueError(
            f"{title}: the mesh has the axes {list(mesh.shape)}, but no {axis!r}: name one of "
            f"them, axis={next(iter(mesh.shape), 'data')!r}."
        )
    auto = Mesh(mesh.devices, mesh.axis_names, axis_types=(AxisType.Auto,) * len(mesh.axis_names))
    return auto, f"{title}({axis}={mesh.shape[axis]})"

"""Expert parallelism: the experts of a sparse mixture on several devices, rows sent to them."""

from typing import Any

import jax
from jax.sharding import Mesh, PartitionSpec

from jaxnn import core
from jaxnn.core import Layer
from jaxnn.printing import factory


@factory
def expert_parallel(layer: Layer, mesh: Mesh, axis_name: str) -> Layer:
    """A sparse mixture over the devices of a mesh axis, as a layer of whole arrays.

    Each device has rows / devices rows and n / devices experts: it routes its own rows, sends them
    to the devices of their experts by all-to-all, and gets them back so. Params and state are those
    of the layer without a mesh, and so is y where nothing is dropped. With a capacity every device
    has its share of the room of each expert. Without, and in evaluation, every device keeps room
    for all of its rows at every expert, n / top_k times what is used.

    Args:
      layer: `sparse_mixture(..., axis_name=axis_name)`.
      mesh: of `jax.make_mesh`, with `axis_types` of `jax.sharding.AxisType.Auto`. To lay params out
        as they are used, see `module_shardings`.
      axis_name: the axis of the mesh over which rows, the first axis of x, and experts are split.

    Raises:
      ValueError: for an axis that the mesh has not, and for rows or experts that do not divide by
        its devices.

    (Lepikhin et al., GShard, 2020.)

    >>> import jax, jaxnn as nn
    >>> mesh = jax.make_mesh((1,), ("experts",), axis_types=(jax.sharding.AxisType.Auto,))
    >>> layer = nn.mixture.sparse_mixture(16, 4, capacity=1.25, axis_name="experts")
    >>> net, x = nn.mixture.expert_parallel(layer, mesh, "experts"), jax.numpy.ones((6, 8))
    >>> params, state = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.eval_shape(net.apply, params, state, x)[0].shape
    (6, 8)
    """
    if axis_name not in mesh.shape:
        raise ValueError(f"expert_parallel: the mesh has {list(mesh.shape)}, no {axis_name!r}.")
    devices = mesh.shape[axis_name]
    whole, split = PartitionSpec(), PartitionSpec(axis_name)

    def apply(params: Any, state, x, *, key=None, train=False):
        state = core.require_state(state, "expert_parallel")
        n = state.usage.shape[0]
        if x.ndim == 0 or x.shape[0] % devices or n % devices:
            raise ValueError(
                f"expert_parallel over {devices} devices of {axis_name!r} splits the rows of "
                f"{core.describe(x)} and {n} experts: make both multiples of {devices}."
            )

        def local(params, state, x):
            return layer.apply(params, state, x, train=core.check_train(train))

        parts = {part: split if part == "experts" else whole for part in params}
        run = jax.shard_map(
            local, mesh=mesh, in_specs=(parts, whole, split), out_specs=(split, whole)
        )
        return run(params, state, x)

    return Layer(layer.init, apply, name="expert_parallel")

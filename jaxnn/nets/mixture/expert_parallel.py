"""Expert parallelism: a sparse mixture whose experts and rows are spread over devices."""

from typing import Any

import jax
from jax.sharding import Mesh, PartitionSpec

from jaxnn import core
from jaxnn.core import Layer
from jaxnn.printing import factory


@factory
def expert_parallel(layer: Layer, mesh: Mesh, axis_name: str) -> Layer:
    """A sparse mixture spread over the devices of a mesh axis, as a layer of whole arrays.

    Each device holds rows / devices rows and n / devices experts. It routes its own rows, sends
    them to the devices of their experts by an all-to-all, and receives the results by another. The
    params and the state are those of the layer without a mesh, and so is y, unless rows are
    dropped.

    With a capacity, every device has an equal share of each expert's capacity. Without one, and in
    evaluation, every device reserves room for all of its rows at every expert, which is n / top_k
    times what is used.

    Args:
      layer: a layer made by `sparse_mixture(..., axis_name=axis_name)`.
      mesh: a mesh made by `jax.make_mesh`, with `axis_types` of `jax.sharding.AxisType.Auto`. To
        place the params on the devices that use them, see `module_shardings`.
      axis_name: the axis of the mesh over which the rows (the first axis of x) and the experts are
        split.

    Returns:
      A layer from x [rows, ..., features] to y of the same shape and dtype, whose state is a
      `Routing`.

    Raises:
      ValueError: if the mesh does not have the axis; at the first call, if the number of rows or of
        experts is not a multiple of the number of devices.

    (Lepikhin et al., GShard, 2020.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> mesh = jax.make_mesh((1,), ("experts",), axis_types=(jax.sharding.AxisType.Auto,))
    >>> layer = nn.mixture.sparse_mixture(16, 4, capacity=1.25, axis_name="experts")
    >>> net, x = nn.mixture.expert_parallel(layer, mesh, "experts"), jnp.ones((6, 8))
    >>> params, state = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.eval_shape(net.apply, params, state, x)[0].shape
    (6, 8)
    """
    if axis_name not in mesh.shape:
        raise ValueError(
            f"expert_parallel: the mesh has the axes {list(mesh.shape)}, but no {axis_name!r}."
        )
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

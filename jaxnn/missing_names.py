"""Where to find what people of other libraries look for under `jaxnn`."""

import difflib
from collections.abc import Iterable, Mapping

# By the name in lower case without underscores: what it is called here.
NAMES = {
    "linear": "jaxnn.dense(width); jaxnn.identity is the identity",
    "dense": "jaxnn.dense(width)",
    "conv1d": "jaxnn.conv(width, (size,))",
    "conv2d": "jaxnn.conv(width, size)",
    "conv3d": "jaxnn.conv(width, (size, size, size))",
    "convtranspose2d": "jaxnn.conv_transpose(width, size)",
    "maxpool2d": "jaxnn.max_pool(size)",
    "avgpool2d": "jaxnn.avg_pool(size)",
    "batchnorm": "jaxnn.batch_norm()",
    "batchnorm1d": "jaxnn.batch_norm()",
    "batchnorm2d": "jaxnn.batch_norm()",
    "layernorm": "jaxnn.layer_norm()",
    "sequential": "jaxnn.serial(...)",
    "chain": "jaxnn.serial(...)",
    "module": "a pair of pure functions, jaxnn.Layer(init, apply)",
    "multiheadattention": "jaxnn.attention(heads)",
    "selfattention": "jaxnn.attention(heads)",
    "transformerencoderlayer": "jaxnn.transformer_block(jaxnn.attention(...), ...)",
    "embed": "jaxnn.embedding(vocabulary, width)",
    "lstmcell": "jaxnn.lstm(width)",
    "grucell": "jaxnn.gru(width)",
    "crossentropy": "optax.softmax_cross_entropy_with_integer_labels",
    "crossentropyloss": "optax.softmax_cross_entropy_with_integer_labels",
    "nllloss": "optax.softmax_cross_entropy_with_integer_labels",
    "bceloss": "optax.sigmoid_binary_cross_entropy",
    "bcewithlogitsloss": "optax.sigmoid_binary_cross_entropy",
    "mseloss": "jaxnn.mse",
    "l1loss": "optax.losses.absolute_error",
    "huberloss": "optax.huber_loss",
    "vmap": "jax.vmap; members with params of their own are jaxnn.ensemble(layer, n)",
    "scan": "jax.lax.scan; depth is jaxnn.repeat(layer, n), time jaxnn.unroll(cell)",
    "functional": "jax.nn",
    "initializers": "jax.nn.initializers",
    "init": "layer.init(key, x); initialisers are in jax.nn.initializers",
    "parameter": "a leaf of params, which layer.init(key, x) returns",
    "dataloader": "any iterable of batches, or arrays and a batch_size, in jaxnn.training.fit",
    "fit": "jaxnn.training.fit",
    "train": "jaxnn.training.fit",
    "evaluate": "jaxnn.training.evaluate",
    "predict": "jaxnn.training.predict",
    "save": "jaxnn.interop.save(path, params)",
    "load": "jaxnn.interop.load(path, like=params)",
    "checkpoint": "the argument checkpoint= of jaxnn.training.fit; jax.checkpoint is jaxnn.remat",
    "sigmoid": "jax.nn.sigmoid",
    "tanh": "jax.numpy.tanh",
}
ACTIVATIONS = (
    "relu", "relu6", "gelu", "silu", "swish", "elu", "selu", "celu", "softmax", "log_softmax",
    "softplus", "leaky_relu", "hard_tanh", "glu", "mish", "one_hot", "logsumexp",
)  # fmt: skip
OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop", "adagrad", "lion", "lamb", "lbfgs", "muon")


def absent(
    name: str, names: Iterable[str], spaces: Mapping[str, Iterable[str]] | None = None
) -> AttributeError:
    """The error for a name that jaxnn does not have: where it is, or the names nearest to it.

    Args:
      name: what was looked for.
      names: what jaxnn has.
      spaces: the names of each of its namespaces.

    Returns:
      An error to raise.

    >>> print(absent("Linear", ["linear"]))
    jaxnn has no 'Linear': it is jaxnn.dense(width); jaxnn.identity is the identity.
    """
    plain = name.lower().replace("_", "")
    if found := NAMES.get(plain):
        return AttributeError(f"jaxnn has no {name!r}: it is {found}.")
    for known, home in ((ACTIVATIONS, "jax.nn"), (OPTIMIZERS, "optax")):
        if found := next((each for each in known if each.replace("_", "") == plain), None):
            return AttributeError(f"jaxnn has no {name!r}: it is {home}.{found}.")
    inside = {each: f"jaxnn.{space}" for space, names in (spaces or {}).items() for each in names}
    if name in inside:
        return AttributeError(f"jaxnn has no {name!r}: it is {inside[name]}.{name}.")
    near = difflib.get_close_matches(name.lower(), [*names, *inside], 3)
    near = [f"{inside[each]}.{each}" if each in inside else each for each in near]
    hint = f": did you mean {' or '.join(near)}?" if near else "."
    return AttributeError(f"jaxnn has no {name!r}{hint}")

"""Mixtures of experts and modular networks: several nets that share the work on a problem.

In a mixture of experts, a gate decides for each input how much each expert contributes. Dense
mixtures run every expert and weight the outputs (`mixture_of_experts`, flat or as a tree of gates;
`multi_task`, in which each task has its own gate over shared experts). Sparse mixtures send each
row to a few of many experts, so that a net has many more params for the same work per row
(`sparse_mixture`, with `routed` for its auxiliary losses and `expert_parallel` for several
devices). In a modular network, modules work on parts of the input side by side, and a combiner
joins their outputs (`modular`). Single modules can be taken, swapped, frozen or placed on a device
(`take_module`, `swap_module`, `freeze_modules`, `module_shardings`).

    dense mixture:  y = sum_i g_i(x) f_i(x), with g = softmax(gate(x))
    sparse mixture: the same sum over the top_k experts of each row only
    modular net:    y = combine([m_1(x_1), ..., m_n(x_n)])

Where it is used: for functions that differ from region to region, for related tasks that share
some but not all of their features, and, as sparse mixtures in the place of the feed-forward layers
of transformers, for models with many params at a moderate cost. Modules suit problems with known
parts, and nets whose parts are trained or replaced separately.

Where it fails: a few experts can take over and leave the others unused, so watch the usage
metrics and keep the balance loss of sparse mixtures. All params must fit in memory even if few are
used per row, with a capacity some rows are dropped in training, and on a small or uniform problem a
single net of the same size does as well and is simpler to train.

Two linear experts and a gate that learn y = |x|, which no single linear layer can:

>>> import jax, jax.numpy as jnp, jaxnn as nn, optax
>>> x = jax.random.uniform(jax.random.key(1), (512, 1), minval=-1, maxval=1)
>>> y = jnp.abs(x)
>>> net, optimizer = nn.mixture.mixture_of_experts(nn.dense(1), 2), optax.adam(0.05)
>>> loss = nn.mixture.mixture_loss(net, nn.autoencoder.gaussian_log_likelihood(0.1))
>>> step = nn.training.step(loss, optimizer)
>>> train = nn.training.init_train(net, optimizer, jax.random.key(0), x)
>>> end = nn.training.fit(step, train, (x, y), steps=500, batch_size=64)
>>> mixture = net(end.train.params, x)
>>> bool(nn.mse(mixture.output, y) < 0.005)  # the best single line has 0.08
True
>>> mixture.outputs.shape  # the answer of each expert
(512, 2, 1)

See also: python -m examples modular.

Papers:
- Jacobs, Jordan, Nowlan and Hinton, Adaptive mixtures of local experts, 1991.
- Jordan and Jacobs, Hierarchical mixtures of experts and the EM algorithm, 1994.
- Auda and Kamel, Modular neural networks: a survey, 1999.
- Shazeer et al., Outrageously large neural networks, 2017.
- Ma et al., Modeling task relationships in multi-task learning with multi-gate
  mixture-of-experts, 2018.
- Lepikhin et al., GShard, 2020.
- Fedus, Zoph and Shazeer, Switch transformers, 2021.
- Zoph et al., ST-MoE, 2022.
- Gale et al., MegaBlocks, 2022.
- Dai et al., DeepSeekMoE, 2024.
"""

from jaxnn.arguments import check_public
from jaxnn.nets.mixture.dense import Mixture, expert_usage, mixture_loss, mixture_of_experts
from jaxnn.nets.mixture.expert_parallel import expert_parallel
from jaxnn.nets.mixture.modular import (
    average,
    feature_parts,
    join_features,
    modular,
    vmap_modules,
)
from jaxnn.nets.mixture.module_params import (
    freeze_modules,
    module_shardings,
    swap_module,
    take_module,
)
from jaxnn.nets.mixture.multi_task import Tasks, multi_task, multi_task_loss
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

"""The karate club: which side each member joined, from two labels and the friendships."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxnn as nn
from examples import Options

NETS = 100  # of the ensemble, each with its own initialization
QUICK_NETS = 20
STEPS = 100
QUICK_STEPS = 50
WIDTH = 16
RATE = 0.01
DECAY = 5e-4  # of the squares of all params, as in the paper
LEADERS = (0, 33)  # the teacher and the president, whose sides are known


def predict_sides(options: Options, graph: nn.graph.Graph, y: np.ndarray) -> np.ndarray:
    """The probability [members] of the president's side, mean over all nets."""
    net = nn.serial(
        nn.graph.gcn(WIDTH),
        jnp.tanh,
        nn.graph.gcn(WIDTH),
        jnp.tanh,
        nn.graph.gcn(2),
        nn.graph.node_output(),
    )
    nets = nn.ensemble(net, QUICK_NETS if options.quick else NETS)
    leaders = jnp.array(LEADERS)

    def loss(params, state, batch, *, key, train):
        logits = nets(params, batch)[:, leaders]
        labels = jnp.broadcast_to(jnp.asarray(y)[leaders], logits.shape[:2])
        entropy = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        # The sum over nets, so that each has the gradient that it would have alone.
        return entropy.mean(1).sum(), (state, {})

    optimizer = optax.chain(optax.add_decayed_weights(DECAY), optax.adam(RATE))
    club = jax.device_put(graph)
    end = nn.training.fit(
        nn.training.step(loss, optimizer),
        nn.training.init_train(nets, optimizer, jax.random.key(options.seed), club),
        [club],
        steps=QUICK_STEPS if options.quick else STEPS,
    )
    probabilities = jax.nn.softmax(nets(end.train.params, club))[..., 1]
    return np.asarray(probabilities.mean(0))

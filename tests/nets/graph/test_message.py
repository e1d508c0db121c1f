# pyright: reportCallIssue=false, reportOptionalMemberAccess=false
import jax
import jax.numpy as jnp
import numpy as np

import jaxnn as nn

RNG = np.random.default_rng(0)
NODES, EDGES, KINDS, WIDTH = 50, 400, 6, 16
X = nn.graph.make_graph(
    RNG.normal(size=(NODES, 8)).astype(np.float32),
    *RNG.integers(0, NODES, (2, EDGES)),
    RNG.normal(size=(EDGES, KINDS)).astype(np.float32),
)
NET = nn.graph.edge_conditioned(WIDTH)


def test_messages_are_those_of_a_matrix_for_each_edge():
    params, _ = NET.init(jax.random.key(0), X)
    w = np.asarray(params["matrix"]["w"], np.float64)  # [features, kinds + 1, width]
    shares = np.concatenate([X.edges, np.ones((EDGES, 1))], axis=1)
    matrices = np.einsum("ek,fkw->efw", shares, w)
    messages = np.einsum("ef,efw->ew", np.asarray(X.nodes, np.float64)[X.senders], matrices)
    told = np.zeros((NODES, WIDTH))
    np.add.at(told, X.receivers, messages)
    own = X.nodes @ np.asarray(params["own"]["w"]) + np.asarray(params["own"]["b"])
    np.testing.assert_allclose(NET(params, X).nodes, own + told, rtol=1e-4, atol=1e-4)


def test_nothing_of_edges_by_kinds_by_width_is_kept():
    many = 20_000
    shapes = nn.graph.Graph(
        jax.ShapeDtypeStruct((NODES, 8), jnp.float32),
        jax.ShapeDtypeStruct((many, 32), jnp.float32),
        *[jax.ShapeDtypeStruct((many,), jnp.int32)] * 2,
        (),
        jax.ShapeDtypeStruct((1, 2), jnp.int32),
    )
    params, _ = jax.eval_shape(NET.init, jax.random.key(0), shapes)

    def total(params, x):
        return NET(params, x).nodes.sum()

    for program in (total, jax.grad(total)):
        memory = jax.jit(program).lower(params, shapes).compile().memory_analysis()
        # All at once they would take 42 MB.
        assert memory.temp_size_in_bytes < many * 33 * WIDTH * 4 / 3

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn
from tests import golden

pytestmark = pytest.mark.ordinary


def ours(net, params, inputs, **kinds):
    """A layer over a peer's graph, [nodes] of it."""
    x = nn.graph.Graph(
        inputs["x"],
        inputs.get("edges", ()),
        inputs["senders"].astype(jnp.int32),
        inputs["receivers"].astype(jnp.int32),
        (),
        jnp.array(kinds.get("sizes", [[len(inputs["x"]), len(inputs["senders"])]])),
    )
    y = net(params, x)
    return y.nodes if isinstance(y, nn.graph.Graph) else y


def attends(a):
    return a[0]


CASES = {
    "gcn": lambda i: ours(nn.graph.gcn(3), {"w": i["w"].T, "b": i["b"]}, i),
    "gat": lambda i: ours(
        nn.graph.gat(3, heads=2),
        {"w": i["w"].T, "send": attends(i["send"]), "receive": attends(i["receive"]), "b": i["b"]},
        i,
    ),
    "gatv2": lambda i: ours(
        nn.graph.gatv2(3, heads=2, merge="mean"),
        {"send": i["send"].T, "receive": i["receive"].T, "a": attends(i["a"]), "b": i["b"]},
        i,
    ),
    "sage": lambda i: ours(
        nn.graph.sage(3), {"told": {"w": i["told"].T}, "own": {"w": i["own"].T, "b": i["b"]}}, i
    ),
    "sage-max": lambda i: ours(
        nn.graph.sage(3, aggregate="max"),
        {"told": {"w": i["told"].T}, "own": {"w": i["own"].T, "b": i["b"]}},
        i,
    ),
    "gin": lambda i: ours(
        nn.graph.gin(nn.dense(3)),
        {"body": {"w": i["w"].T, "b": i["b"]}, "epsilon": i["epsilon"].reshape(())},
        i,
    ),
    "nnconv": lambda i: ours(
        nn.graph.edge_conditioned(3),
        {
            "matrix": {
                "w": jnp.concatenate(
                    [i["w"].reshape(4, 3, 2).transpose(0, 2, 1), i["w_0"].reshape(4, 1, 3)], 1
                )
            },
            "own": {"w": i["own"].T, "b": i["b"]},
        },
        i,
    ),
    "set2set": lambda i: ours(
        nn.graph.set2set(3),
        {"w": i["w"].T, "u": i["u"].T, "b": i["b"]},
        i,
        sizes=[[4, 0], [3, 0]],
    ),
    "top-k": lambda i: ours(nn.graph.top_k_pool(0.5), {"w": i["w"].T}, i, sizes=[[4, 0], [3, 0]])[
        :4
    ],
}


def test_every_golden_case_is_checked():
    assert sorted(CASES) == golden.names("graph")


@pytest.mark.parametrize("name", CASES)
def test_pytorch_geometric_agrees(name):
    golden.check(golden.load("graph", name), CASES[name])


def test_a_graph_built_by_hand_is_checked():
    path = nn.graph.make_graph(np.ones((3, 2), np.float32), [0, 1], [1, 2])
    for field, value in (("senders", [0, 1]), ("receivers", np.zeros(3, int)), ("sizes", [[3, 2]])):
        bad = path._replace(**{field: value})
        with pytest.raises(ValueError, match="gcn takes a Graph with senders and receivers int"):
            nn.graph.gcn(2).init(jax.random.key(0), bad)

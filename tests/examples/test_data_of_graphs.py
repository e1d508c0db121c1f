import gzip
import pickle

import numpy as np
import pytest

from examples import data
from examples.data import fetched
from examples.data import molecules as chemistry
from examples.data.social import CORA, plain_pickle
from examples.molecules.learner import training_rows
from examples.molecules.network import SIZES, loss_of, squared_error
from examples.molecules.toxicity import auroc
from examples.social import articles, club

TABLE = "smiles,wet\nCCO,1.5\nc1ccccc1,\n{},2\n"


def there(*names):
    """Skips a test whose files cannot be had."""
    for name in names:
        try:
            fetched(name)
        except (ImportError, OSError) as error:
            pytest.skip(str(error))


# Who knows whom


def test_the_karate_club_is_split_in_halves():
    pytest.importorskip("networkx")
    graph, y = data.karate_club()
    assert (graph.nodes == np.eye(34)).all()
    assert graph.sizes.tolist() == [[34, 156]]
    assert np.bincount(y).tolist() == [17, 17]
    assert [y[i] for i in club.LEADERS] == [0, 1]


def test_cora_has_its_public_split():
    there(*CORA)
    cora = data.cora()
    assert cora.graph.sizes.tolist() == [[2708, 10556]]
    assert np.bincount(cora.y[cora.train]).tolist() == [20] * 7
    assert [len(each) for each in cora[2:]] == [140, 500, 1000]
    assert len(set(np.concatenate(cora[2:]))) == 1640
    assert (cora.graph.nodes > 0).sum() == articles.WORDS
    np.testing.assert_allclose(cora.graph.nodes.sum(1), 1, rtol=1e-5)
    same = cora.y[cora.graph.senders] == cora.y[cora.graph.receivers]
    assert same.mean() == pytest.approx(0.81, abs=0.001)  # of shuffled labels 0.18


class Harmful:
    def __reduce__(self):
        return print, ("this must not run",)


def test_a_pickle_that_calls_what_it_likes_is_refused(tmp_path, capsys):
    path = tmp_path / "ind.cora.x"
    path.write_bytes(pickle.dumps({"a": Harmful()}, protocol=2))
    with pytest.raises(ValueError, match="it names __builtin__.print|it names builtins.print"):
        plain_pickle(path)
    assert capsys.readouterr().out == ""
    path.write_bytes(pickle.dumps({1: [2, 3]}))
    assert plain_pickle(path) == {1: [2, 3]}


# Molecules


def test_a_molecule_is_its_atoms_and_bonds():
    pytest.importorskip("rdkit")
    x = data.molecular_graphs(["CCO", "c1ccccc1", "[Na+].[Cl-]"])
    assert x.sizes.tolist() == [[3, 4], [6, 12], [2, 0]]
    assert x.nodes.shape == (11, chemistry.ATOM_WIDTH)
    assert x.edges.shape == (16, chemistry.BOND_WIDTH)
    assert sorted(zip(x.senders[:4], x.receivers[:4], strict=True)) == [
        (0, 1),
        (1, 0),
        (1, 2),
        (2, 1),
    ]
    assert x.nodes[:3, chemistry.ELEMENTS.index(6)].tolist() == [1, 1, 0]
    assert (x.edges[4:, chemistry.BONDS.index("AROMATIC")] == 1).all()
    assert x.nodes[9, len(chemistry.ELEMENTS)] == 1  # sodium is one of the others
    assert (x.nodes[3:9, -2:] == 1).all()  # aromatic, and in a ring
    none = data.molecular_graphs([])
    assert [len(leaf) for leaf in (none.nodes, none.edges, none.sizes)] == [0, 0, 0]


@pytest.mark.parametrize("bad", ["C1CC", "hello", "C(C)(C)(C)(C)C", ""])
def test_a_smiles_that_does_not_parse_says_which_line(bad, tmp_path, capfd):
    pytest.importorskip("rdkit")
    with pytest.raises(ValueError, match="SMILES 1: .* is not a valid SMILES"):
        data.molecular_graphs(["CC", bad])
    path = tmp_path / "wet.csv"
    path.write_text(TABLE.format(bad))
    with pytest.raises(ValueError, match="wet.csv, line 4: .* is not a valid SMILES"):
        chemistry.table(path, ("wet",))
    assert chemistry.table(path, ("wet",), without=(4,)).smiles == ["CCO", "c1ccccc1"]
    assert capfd.readouterr().err == ""


def test_a_table_may_be_zipped_and_lack_measurements(tmp_path):
    pytest.importorskip("rdkit")
    path = tmp_path / "wet.csv.gz"
    path.write_bytes(gzip.compress(TABLE.format("C").encode()))
    x = chemistry.table(path, ("wet",))
    np.testing.assert_array_equal(x.y, np.array([[1.5], [np.nan], [2]], np.float32))
    index, y, known = training_rows(np.arange(3), x.y)
    assert (index.tolist(), y[:, 0].tolist(), known[:, 0].tolist()) == (
        [0, 1, 2],
        [1.5, 0, 2],
        [True, False, True],
    )


def test_tables_of_molecules():
    there("delaney-processed.csv")
    pytest.importorskip("rdkit")
    esol = data.esol()
    assert (len(esol.smiles), esol.y.shape, esol.y.dtype) == (1128, (1128, 1), np.float32)
    assert esol.graph.sizes.sum(0).tolist() == [len(esol.graph.nodes), len(esol.graph.edges)]
    # A batch that does not fit lies six deviations from the mean.
    for rows, room in zip(esol.graph.sizes.T, SIZES["esol"][1:3], strict=True):
        assert 64 * rows.mean() + 6 * 8 * rows.std() <= room


def test_splits_are_parts():
    first = chemistry.random_split(1128)
    assert [len(part) for part in first] == [902, 113, 113]
    assert sorted(np.concatenate(first)) == list(range(1128))
    pytest.importorskip("rdkit")
    smiles = ["c1ccccc1" + "C" * i for i in range(8)] + ["C1CC1", "CC"]
    parts = chemistry.scaffold_split(smiles)
    assert [part.tolist() for part in parts] == [list(range(8)), [8], [9]]


# Parts of the examples


def test_words_are_dropped_and_kept_in_the_mean(key):
    import jax
    import jax.numpy as jnp

    import jaxnn as nn

    x = np.zeros((8, 50), np.float32)
    x[:, ::2] = 1
    words = jnp.asarray(np.argwhere(x))
    graph = jax.tree.map(jnp.asarray, nn.graph.make_graph(x, [], []))
    nodes = articles.drop_words(key, graph, words, 0.6).nodes
    assert set(np.unique(nodes).round(5)) == {0.0, 2.5}
    assert (np.asarray(nodes)[x == 0] == 0).all()
    assert abs(float(nodes[:, ::2].mean()) - 1) < 0.3


def test_an_assay_of_one_outcome_does_not_count():
    y = np.array([[0, 0], [1, 0], [0, np.nan], [1, 0]])
    prediction = np.array([[0.1, 0], [0.9, 1], [0.8, 0], [0.7, 0]])
    assert auroc(prediction, y) == 0.75
    assert np.isnan(auroc(prediction[:, 1:], y[:, 1:]))


def test_what_was_not_measured_weighs_nothing():
    import jax.numpy as jnp

    import jaxnn as nn

    point = nn.graph.make_graph(np.ones((1, 2), np.float32), [], [])
    graph = nn.graph.batch_graphs([point, point, point], count=4)
    net = nn.serial(nn.graph.readout("sum"), lambda x: 3 * x)
    loss = loss_of(net, squared_error)
    y = jnp.zeros((4, 2)).at[1].set(jnp.array([1.0, 50.0]))
    known = jnp.array([[False] * 2, [True, False], [True, True], [True, True]])
    value, _ = loss(((), ()), (), (graph, y, known), key=None, train=False)
    assert float(value) == pytest.approx((4 + 9 + 9) / 3)

"""Molecules as graphs: an atom is a node, a bond an edge each way."""

import csv
import gzip
import io
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import jaxnn as nn
from examples.data.fetched import fetched
from examples.data.split import need
from jaxnn.checks import install

INSTALL = install("examples-graph")
ESOL, TOX21 = "delaney-processed.csv", "tox21.csv.gz"
# Salts of aluminium, written with more bonds than RDKit allows it.
UNREADABLE = (1332, 2310, 2317, 3601, 4634, 4718, 5629, 6861)  # lines of TOX21
# What is told of an atom and of a bond: a place for each value, and one for all others.
ELEMENTS = (5, 6, 7, 8, 9, 14, 15, 16, 17, 35, 53)  # B C N O F Si P S Cl Br I
DEGREES, HYDROGENS, CHARGES = (0, 1, 2, 3, 4), (0, 1, 2, 3, 4), (-1, 0, 1)
HYBRIDS = ("SP", "SP2", "SP3")
BONDS = ("SINGLE", "DOUBLE", "TRIPLE", "AROMATIC")
ATOM_WIDTH = sum(len(each) + 1 for each in (ELEMENTS, DEGREES, HYDROGENS, CHARGES, HYBRIDS)) + 2
BOND_WIDTH = len(BONDS) + 3


class Molecules(NamedTuple):
    """Rows of a table of molecules.

    smiles: how each is written.
    graph: the union of them all, in their order, without padding: float32 nodes [atoms, ATOM_WIDTH]
      and edges [2 bonds, BOND_WIDTH].
    y: float32 [molecules, tasks]; NaN where nothing was measured.
    tasks: what was measured.
    """

    smiles: list[str]
    graph: nn.graph.Graph
    y: np.ndarray
    tasks: tuple[str, ...]


def esol() -> Molecules:
    """1128 molecules, and how much of each dissolves in water: log10 of mol/L.

    Raises:
      ImportError, OSError: as `fetched` does; where RDKit is absent.

    (Delaney, ESOL: estimating aqueous solubility directly from molecular structure, 2004.)
    """
    tasks = ("measured log solubility in mols per litre",)
    return table(fetched(ESOL), tasks)


def tox21() -> Molecules:
    """8006 molecules, and whether each disturbs a cell in twelve ways: 0, 1, or not measured.

    The table has eight more, UNREADABLE, that are left out.

    Raises:
      ImportError, OSError: as `fetched` does; where RDKit is absent.

    (Huang et al., Tox21Challenge to build predictive models of nuclear receptor and stress response
    pathways, 2016.)
    """
    with gzip.open(fetched(TOX21), "rt", encoding="utf-8") as file:
        tasks = tuple(next(csv.reader(file))[:12])
    return table(fetched(TOX21), tasks, UNREADABLE)


def table(path: Path, tasks: tuple[str, ...], without: Collection[int] = ()) -> Molecules:
    """The molecules of a table with a column "smiles" and one for each task; it may be gzipped.

    The lines of `without` are left out.

    Raises:
      ValueError: for a SMILES that does not parse, with its line.
    """
    opened: Any = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = [(reader.line_num, row) for row in reader if reader.line_num not in without]
    smiles = [row["smiles"].strip() for _, row in rows]
    y = [[float(row[task] or "nan") for task in tasks] for _, row in rows]
    places = [f"{path.name}, line {line}" for line, _ in rows]
    return Molecules(smiles, molecular_graphs(smiles, places), np.array(y, np.float32), tasks)


def molecular_graphs(smiles: Sequence[str], places: Iterable[str] | None = None) -> nn.graph.Graph:
    """The graphs of molecules as one union, in their order.

    Args:
      smiles: how they are written.
      places: where each comes from, for what is raised; by default "SMILES 0" and so on.

    Raises:
      ImportError: where RDKit is absent, with the command that installs it.
      ValueError: for a SMILES that does not parse, with its place.

    (Weininger, SMILES, a chemical language and information system, 1988; RDKit.)
    """
    places = places or (f"SMILES {i}" for i in range(len(smiles)))
    atoms: list[list[int]] = []
    bonds: list[list[int]] = []
    sizes = []
    for text, place in zip(smiles, places, strict=True):
        first, before, molecule = len(atoms), len(bonds), parsed(text, place)
        atoms += [_atom(each) for each in molecule.GetAtoms()]
        for bond in molecule.GetBonds():
            one, other = first + bond.GetBeginAtomIdx(), first + bond.GetEndAtomIdx()
            told = _bond(bond)
            bonds += [[one, other, *told], [other, one, *told]]
        sizes.append((len(atoms) - first, len(bonds) - before))
    atom, bond = np.array(atoms, np.int32).reshape(-1, 7), np.array(bonds, np.int32).reshape(-1, 5)
    widths = [len(each) + 1 for each in (ELEMENTS, DEGREES, HYDROGENS, CHARGES, HYBRIDS)]
    nodes = [np.eye(width, dtype=np.float32)[atom[:, i]] for i, width in enumerate(widths)]
    edges = np.eye(len(BONDS) + 1, dtype=np.float32)[bond[:, 2]]
    return nn.graph.Graph(
        np.concatenate([*nodes, atom[:, 5:].astype(np.float32)], axis=1),
        np.concatenate([edges, bond[:, 3:5].astype(np.float32)], axis=1),
        bond[:, 0],
        bond[:, 1],
        (),
        np.array(sizes, np.int32).reshape(-1, 2),
    )


def parsed(text: str, place: str) -> Any:
    """RDKit's molecule of a SMILES; raises ValueError with its place where there is none."""
    chem, log = need("rdkit.Chem", INSTALL), need("rdkit.rdBase", INSTALL)
    with log.BlockLogs():  # what it says of them goes to stderr, and names no line
        molecule = chem.MolFromSmiles(text)
    if molecule is None or not molecule.GetNumAtoms():
        raise ValueError(f"{place}: {text!r} is the SMILES of no molecule: mend or leave it out.")
    return molecule


def scaffolds(smiles: Sequence[str]) -> list[str]:
    """The rings of each molecule with what links them, as SMILES; "" where it has no ring.

    (Bemis and Murcko, The properties of known drugs, 1996.)
    """
    murcko = need("rdkit.Chem.Scaffolds.MurckoScaffold", INSTALL)
    return [
        murcko.MurckoScaffoldSmiles(mol=parsed(text, f"SMILES {i}"))
        for i, text in enumerate(smiles)
    ]


def descriptors(smiles: Sequence[str]) -> np.ndarray:
    """What RDKit computes of each molecule, float32 [molecules, descriptors]; zero for NaN.

    Weights, counts of groups, surface areas, indices of shape: some 200.
    """
    module = need("rdkit.Chem.Descriptors", INSTALL)
    rows = [
        [value(molecule) for _, value in module._descList]
        for molecule in (parsed(text, f"SMILES {i}") for i, text in enumerate(smiles))
    ]
    return np.nan_to_num(np.clip(np.array(rows, np.float64), -1e6, 1e6)).astype(np.float32)


def picture(text: str, colours: np.ndarray, width: int = 400, height: int = 320) -> np.ndarray:
    """A drawing of a molecule, each atom on a disc of its colour [atoms, 3]; [height, width, 3]."""
    drawing = need("rdkit.Chem.Draw.rdMolDraw2D", INSTALL)
    molecule = parsed(text, text)
    atoms = range(molecule.GetNumAtoms())
    canvas = drawing.MolDraw2DCairo(width, height)
    drawing.PrepareAndDrawMolecule(
        canvas,
        molecule,
        highlightAtoms=list(atoms),
        highlightAtomColors={i: tuple(map(float, colours[i])) for i in atoms},
        highlightBonds=[],
    )
    canvas.FinishDrawing()
    return need("matplotlib.image").imread(io.BytesIO(canvas.GetDrawingText()))


# Splits


def random_split(n: int, shares: tuple[float, float] = (0.8, 0.1)) -> list[np.ndarray]:
    """The rows to learn from, to choose by and to test, the last being what is left of n."""
    order = np.random.default_rng(0).permutation(n)
    first = round(shares[0] * n)
    return np.split(order, [first, first + round(shares[1] * n)])


def scaffold_split(smiles: Sequence[str], shares: tuple[float, float] = (0.8, 0.1)) -> list:
    """The same, with all molecules of a scaffold on one side, the common scaffolds to learn from.

    (Wu et al., MoleculeNet: a benchmark for molecular machine learning, 2018.)
    """
    groups: dict[str, list[int]] = {}
    for i, scaffold in enumerate(scaffolds(smiles)):
        groups.setdefault(scaffold, []).append(i)
    n = len(smiles)
    rooms = [shares[0] * n, shares[1] * n]
    parts: list[list[int]] = [[], [], []]
    for group in sorted(groups.values(), key=lambda group: (-len(group), group[0])):
        fitting = (k for k in (0, 1) if len(parts[k]) + len(group) <= rooms[k])
        parts[next(fitting, 2)].extend(group)
    return [np.array(part) for part in parts]


# Atoms and bonds


def _place(values: Sequence, value: Any) -> int:
    return values.index(value) if value in values else len(values)


def _atom(atom: Any) -> list[int]:
    return [
        _place(ELEMENTS, atom.GetAtomicNum()),
        _place(DEGREES, atom.GetDegree()),
        _place(HYDROGENS, atom.GetTotalNumHs()),
        _place(CHARGES, atom.GetFormalCharge()),
        _place(HYBRIDS, atom.GetHybridization().name),
        int(atom.GetIsAromatic()),
        int(atom.IsInRing()),
    ]


def _bond(bond: Any) -> list[int]:
    kind = _place(BONDS, bond.GetBondType().name)
    return [kind, int(bond.GetIsConjugated()), int(bond.IsInRing())]

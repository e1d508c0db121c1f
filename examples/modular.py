"""Modules share out a problem: a surface in pieces, 14 labels, text, and eight devices.

First a plane in six slanted pieces, which linear experts and a gate learn far better than one
network of as many numbers. Then 14 labels of yeast genes, each with a gate of its own over experts
that all share, beside a random forest. Then characters of Shakespeare, where of 8 experts each
character goes to 2, beside a network without experts that takes as many multiply-adds a character.
Last the modules of a net on 8 devices, one on each: the same numbers, and the work divided.
"""

import jax
import jax.numpy as jnp
from matplotlib.figure import Figure

import jaxnn as nn
from examples import (
    Check,
    Options,
    Result,
    modular_devices,
    modular_labels,
    modular_pieces,
    modular_text,
)

PIECES_THRESHOLD = 0.5  # of the squared error of the best single network
LABELS_THRESHOLD = 0.63  # micro-F1
TEXT_THRESHOLD = 1.0  # of the dense network's loss
DIFFERENCE_THRESHOLD, WORK_THRESHOLD = (
    1e-5,
    0.25,
)  # between 1 and 8 devices; one device's share of the work


def plan(options: Options):
    _, step, train = modular_text.learner(options, sparse=True)
    shape = (modular_text.BATCH, modular_text.CONTEXT + 1)
    return step, train, jax.ShapeDtypeStruct(shape, jnp.uint8)


def run(options: Options) -> Result:
    # Started first, it compiles while the others do what one core can do.
    process = modular_devices.begin()
    pieces = modular_pieces.compare(options)
    labels = modular_labels.compare(options)
    sparse, run_of_sparse = modular_text.learned(options, sparse=True)
    dense, run_of_dense = modular_text.learned(options, sparse=False)
    devices = modular_devices.end(process)
    counts = {kind: modular_text.multiply_adds(kind == "sparse") for kind in ("sparse", "dense")}
    assert counts["sparse"] <= counts["dense"]
    history, usage = run_of_sparse.history, shares(run_of_sparse.train.state)
    return Result(
        checks=(
            Check(
                "pieces_error_of_single",
                pieces.errors["mixture"] / pieces.single,
                PIECES_THRESHOLD,
                False,
            ),
            Check("labels_micro_f1", labels["micro_f1"], LABELS_THRESHOLD),
            Check("text_loss_of_dense", sparse["loss"] / dense["loss"], TEXT_THRESHOLD, False),
            Check("devices_difference", devices["modules_difference"], DIFFERENCE_THRESHOLD, False),
            Check("devices_all_to_all", devices["experts_difference"], DIFFERENCE_THRESHOLD, False),
            Check("devices_work", devices["modules_work"], WORK_THRESHOLD, False),
        ),
        baseline="the best single network on the pieces: 1 by definition",
        baseline_value=1.0,
        steps=modular_text.length(options),
        parameters=nn.count_params(run_of_sparse.train.params),
        metrics={f"pieces_{title.replace(' ', '_')}": e for title, e in pieces.errors.items()}
        | {"pieces_agreement": pieces.agreement}
        | {f"labels_{title}": value for title, value in labels.items()}
        | {"text_loss": sparse["loss"], "text_dense_loss": dense["loss"]}
        | {"text_multiply_adds": float(counts["sparse"])}
        | {"text_dense_multiply_adds": float(counts["dense"])}
        | {"text_dropped": history[-1]["dropped"], "text_usage_least": history[-1]["usage_least"]}
        | {"devices_all_to_all_work": devices["experts_work"]},
        history=history,
        figures={
            "pieces": pieces.picture,
            "text": draw(history, run_of_dense.history, sparse["loss"], dense["loss"], usage),
        },
    )


def shares(state) -> list[jax.Array]:
    """The usage [experts] of each block, in the last step."""
    (routing,) = nn.mixture.routings(state)
    return list(routing.usage)


def draw(history, beside, loss: float, dense_loss: float, usage: list[jax.Array]) -> Figure:
    """How both networks of characters learned, and how much each expert was used."""
    figure = Figure(figsize=(12, 5), layout="constrained")
    figure.suptitle(
        f"Shakespeare: {loss:.3f} nats a character with experts, {dense_loss:.3f} without",
        fontsize=14,
    )
    left, right = figure.subplots(1, 2)
    for rows, title in ((history, "2 of 8 experts"), (beside, "dense, as many multiply-adds")):
        left.plot([row["step"] for row in rows], [row["loss"] for row in rows], "o-", label=title)
    left.set(title="Learned text, mean since the last", xlabel="step", ylabel="loss (nats)")
    left.legend()
    for block, share in enumerate(usage):
        places = [expert + 0.4 * block for expert in range(len(share))]
        right.bar(places, share, 0.4, label=f"block {block}")
    right.axhline(1 / len(usage[0]), color="gray", linestyle=":", label="equal shares")
    right.set(
        title="Usage of the experts, last step", xlabel="expert", ylabel="share of characters"
    )
    right.set_ylim(top=1.2 * max(float(share.max()) for share in usage))
    right.legend(ncols=3)
    return figure

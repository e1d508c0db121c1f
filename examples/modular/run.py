"""The run of the example: the four parts, one after the other."""

import jax
import jax.numpy as jnp

import jaxnn as nn
from examples import Check, Options, Result
from examples.modular import devices, figures, labels, pieces, text

PIECES_THRESHOLD = 0.5  # of the squared error of the best single network
LABELS_THRESHOLD = 0.63  # micro-F1
TEXT_THRESHOLD = 1.0  # of the dense network's loss
DIFFERENCE_THRESHOLD = 1e-5  # between 1 and 8 devices
WORK_THRESHOLD = 0.25  # of one of 8 devices, as a share of all the work


def plan(options: Options):
    _, step, train = text.learner(options, sparse=True)
    return step, train, jax.ShapeDtypeStruct((text.BATCH, text.CONTEXT + 1), jnp.uint8)


def run(options: Options) -> Result:
    # The process compiles on the second core while the other parts run on the first.
    process = devices.start()
    of_pieces = pieces.compare(options)
    of_labels = labels.compare(options)
    of_text = text.compare(options)
    of_devices = devices.finish(process)
    end = of_text.sparse_run
    return Result(
        checks=checks(of_pieces, of_labels, of_text, of_devices),
        baseline="the best single network on the pieces: 1 by definition",
        baseline_value=1.0,
        steps=text.training_steps(options),
        parameters=nn.count_params(end.train.params),
        metrics=measurements(of_pieces, of_labels, of_text, of_devices),
        history=end.history,
        figures={
            "pieces": figures.draw_pieces(of_pieces),
            "text": figures.draw_text(
                sparse=end.history,
                dense=of_text.dense_run.history,
                loss=of_text.loss,
                dense_loss=of_text.dense_loss,
                usage=usage_by_block(end.train.state),
            ),
        },
    )


def checks(
    of_pieces: pieces.Pieces,
    of_labels: dict[str, float],
    of_text: text.Comparison,
    of_devices: dict[str, float],
) -> tuple[Check, ...]:
    pieces_ratio = of_pieces.errors["mixture"] / of_pieces.single
    text_ratio = of_text.loss / of_text.dense_loss
    difference, all_to_all = (of_devices[f"{part}_difference"] for part in ("modules", "experts"))
    work = of_devices["modules_work"]
    return (
        Check("pieces_error_of_single", pieces_ratio, PIECES_THRESHOLD, higher_is_better=False),
        Check("labels_micro_f1", of_labels["micro_f1"], LABELS_THRESHOLD),
        Check("text_loss_of_dense", text_ratio, TEXT_THRESHOLD, higher_is_better=False),
        Check("devices_difference", difference, DIFFERENCE_THRESHOLD, higher_is_better=False),
        Check("devices_all_to_all", all_to_all, DIFFERENCE_THRESHOLD, higher_is_better=False),
        Check("devices_work", work, WORK_THRESHOLD, higher_is_better=False),
    )


def measurements(
    of_pieces: pieces.Pieces,
    of_labels: dict[str, float],
    of_text: text.Comparison,
    of_devices: dict[str, float],
) -> dict[str, float]:
    last = of_text.sparse_run.history[-1]
    return {
        **{f"pieces_{name.replace(' ', '_')}": error for name, error in of_pieces.errors.items()},
        "pieces_agreement": of_pieces.agreement,
        **{f"labels_{name}": value for name, value in of_labels.items()},
        "text_loss": of_text.loss,
        "text_dense_loss": of_text.dense_loss,
        "text_multiply_adds": float(text.multiply_adds(sparse=True)),
        "text_dense_multiply_adds": float(text.multiply_adds(sparse=False)),
        "text_dropped": last["dropped"],
        "text_usage_least": last["usage_least"],
        "devices_all_to_all_work": of_devices["experts_work"],
    }


def usage_by_block(state) -> list[jax.Array]:
    """The usage [experts] of each block, in the last step."""
    (routing,) = nn.mixture.routings(state)
    return list(routing.usage)

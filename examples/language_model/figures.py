"""The figure of the example."""

from matplotlib.figure import Figure

from examples import Check

MAX_CHARACTERS = 64  # of a line of generated text
MAX_LINES = 26


def draw(history: list[dict[str, float]], check: Check, lzma_loss: float, generated: str) -> Figure:
    """Draw the loss over steps, beside the generated text."""
    figure = Figure(figsize=(13, 6), layout="constrained")
    figure.suptitle(f"Shakespeare: {check.value:.3f} nats per character", fontsize=15)
    left, right = figure.subplots(1, 2, width_ratios=(1.2, 1))
    steps = [row["step"] for row in history]
    validation = [row["validation_loss"] for row in history]
    left.plot(steps, [row["loss"] for row in history], label="training text, mean since the last")
    left.plot(steps, validation, label="the last tenth")
    threshold = f"threshold, {check.threshold}"
    left.axhline(check.threshold, color="gray", linestyle=":", label=threshold)
    left.axhline(lzma_loss, color="tab:green", linestyle="--", label="lzma after the training text")
    left.set(title="Learning", xlabel="step", ylabel="loss (nats per character)")
    left.legend()
    right.axis("off")
    right.set_title("Generated text; the first lines were given")
    lines = [line[:MAX_CHARACTERS] for line in generated.split("\n")][:MAX_LINES]
    right.text(0, 1, "\n".join(lines), va="top", family="monospace", fontsize=9, parse_math=False)
    return figure

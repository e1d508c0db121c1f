"""The run of the example: all three tasks."""

import jaxnn as nn
from examples import Check, Options, Result, data
from examples.rbf import digits, patients, series
from examples.rbf.figures import draw_digits, draw_series

SERIES_THRESHOLD = 0.004  # the tuned network's root of the mean squared error
SHARE = 0.8  # of that error over the closed form's
BEHIND_RIDGE = 0.02  # how far R² of the patients may be below ridge regression's
DIGITS_THRESHOLD = 0.95  # accuracy
BEHIND_MACHINE = 0.008  # how far that accuracy may be below the support vector machine's


def run(options: Options) -> Result:
    closed, tuned = series.learned(options)
    r2 = patients.scores(options)
    rows = data.digits()
    ours, machine = digits.learned(options, rows), digits.machine_accuracy(options, rows)
    return Result(
        checks=(
            Check("series_rmse", tuned.error, SERIES_THRESHOLD, False),
            Check("share_of_the_closed_form", tuned.error / closed.error, SHARE, False),
            Check("r2_below_ridge", r2["ridge"] - r2["tuned"], BEHIND_RIDGE, False),
            Check("digits_accuracy", ours.accuracy, DIGITS_THRESHOLD),
            Check("digits_below_machine", machine - ours.accuracy, BEHIND_MACHINE, False),
        ),
        baseline="the closed form with its own best width",
        baseline_value=closed.error,
        steps=series.TASK.length(options),
        parameters=nn.count_params(tuned.params),
        metrics=series.metrics(closed, tuned)
        | {f"diabetes_r2_{name}": value for name, value in r2.items()}
        | {"digits_accuracy_closed_form": ours.closed_form_accuracy}
        | {"digits_accuracy_of_machine": machine}
        | {"digits_nats": ours.nats}
        | {"digits_parameters": float(nn.count_params(ours.params))},
        history=[{"task": 1, **row} for row in ours.history]
        + [{"task": 0, **row} for row in tuned.history],
        figures={
            "series": draw_series({"closed form": closed, "tuned": tuned}),
            "digits": draw_digits(ours.params, rows, ours.beliefs),
        },
    )

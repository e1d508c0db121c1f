"""The run of the example: compress digits and faces to codes of several sizes."""

import math

import jaxnn as nn
from examples import Check, Options, Result, data
from examples.compression import digits, faces
from examples.compression.digits import CODE
from examples.compression.figures import draw_errors, draw_images
from examples.compression.training import Compressed

DIGITS_THRESHOLD = 0.55  # of the error over that of as many principal components
FACES_THRESHOLD = 1.0
CODES = (2, 4, 8, 16, 32, 64)  # the sizes of the codes
QUICK_CODES = (CODE,)


def run(options: Options) -> Result:
    rows, images = data.digits(), data.faces()
    codes = QUICK_CODES if options.quick else CODES
    of_digits = {code: digits.compressed(options, code, rows) for code in codes}
    of_faces = {code: faces.compressed(options, code, images) for code in codes}
    digit, face = of_digits[CODE], of_faces[CODE]
    ratio, face_ratio = (each.error / each.components_error for each in (digit, face))
    return Result(
        checks=(
            Check("digits_error", ratio, DIGITS_THRESHOLD, higher_is_better=False),
            Check("faces_error", face_ratio, FACES_THRESHOLD, higher_is_better=False),
        ),
        baseline=f"{CODE} principal components, whose error is the unit",
        baseline_value=1.0,
        steps=digits.length(options),
        parameters=nn.count_params(digit.end.train.params),
        metrics=metrics("digits", of_digits)
        | metrics("faces", of_faces)
        | {"faces_parameters": float(nn.count_params(face.end.train.params))},
        history=digit.end.history,
        figures={
            "curve": draw_errors({"digits": of_digits, "faces": of_faces}),
            "digits": draw_images(digit, (28, 28), "digits", CODE),
            "faces": draw_images(face, (faces.HEIGHT, faces.WIDTH), "faces", CODE),
        },
    )


def metrics(title: str, found: dict[int, Compressed]) -> dict[str, float]:
    """The errors by the size of the code."""
    return (
        {f"{title}_mse_{code}": each.error for code, each in found.items()}
        | {f"{title}_mse_pca_{code}": each.components_error for code, each in found.items()}
        | {f"{title}_psnr": -10 * math.log10(found[CODE].error)}
    )

"""The run of the example: both tasks."""

import jax.numpy as jnp
import numpy as np

import jaxnn as nn
from examples import Check, Options, Result, data
from examples.video import directions, frames
from examples.video.figures import draw_directions, draw_frames

THRESHOLD = 37.0  # dB, 0.3 above one kernel for all pixels
DIRECTION_THRESHOLD = 0.97  # accuracy


def run(options: Options) -> Result:
    clip, split = data.city(), frames.TRAINING_FRAMES
    known, test = frames.windows(clip, 0, split), frames.windows(clip, split, len(clip))
    end = frames.learn(options, known)
    predicted = frames.predictions(end.train.params, known, test)
    ratios = {name: ratio(each, test[..., -1]) for name, each in predicted.items()}
    means = {name: float(each.mean()) for name, each in ratios.items()}

    digits = data.digits()
    direction_end, clips = directions.learn(options, digits), directions.fixed_clips(options, digits)
    beliefs = directions.beliefs(direction_end.train, clips.x)
    light = directions.by_light(np.asarray(clips.x)) == np.asarray(clips.direction)
    accuracy = directions.accuracy(direction_end.train, clips)
    return Result(
        checks=(
            Check("psnr", means["network"], THRESHOLD),
            Check("way_accuracy", accuracy, DIRECTION_THRESHOLD),
        ),
        baseline="one kernel for all pixels, by least squares",
        baseline_value=means["one kernel"],
        steps=frames.length(options),
        parameters=nn.count_params(end.train.params),
        metrics=metrics(ratios)
        | {"way_accuracy_by_light": float(np.mean(light))}
        | {"way_parameters": float(nn.count_params(direction_end.train.params))}
        | {"way_train_loss": direction_end.history[-1]["loss"]},
        history=end.history,
        figures={
            "next_frame": draw_frames(test[..., -1], predicted, ratios, split),
            "ways": draw_directions(clips, beliefs),
        },
    )


def ratio(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The peak signal-to-noise ratio of each frame, in dB."""
    return np.asarray(frames.decibels(jnp.asarray(prediction), jnp.asarray(truth)))


def metrics(ratios: dict[str, np.ndarray]) -> dict[str, float]:
    return {
        "psnr_gain": float((ratios["network"] - ratios["one kernel"]).mean()),
        "psnr_of_the_last_frame_moved": float(ratios["last frame, moved"].mean()),
        "psnr_of_the_last_frame": float(ratios["last frame"].mean()),
    }

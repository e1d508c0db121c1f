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
    clip, split, digits = data.city(), frames.TRAINING_FRAMES, data.digits()
    known, test = frames.windows(clip, 0, split), frames.windows(clip, split, len(clip))
    end = frames.learn(options, known)
    predicted = frames.predictions(end.train.params, known, test)
    ratios = {name: ratio(each, test[..., -1]) for name, each in predicted.items()}
    direction_end = directions.learn(options, digits)
    clips = directions.fixed_clips(options, digits)
    accuracy = directions.accuracy(direction_end.train, clips)
    beliefs = directions.beliefs(direction_end.train, clips.x)
    return Result(
        checks=(
            Check("psnr", float(ratios["network"].mean()), THRESHOLD),
            Check("way_accuracy", accuracy, DIRECTION_THRESHOLD),
        ),
        baseline="one kernel for all pixels, by least squares",
        baseline_value=float(ratios["one kernel"].mean()),
        steps=frames.length(options),
        parameters=nn.count_params(end.train.params),
        metrics=frame_metrics(ratios) | direction_metrics(direction_end, clips),
        history=end.history,
        figures={
            "next_frame": draw_frames(test[..., -1], predicted, ratios, split),
            "ways": draw_directions(clips, beliefs),
        },
    )


def ratio(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The peak signal-to-noise ratio of each frame, in dB."""
    return np.asarray(frames.decibels(jnp.asarray(prediction), jnp.asarray(truth)))


def frame_metrics(ratios: dict[str, np.ndarray]) -> dict[str, float]:
    return {
        "psnr_gain": float((ratios["network"] - ratios["one kernel"]).mean()),
        "psnr_of_the_last_frame_moved": float(ratios["last frame, moved"].mean()),
        "psnr_of_the_last_frame": float(ratios["last frame"].mean()),
    }


def direction_metrics(end: nn.training.FitResult, clips: directions.Clips) -> dict[str, float]:
    by_light = directions.by_light(np.asarray(clips.x))
    return {
        "way_accuracy_by_light": float(np.mean(by_light == np.asarray(clips.direction))),
        "way_parameters": float(nn.count_params(end.train.params)),
        "way_train_loss": end.history[-1]["loss"],
    }

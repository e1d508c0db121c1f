"""The run of the example: train the networks, classify the test recordings, and measure."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.svm import SVC

import jaxnn as nn
from examples import Check, Options, Result, data
from examples.data.speech import RATE, SPEAKERS, TESTS
from examples.speech import figures, recognition, strings
from examples.speech.network import HOP, STRIDE, WINDOW, forward_net, net
from examples.speech.recognition import classify, edit_distances, logits_of, svm_features
from examples.speech.strings import MAX_DIGITS, Recordings, Strings
from examples.speech.training import ROWS, Start, begin, learn

THRESHOLD = 0.97  # accuracy on single digits
ERROR_THRESHOLD = 0.05  # edits per digit in strings
STEPS = 1000  # of training the network
COMPARISON_STEPS = 250  # of each network that is compared with it
STRINGS = 300  # test strings
QUICK_STRINGS = 20
QUICK_RECORDINGS = 250  # training recordings of a quick run
STREAMED = 50  # test strings that are also recognized one step at a time
SVM_PENALTY = 10


class Recognized(NamedTuple):
    """What the network recognizes in the test strings.

    logits: [rows, steps, 11].
    steps: int [rows], the number of steps of each string.
    beam: int [rows, labels], the result of beam search.
    paths: int [rows, steps], the index of the label at each step of the best alignment, or -1.
    """

    logits: jax.Array
    steps: jax.Array
    beam: np.ndarray
    paths: np.ndarray


class Accuracies(NamedTuple):
    """Accuracies on recordings of a speaker that neither model was trained on."""

    network: float
    svm: float


def plan(options: Options):
    start = begin(options, net, STEPS)
    rows = jax.ShapeDtypeStruct((ROWS * MAX_DIGITS,), jnp.int32)
    x = jax.ShapeDtypeStruct((ROWS * MAX_DIGITS, strings.MAX_SAMPLES), jnp.float32)
    return start.step, start.train, Recordings(x, rows, rows, rows)


def run(options: Options) -> Result:
    spoken, speakers = data.spoken_digits(), list(range(len(SPEAKERS)))
    training = strings.recordings(spoken, speakers, slice(TESTS, None), training_rows(options))
    tests = strings.recordings(spoken, speakers, slice(TESTS))
    test_strings = strings.fixed_strings(tests, QUICK_STRINGS if options.quick else STRINGS)

    start = begin(options, net, STEPS)
    end = learn(start, training)
    predictions = classify(net, end.train.params, tests)
    recognized = recognize(end.train.params, test_strings)
    errors = error_rate(recognized.beam, test_strings)
    # A quick run uses the compiled step again for the network of one speaker.
    comparison = start if options.quick else begin(options, net, COMPARISON_STEPS)
    others = held_out_speakers(options, comparison, spoken)
    streamed = {} if options.quick else streaming(options, training, test_strings)
    return Result(
        checks=(
            Check("accuracy", float((predictions == tests.digits).mean()), THRESHOLD),
            Check("digit_error_rate", errors, ERROR_THRESHOLD, higher_is_better=False),
        ),
        baseline="support vector machine on spectrograms resampled to one length",
        baseline_value=svm_accuracy(training, tests),
        steps=int(end.train.step),
        parameters=nn.count_params(end.train.params),
        metrics=measurements(recognized, test_strings, others) | streamed,
        history=end.history,
        figures=draw(recognized, test_strings, tests, predictions, others),
    )


def training_rows(options: Options) -> int | None:
    return QUICK_RECORDINGS if options.quick else None


def recognize(params, spoken: Strings) -> Recognized:
    logits, steps = logits_of(net, params, spoken)
    beam = np.asarray(jax.jit(nn.ctc.beam_search)(logits, steps)[0][:, 0])
    paths = np.asarray(jax.jit(nn.ctc.align)(logits, spoken.labels, steps)[0])
    return Recognized(logits, steps, beam, paths)


def error_rate(predictions, spoken: Strings) -> float:
    """Edits per digit."""
    return edit_distances(predictions, spoken).sum() / int(np.sum(spoken.labels != 0))


def svm_accuracy(training: Recordings, tests: Recordings) -> float:
    svm = SVC(C=SVM_PENALTY).fit(svm_features(training), training.digits)
    return float(svm.score(svm_features(tests), tests.digits))


def held_out_speakers(options: Options, start: Start, spoken: data.Spoken) -> dict[str, Accuracies]:
    """For each speaker, the accuracies of models that were trained on the other speakers."""
    accuracies = {}
    for speaker, name in enumerate(SPEAKERS[:1] if options.quick else SPEAKERS):
        others = [other for other in range(len(SPEAKERS)) if other != speaker]
        training = strings.recordings(spoken, others, slice(None), training_rows(options))
        tests = strings.recordings(spoken, [speaker], slice(None))
        predictions = classify(net, learn(start, training).train.params, tests)
        accuracy = float((predictions == tests.digits).mean())
        accuracies[name] = Accuracies(accuracy, svm_accuracy(training, tests))
    return accuracies


def streaming(options: Options, training: Recordings, spoken: Strings) -> dict[str, float]:
    """The error rate of the forward net, and its largest difference from itself one step a call."""
    params = learn(begin(options, forward_net, COMPARISON_STEPS), training).train.params
    logits, steps = logits_of(forward_net, params, spoken)
    stepwise = recognition.stream_logits(params, recognition.spectrograms(spoken)[:STREAMED])
    inside = nn.length_mask(steps[:STREAMED], logits.shape[1])[..., None]
    difference = jnp.where(inside, jnp.abs(stepwise - logits[:STREAMED]), 0)
    return {
        "streamed_digit_error_rate": error_rate(nn.ctc.greedy(logits, steps), spoken),
        "streamed_difference": float(difference.max()),
    }


def measurements(
    recognized: Recognized, spoken: Strings, others: dict[str, Accuracies]
) -> dict[str, float]:
    greedy = nn.ctc.greedy(recognized.logits, recognized.steps)
    return {
        "greedy_digit_error_rate": error_rate(greedy, spoken),
        "strings_right": float((edit_distances(recognized.beam, spoken) == 0).mean()),
        "aligned": recognition.alignment_accuracy(recognized.paths, spoken),
        "held_out_accuracy": float(np.mean([each.network for each in others.values()])),
        "held_out_accuracy_of_svm": float(np.mean([each.svm for each in others.values()])),
        **{f"held_out_{name}": each.network for name, each in others.items()},
    }


def draw(
    recognized: Recognized,
    spoken: Strings,
    tests: Recordings,
    predictions: np.ndarray,
    others: dict[str, Accuracies],
) -> dict:
    return {
        "strings": figures.draw_strings(
            recognition.spectrograms(spoken),
            np.asarray(jax.nn.softmax(recognized.logits)),
            recognized.paths,
            recognized.beam,
            spoken,
            figures.TimeScale(frame=HOP / RATE, step=STRIDE * HOP / RATE, first=WINDOW / 2 / RATE),
        ),
        "errors": figures.draw_errors(tests, predictions, others),
    }

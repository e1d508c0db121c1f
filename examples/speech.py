"""A recurrent network hears spoken digits, one by one and in strings without alignment.

It reads log-mel spectrograms, computed on the device, with a convolution that shortens time and
two recurrent layers that run both ways, and learns by connectionist temporal classification from
strings of 1 to 6 digits that every step joins anew out of the training recordings: each digit at a
speed and a loudness of its own, with silence between and noise over all, and with bands of pitch
and spans of time hidden. A digit alone is a string of one: the answer is the likeliest such string.

The official test recordings, takes 0 to 4, are heard by a network that learned from the others; and
for each speaker there is a network that learned from the five others alone. A network that runs
forwards alone is served one step at a time, as speech comes in. All was chosen on takes 5 to 9,
held out from the rest of the training recordings; the test recordings chose nothing.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.svm import SVC

import jaxnn as nn
from examples import Check, Options, Result, data, speech_pictures, strings
from examples.data.speech import RATE, SPEAKERS, TESTS
from examples.strings import MOST, Recordings, Strings

THRESHOLD, ERROR_THRESHOLD = 0.97, 0.05  # accuracy of digits alone; errors a digit in strings
MELS, RANGE = 40, 10.0  # bands; what is softer than the loudest by more (in nepers) is silence
WINDOW, HOP, STRIDE = 200, 80, 3  # samples of a frame, samples between frames, frames of a step
CHANNELS, WIDTH, DROP = 64, 96, 0.1
SPEED, NOISE = 0.15, (1e-5, 3e-2)  # change of speed; deviation of the noise, by its logarithm
BAND, SPAN = 8, 15  # mels and frames that are hidden at most, twice each
SAMPLES, ROWS, PEAK = 24000, 32, 3e-3  # of a string in training; strings a step; learning rate
STEPS, ASIDE, QUICK_STEPS = 1000, 250, 8  # of the net, and of each other one beside it
SAYINGS, QUICK_SAYINGS, QUICK_ROWS = 300, 20, 250  # test strings; recordings to learn from
PART, LENGTH = 50, 20  # rows that are heard at once; frames that the machine sees

front = nn.log_mel(MELS, RATE, window=WINDOW, hop=HOP, floor=1e-9)
shorten = nn.serial(
    *(nn.conv(CHANNELS, 5), nn.layer_norm(), jax.nn.gelu),
    *(nn.conv(CHANNELS, 5, stride=STRIDE, padding=2), nn.layer_norm(), jax.nn.gelu),
    nn.dropout(DROP),
)


def tagger(both_ways: bool) -> nn.Cell:
    """Logits of the blank and ten digits at each step, of features [rows, steps, CHANNELS]."""
    body = nn.rnn(nn.gru, WIDTH, 2, bidirectional=both_ways, dropout=DROP)
    return nn.rnn_tagger(body, 11, dropout=DROP)


def recogniser(cell: nn.Cell) -> nn.Layer:
    """The same of (spectrograms [rows, frames, MELS], steps [rows])."""
    return nn.wire(
        lambda f, x: f.reader((f.shorten(x[0]), x[1])), shorten=shorten, reader=nn.unroll(cell)
    )


forwards = tagger(False)
net, net_forwards = recogniser(tagger(True)), recogniser(forwards)


def spectrogram(x: jax.Array, lengths: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Waveforms [rows, samples] as [rows, frames, MELS] in [-2, 2], and the steps of each row.

    The loudest band of a row is at 2, whatever the gain of its recording.
    """
    y = front((), x)
    frames = jnp.clip(1 + (lengths - WINDOW) // HOP, 0, y.shape[1])
    inside = nn.length_mask(frames, y.shape[1])[..., None]
    top = jnp.where(inside, y, -jnp.inf).max(axis=(1, 2), keepdims=True)
    y = jnp.maximum((y - top) * (4 / RANGE) + 2, -2)
    return jnp.where(inside, y, 0), -(-frames // STRIDE)


def ctc(logits: jax.Array, steps: jax.Array, labels: jax.Array) -> jax.Array:
    """Minus the logarithm of the probability of each row's labels."""
    padding = 1.0 - nn.length_mask(steps, logits.shape[1])
    return optax.ctc_loss(logits, padding, labels, 1.0 * (labels == 0))


def losses(net: nn.Layer):
    """The loss a digit, on strings that are joined out of a batch of recordings."""

    def loss(params, state, batch: Recordings, *, key, train):
        keys = [jax.random.fold_in(key, i) for i in range(5)]
        said = strings.drawn(keys[0], batch, SAMPLES, SPEED)
        low, high = np.log(NOISE)
        deviation = jnp.exp(jax.random.uniform(keys[1], (len(said.x), 1), minval=low, maxval=high))
        x = said.x + deviation * jax.random.normal(keys[2], said.x.shape)
        y, steps = spectrogram(x, said.lengths)
        y = nn.spec_augment(keys[3], y, band=BAND, span=SPAN)
        logits = net(params, (y, steps), key=keys[4], train=train)
        digits = jnp.maximum(jnp.sum(said.labels != 0), 1)
        return ctc(logits, steps, said.labels).sum() / digits, (state, {})

    return loss


def begin(options: Options, net: nn.Layer, steps: int):
    """(step, where it starts, how many there are) of a net."""
    steps = QUICK_STEPS if options.quick else steps
    rate = optax.warmup_cosine_decay_schedule(0.0, PEAK, min(100, steps // 5), steps)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate, weight_decay=1e-2))
    x = jax.ShapeDtypeStruct((ROWS, 1 + (SAMPLES - WINDOW) // HOP, MELS), jnp.float32)
    lengths = jax.ShapeDtypeStruct((ROWS,), jnp.int32)
    train = nn.training.init_train(net, optimizer, jax.random.key(options.seed), (x, lengths))
    return nn.training.step(losses(net), optimizer), train, steps


def plan(options: Options):
    step, train, _ = begin(options, net, STEPS)
    rows = jax.ShapeDtypeStruct((ROWS * MOST,), jnp.int32)
    x = jax.ShapeDtypeStruct((ROWS * MOST, strings.LONGEST), jnp.float32)
    return step, train, Recordings(x, rows, rows, rows)


def few(options: Options) -> int | None:
    return QUICK_ROWS if options.quick else None


def learned(begun, held: Recordings) -> nn.training.FitResult:
    step, train, steps = begun
    every = min(50, steps // 4)
    return nn.training.fit(step, train, held, steps=steps, batch_size=ROWS * MOST, every=every)


def run(options: Options) -> Result:
    spoken, everyone = data.spoken_digits(), list(range(len(SPEAKERS)))
    known = strings.recordings(spoken, everyone, slice(TESTS, None), few(options))
    tests = strings.recordings(spoken, everyone, slice(TESTS))
    said = strings.sayings(tests, QUICK_SAYINGS if options.quick else SAYINGS)
    digits = int(np.sum(said.labels != 0))

    begun = begin(options, net, STEPS)
    end = learned(begun, known)
    guesses = alone(end.train.params, tests)
    logits, steps = heard(net, end.train.params, said)
    beam = np.asarray(jax.jit(nn.ctc.beam_search)(logits, steps)[0][:, 0])
    wrong = errors(beam, said)
    paths = np.asarray(jax.jit(nn.ctc.align)(logits, said.labels, steps)[0])
    machine = SVC(C=10).fit(stretched(known), known.digits)
    # What a quick run does beside it shall not be compiled anew.
    others = held_out(options, begun if options.quick else begin(options, net, ASIDE), spoken)
    stream = {} if options.quick else streamed(options, known, said)
    return Result(
        checks=(
            Check("accuracy", float((guesses == tests.digits).mean()), THRESHOLD),
            Check(
                "digit_error_rate", wrong.sum() / digits, ERROR_THRESHOLD, higher_is_better=False
            ),
        ),
        baseline="support vector machine on spectrograms stretched to one length",
        baseline_value=float(machine.score(stretched(tests), tests.digits)),
        steps=int(end.train.step),
        parameters=nn.count_params(end.train.params),
        metrics={
            "greedy_digit_error_rate": errors(nn.ctc.greedy(logits, steps), said).sum() / digits,
            "strings_right": float((wrong == 0).mean()),
            "aligned": aligned(paths, said),
            "held_out_accuracy": float(np.mean([own for own, _ in others.values()])),
            "held_out_accuracy_of_machine": float(np.mean([its for _, its in others.values()])),
            **{f"held_out_{name}": own for name, (own, _) in others.items()},
            **stream,
        },
        history=end.history,
        figures={
            "strings": speech_pictures.draw_strings(
                *(spectra(said), np.asarray(jax.nn.softmax(logits)), paths, beam, said),
                speech_pictures.Scale(HOP / RATE, STRIDE * HOP / RATE, WINDOW / 2 / RATE),
            ),
            "errors": speech_pictures.draw_errors(tests, guesses, others),
        },
    )


def held_out(options: Options, begun, spoken: data.Spoken) -> dict[str, tuple[float, float]]:
    """For each speaker the accuracy of a net, and of a machine, that heard the others alone."""
    found = {}
    for who, name in enumerate(SPEAKERS[:1] if options.quick else SPEAKERS):
        others = [other for other in range(len(SPEAKERS)) if other != who]
        known = strings.recordings(spoken, others, slice(None), few(options))
        unknown = strings.recordings(spoken, [who], slice(None))
        guesses = alone(learned(begun, known).train.params, unknown)
        machine = SVC(C=10).fit(stretched(known), known.digits)
        its = machine.score(stretched(unknown), unknown.digits)
        found[name] = float((guesses == unknown.digits).mean()), float(its)
    return found


def streamed(options: Options, known: Recordings, said: Strings) -> dict[str, float]:
    """What a net hears that runs forwards alone, and how far it is from itself served by steps."""
    params = learned(begin(options, net_forwards, ASIDE), known).train.params
    logits, steps = heard(net_forwards, params, said)
    wrong = errors(nn.ctc.greedy(logits, steps), said)
    stepwise = served(params, spectra(said)[:PART])
    counts = nn.length_mask(steps[:PART], logits.shape[1])[..., None]
    apart = jnp.where(counts, jnp.abs(stepwise - logits[:PART]), 0)
    return {
        "streamed_digit_error_rate": wrong.sum() / np.sum(said.labels != 0),
        "streamed_difference": float(apart.max()),
    }


def served(params, spectra) -> jax.Array:
    """Logits of the net that runs forwards alone, one step at a time.

    Its convolution sees four frames ahead, 0.04 seconds, which is all that it lags behind.
    """
    x = shorten(params["shorten"], jnp.asarray(spectra))
    memory, parts = forwards.carry(params["reader"], x), []
    serve = jax.jit(lambda memory, x: forwards.apply(params["reader"], (), (memory, x))[0])
    for i in range(x.shape[1]):
        memory, y = serve(memory, x[:, i : i + 1])
        parts.append(y)
    return jnp.concatenate(parts, axis=1)


# What is heard


def by_parts(function, said: Strings):
    """function(x, lengths) of strings, PART rows at a time, for what is between needs room."""
    ends = range(PART, len(said.x) + PART, PART)
    parts = [function(said.x[end - PART : end], said.lengths[end - PART : end]) for end in ends]
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)


look = jax.jit(spectrogram)


def spectra(said: Strings) -> np.ndarray:
    return np.asarray(by_parts(look, said)[0])


@functools.partial(jax.jit, static_argnums=0)
def logits_of(net, params, x, lengths):
    y, steps = spectrogram(x, lengths)
    return net(params, (y, steps)), steps


def heard(net: nn.Layer, params, said: Strings) -> tuple[jax.Array, jax.Array]:
    """Logits [rows, steps, 11] of strings, and the steps of each."""
    return by_parts(functools.partial(logits_of, net, params), said)


def likeliest(logits: jax.Array, steps: jax.Array) -> jax.Array:
    """The digit of each row whose string of one is the likeliest."""
    every = jnp.broadcast_to(jnp.arange(1, 11)[:, None, None], (10, len(logits), 1))
    return jnp.argmin(jax.vmap(lambda labels: ctc(logits, steps, labels))(every), axis=0)


@jax.jit
def digit_of(params, x, lengths):
    return likeliest(*logits_of(net, params, x, lengths))


def alone(params, held: Recordings) -> np.ndarray:
    """The digit that the net hears in each recording."""
    return np.asarray(by_parts(functools.partial(digit_of, params), strings.alone(held)))


def stretched(held: Recordings) -> np.ndarray:
    """The spectrogram of each recording at LENGTH frames, as one row."""
    said = strings.alone(held)
    frames = 1 + (said.lengths - WINDOW) // HOP
    places = np.linspace(0, frames - 1, LENGTH).round().astype(int).T
    return np.take_along_axis(spectra(said), places[..., None], axis=1).reshape(len(places), -1)


def errors(guess, said: Strings) -> np.ndarray:
    """Digits to insert, to delete or to exchange in each row."""
    return np.asarray(nn.ctc.edit_distance(jnp.asarray(guess), jnp.asarray(said.labels)))


def aligned(paths: np.ndarray, said: Strings) -> float:
    """The share of digits that the best alignment puts where they are, though none was told it."""
    rows, steps = np.nonzero(paths >= 0)
    middle, label = steps * STRIDE * HOP + WINDOW // 2, paths[rows, steps]
    inside = (middle >= said.starts[rows, label]) & (middle <= said.ends[rows, label])
    return float(inside.mean())

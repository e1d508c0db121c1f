"""Speech."""

import io
import wave
import zipfile
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from examples.data.fetched import fetched

ARCHIVE, RATE = "free-spoken-digit-dataset.zip", 8000  # samples a second
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
TAKES, TESTS = 50, 5  # recordings of a digit by a speaker; the first of them are to test


class Spoken(NamedTuple):
    """Recordings one after the other; each has its place by speaker, digit and take.

    samples: float32 [samples of all], in [-1, 1].
    starts, lengths: int32 [6 speakers, 10 digits, 50 takes], in samples; takes 0 to 4 are to test.
    """

    samples: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray


def spoken_digits() -> Spoken:
    """3000 recordings of the digits in English, by six speakers: 2700 to learn from, 300 to test.

    Each is of one digit at 8000 samples a second, cut close to where speech begins and ends.

    Raises:
      ImportError, OSError: as `fetched` does; where recordings are absent, empty or of another
        kind, with what is wrong.

    (Jackson et al., Free spoken digit dataset, 2016.)
    """
    return unpacked(fetched(ARCHIVE))


def unpacked(path: Path, speakers: tuple[str, ...] = SPEAKERS, takes: int = TAKES) -> Spoken:
    """The recordings in an archive, whichever folder they lie in."""
    mend = f"delete {path}, so that it is fetched again."
    try:
        with zipfile.ZipFile(path) as archive:
            held = {PurePosixPath(name).name: name for name in archive.namelist()}
            wanted = [
                f"{digit}_{speaker}_{take}.wav"
                for speaker in speakers
                for digit in range(10)
                for take in range(takes)
            ]
            absent = [name for name in wanted if name not in held]
            if absent:
                raise OSError(
                    f"{path} lacks {len(absent)} of {len(wanted)} recordings, such as {absent[0]}: "
                    f"{mend}"
                )
            pieces = [_samples(archive.read(held[name]), f"{path}: {name}") for name in wanted]
    except (zipfile.BadZipFile, wave.Error, EOFError) as error:
        raise OSError(f"{path} is damaged ({error}): {mend}") from error
    lengths = np.array([len(piece) for piece in pieces], np.int32)
    shape = (len(speakers), 10, takes)
    starts = (np.cumsum(lengths) - lengths).astype(np.int32)
    samples = np.concatenate(pieces).astype(np.float32) / 32768
    return Spoken(samples, starts.reshape(shape), lengths.reshape(shape))


def _samples(content: bytes, title: str) -> np.ndarray:
    """The samples of a recording, int16."""
    with wave.open(io.BytesIO(content)) as recording:
        kind = recording.getframerate(), 8 * recording.getsampwidth(), recording.getnchannels()
        if kind != (RATE, 16, 1):
            raise OSError(
                f"{title} has (samples a second, bits, channels) {kind}, not {(RATE, 16, 1)}: "
                "convert it."
            )
        samples = np.frombuffer(recording.readframes(recording.getnframes()), "<i2")
    if not len(samples):
        raise OSError(f"{title} holds no samples: take it anew.")
    return samples

"""Recordings of speech."""

import io
import wave
import zipfile
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from examples.data.fetched import fetched

ARCHIVE = "free-spoken-digit-dataset.zip"
RATE = 8000  # samples a second
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
TAKES = 50  # recordings of a digit by a speaker
TESTS = 5  # the first of them, which are for test


class Spoken(NamedTuple):
    """Recordings, concatenated.

    samples: float32 [samples of all], in [-1, 1].
    starts, lengths: int32 [6 speakers, 10 digits, 50 takes], in samples, of each
      recording; takes 0 to 4 are for test.
    """

    samples: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray


def spoken_digits() -> Spoken:
    """3000 recordings of English digits by six speakers: 2700 for training and 300 for test.

    Each is of one digit at 8000 samples a second, trimmed to where speech begins and ends.

    Raises:
      ImportError, OSError: as `fetched`.
      OSError: if recordings are absent, empty or of another format, with the fault.

    (Jackson et al., Free spoken digit dataset, 2016.)
    """
    return unpacked(fetched(ARCHIVE))


def unpacked(path: Path, speakers: tuple[str, ...] = SPEAKERS, takes: int = TAKES) -> Spoken:
    """The recordings in an archive, in whichever of its folders they are."""
    mend = f"delete {path}, so that it is downloaded again."
    try:
        with zipfile.ZipFile(path) as archive:
            members = {PurePosixPath(name).name: name for name in archive.namelist()}
            wanted = [
                f"{digit}_{speaker}_{take}.wav"
                for speaker in speakers
                for digit in range(10)
                for take in range(takes)
            ]
            absent = [name for name in wanted if name not in members]
            if absent:
                raise OSError(
                    f"{path} lacks {len(absent)} of {len(wanted)} recordings, for example "
                    f"{absent[0]}: {mend}"
                )
            pieces = [_samples(archive.read(members[name]), f"{path}: {name}") for name in wanted]
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
        raise OSError(f"{title} has no samples: record it again.")
    return samples

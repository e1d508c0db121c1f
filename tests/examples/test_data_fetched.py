import importlib
import zipfile

import pytest

from examples.data.fetched import fetched
from examples.data.social import plain_pickle

files = importlib.import_module("examples.data.fetched")
NAME = "free-spoken-digit-dataset.zip"
pooch = pytest.importorskip("pooch")


@pytest.mark.parametrize("content", [b"", b"<html>no such file</html>"])
def test_a_page_in_the_place_of_an_archive_is_not_kept(tmp_path, monkeypatch, content):
    monkeypatch.setenv("JAXNN_DATA", str(tmp_path))

    def retrieve(url, known, name, folder):
        path = folder / name
        path.write_bytes(content)
        return str(path)

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    with pytest.raises(OSError, match="is not free-spoken-digit-dataset.zip and was not kept"):
        fetched(NAME)
    assert not (tmp_path / NAME).exists()


def archive(path, recordings, prefix=""):
    with zipfile.ZipFile(path, "w") as made:
        made.writestr(f"{prefix}README.md", "any")
        for name, content in recordings.items():
            made.writestr(f"{prefix}recordings/{name}", content)


def test_an_archive_is_known_by_its_recordings(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXNN_DATA", str(tmp_path))
    pattern = files.MEMBERS[NAME][0]
    recordings = {"0_a_0.wav": b"one", "1_a_0.wav": b"two"}
    archive(tmp_path / "plain.zip", recordings)
    archive(tmp_path / NAME, dict(reversed(recordings.items())), "dataset-master/")
    digest = files.members_digest(tmp_path / "plain.zip", pattern)
    monkeypatch.setitem(files.MEMBERS, NAME, (pattern, digest))
    assert fetched(NAME) == tmp_path / NAME
    archive(tmp_path / NAME, recordings | {"1_a_0.wav": b"other"})
    with pytest.raises(OSError, match="is damaged, or holds other files than it should"):
        fetched(NAME)


@pytest.mark.parametrize("content", [b"", b"\x80\x02", b"not a pickle", b"\x80\x02}q\x00"])
def test_a_pickle_that_ends_too_soon_says_which(tmp_path, content):
    path = tmp_path / "ind.cora.x"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"ind\.cora\.x is not a pickle of arrays"):
        plain_pickle(path)

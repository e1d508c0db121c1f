"""Record files: what is written is read by its number, and what is no record file is refused."""

import sys

import pytest

from jaxnn.training import record_source, write_records

pytest.importorskip("grain", reason="pip install -e '.[train]'")


def test_the_records_of_several_files_follow_one_another(tmp_path):
    paths = [tmp_path / "a", tmp_path / "b"]
    assert write_records(paths[0], (bytes([row]) * row for row in range(3))) == 3
    assert write_records(str(paths[1]), [b"last"]) == 1
    source = record_source(paths)
    assert [source[row] for row in range(len(source))] == [b"", b"\1", b"\2\2", b"last"]
    write_records(paths[0], [b"anew"])
    assert record_source(paths[0])[0] == b"anew"


def test_what_is_no_record_file_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        record_source(tmp_path / "none.array_record")
    (tmp_path / "text").write_text("not records" * 100)
    with pytest.raises(OSError, match="not all are ArrayRecord files"):
        record_source([tmp_path / "text"])
    with pytest.raises(ValueError, match="one file at least"):
        record_source([])
    with pytest.raises(TypeError, match="record 1 is of str, not bytes"):
        write_records(tmp_path / "half", [b"a", "b"])  # pyright: ignore
    assert sorted(path.name for path in tmp_path.iterdir()) == ["text"]
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        write_records(tmp_path / "none" / "file", [b"a"])


@pytest.mark.parametrize(
    ("package", "call"),
    [
        ("grain", lambda: record_source("rows")),
        ("array_record.python", lambda: write_records("rows", [])),
    ],
)
def test_a_missing_package_is_told_with_the_command_that_installs_it(package, call, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=r"pip install -e '\.\[train\]'"):
        call()

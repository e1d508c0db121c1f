"""Record files: any record of a file of many, by its number, through ArrayRecord."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from jaxnn.checks import install


def record_source(paths: str | os.PathLike | Sequence[str | os.PathLike]) -> Any:
    """The records of ArrayRecord files, as a source of rows for `loader`.

    Args:
      paths: a file, or several, whose records follow one another.

    Returns:
      Grain's `ArrayRecordDataSource`: bytes by number, which the `read` of `loader` decodes.

    Raises:
      ImportError: if Grain or ArrayRecord is not installed, with the command that installs it.
      OSError: if a file does not exist or is no ArrayRecord file.

    >>> import pathlib, tempfile, jaxnn as nn
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "letters.array_record"
    >>> nn.training.write_records(path, [b"a", b"b"])
    2
    >>> nn.training.record_source(path)[1]
    b'b'
    """
    grain = grain_package()
    _array_record()
    paths = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not paths:
        raise ValueError("record_source takes one file at least, got none.")
    for path in paths:
        if not Path(path).is_file():
            raise FileNotFoundError(f"there is no file {path}: write it with write_records.")
    try:
        source = grain.sources.ArrayRecordDataSource([str(path) for path in paths])
        len(source)
    except (ValueError, RuntimeError) as error:
        raise OSError(
            f"{', '.join(map(str, paths))}: not all are ArrayRecord files ({error})."
        ) from error
    return source


def write_records(path: str | os.PathLike, records: Iterable[bytes]) -> int:
    """Writes an ArrayRecord file, of which `record_source` reads any record by its number.

    Args:
      path: the file, which is written anew.
      records: an iterable of bytes, such as `safetensors.numpy.save` makes of a dict of arrays.

    Returns:
      The number of records.

    Raises:
      ImportError: if ArrayRecord is not installed, with the command that installs it.
      TypeError: if a record is not bytes; nothing is written then.
      OSError: if the file cannot be written.

    >>> import pathlib, tempfile, jaxnn as nn
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "numbers.array_record"
    >>> nn.training.write_records(path, [bytes([row]) for row in range(3)])
    3
    """
    module = _array_record()
    if not os.fspath(path):
        raise ValueError("write_records: path is empty.")
    new = Path(f"{path}.new")
    if not new.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {new.parent} for {path}: make it.")
    # Groups of one record are what a reader of single records wants.
    writer, count = module.ArrayRecordWriter(str(new), "group_size:1"), 0
    try:
        for count, record in enumerate(records, 1):
            if not isinstance(record, bytes):
                raise TypeError(
                    f"record {count - 1} is of {type(record).__name__}, not bytes: encode it, as "
                    "safetensors.numpy.save does."
                )
            writer.write(record)
        writer.close()
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    new.replace(path)
    return count


def grain_package() -> Any:
    """Grain, or an ImportError with the command that installs it."""
    try:
        import grain
    except ImportError as error:
        raise ImportError(f"loaders need grain: {install('train')}") from error
    return grain


def _array_record() -> Any:
    try:
        from array_record.python import array_record_module  # pyright: ignore
    except ImportError as error:
        raise ImportError(f"record files need array_record: {install('train')}") from error
    return array_record_module

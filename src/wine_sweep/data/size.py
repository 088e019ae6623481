"""How large a table becomes when it is read, found out before it fills the memory."""

from __future__ import annotations

import gzip
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

_RATIO = 1032
"""Deflate makes no more than so many bytes of one; see https://zlib.net/zlib_tech.html."""

_PIECE = 1024 * 1024
_ROWS = 1024
_NUMBER = 8


def has_more_than(path: pathlib.Path, most: int) -> bool:
    """Whether a file has more than `most` bytes, unfolded where it is compressed.

    What a compressed file says of its own size is enough to refuse it, and not to trust it: then its bytes are counted.

    Raises:
        OSError: It cannot be read, or is not what its ending says.
        EOFError: It ends too early.
    """
    size = path.stat().st_size
    if path.suffix == ".parquet":
        return size > most or _parquet_has_more(path, most)
    if path.suffix != ".gz" or size > most:
        return size > most
    return size * _RATIO > most and (_said_by_gzip(path, size) > most or _gzip_has_more(path, most))


def _said_by_gzip(path: pathlib.Path, size: int) -> int:
    """Give the size that a gzip file ends with, modulo 4 GiB (RFC 1952, ISIZE)."""
    with path.open("rb") as file:
        file.seek(max(0, size - 4))
        return int.from_bytes(file.read(4), "little")


def _gzip_has_more(path: pathlib.Path, most: int) -> bool:
    count = 0
    with gzip.open(path) as file:
        while count <= most and (piece := file.read(_PIECE)):
            count += len(piece)
    return count > most


def _parquet_has_more(path: pathlib.Path, most: int) -> bool:
    """Add up what the pages unfold to; text is counted as it is read, since one word may stand for millions."""
    with pq.ParquetFile(path) as file:
        metadata = file.metadata
        unfolded = sum(metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups))
        numbers = _NUMBER * metadata.num_rows * metadata.num_columns
        if max(unfolded, numbers) > most:
            return True
        texts = [field.name for field in file.schema_arrow if not _is_plain(field.type)]
        count = 0
        for batch in file.iter_batches(batch_size=_ROWS, columns=texts) if texts else ():
            count += batch.nbytes
            if count > most:
                return True
    return False


def _is_plain(kind: pa.DataType) -> bool:
    """Whether each value takes a few bytes; categories are kept as numbers."""
    return bool(pa.types.is_primitive(kind) or pa.types.is_dictionary(kind) or pa.types.is_null(kind))

"""Archives that are the same bytes whenever their content is: no times, no owners, sorted names."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Mapping

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold
Files = Mapping[str, bytes]


def is_program(content: bytes) -> bool:
    return content.startswith(b"#!")


def tar_gz(files: Files) -> bytes:
    """{path: content} as .tar.gz; what begins with #! may be executed."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as stream, tarfile.open(fileobj=stream, mode="w") as tar:
        for path in sorted(files):
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(files[path]), 0o755 if is_program(files[path]) else 0o644
            tar.addfile(entry, io.BytesIO(files[path]))
    return packed.getvalue()


def zipped(files: Files) -> bytes:
    """{path: content} as .zip; what begins with #! may be executed."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(files):
            entry = zipfile.ZipInfo(path, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, so that the permissions below are read
            entry.external_attr = (0o100755 if is_program(files[path]) else 0o100644) << 16
            archive.writestr(entry, files[path])
    return packed.getvalue()

"""Given, nothing to do here: where the digits come from.

`find_digits` returns a folder that torchvision.datasets.MNIST(root) can read, whether the digits
are the bundled ones, the full MNIST, loose IDX files or the archive from Kaggle.
"""

import gzip
import hashlib
import math
import os
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

# MNIST's own file names, each with the number of axes its header must announce
FILES = {
    "train-images-idx3-ubyte": 3,
    "train-labels-idx1-ubyte": 1,
    "t10k-images-idx3-ubyte": 3,
    "t10k-labels-idx1-ubyte": 1,
}


class Unusable(Exception):
    """What was asked for cannot be used. The message is one sentence: what, where, what to do."""


@dataclass(frozen=True)
class Found:
    """One of the four files, wherever it is: in a folder or in a zip, compressed or not."""

    label: str  # how a message names it
    stamp: tuple[str, int, int]  # changes when the file does
    read: Callable[[], bytes]


def find_digits(choice: str = "bundled", here: Path | str = ".") -> Path:
    """Return the MNIST root for "bundled", "full" or a path. Raises Unusable.

    here  the folder of the program that asks: the bundled digits are beside it
    """
    here = Path(here).resolve()
    beside = here if (here / "digits").is_dir() else here.parent / "assignment"
    if choice == "bundled":
        return checked_root(beside / "digits", "restore the folder from the repository")
    if choice == "full":
        return full_digits((beside if beside.is_dir() else here) / "digits-full")

    path = Path(choice).expanduser()
    if not path.exists():
        raise Unusable(f"There is no {path}: give --digits an existing folder or zip file, or leave it out.")
    path = path.resolve()
    for folder in (path, path.parent, path.parent.parent):  # MNIST and MNIST/raw stand for their root
        if is_root(folder) and path in (folder, folder / "MNIST", folder / "MNIST" / "raw"):
            return checked_root(folder, "download it again")
    return arranged(path)


def is_root(path: Path) -> bool:
    return all((path / "MNIST" / "raw" / name).is_file() for name in FILES)


def checked_root(root: Path, advice: str) -> Path:
    """The root itself, once its four files are known to be whole and to fit together."""
    raw = root / "MNIST" / "raw"
    counts = {}
    for name in FILES:
        if not (raw / name).is_file():
            raise Unusable(f"The digits are not complete: {raw / name} is missing; {advice}.")
        with open(raw / name, "rb") as file:
            counts[name] = check_idx(file.read(16), (raw / name).stat().st_size, name, str(raw / name), advice)
    check_counts(counts, str(raw), advice)
    return root


def check_idx(head: bytes, size: int, name: str, label: str, advice: str) -> int:
    """How many images or labels an IDX file holds, from its first bytes and its size. Raises Unusable.

    IDX: two zero bytes, 8 for "unsigned bytes", the number of axes, then the length of each axis.
    """
    axes = FILES[name]
    start = 4 + 4 * axes
    if len(head) < start or head[:4] != bytes([0, 0, 8, axes]):
        raise Unusable(f"{label} is not an MNIST file (its first bytes are wrong); {advice}.")
    shape = struct.unpack(f">{axes}I", head[4:start])
    if shape[1:] not in ((), (28, 28)) or shape[0] == 0:
        raise Unusable(f"{label} should hold images of 28 x 28 pixels but announces the shape {shape}; {advice}.")
    if size != start + math.prod(shape):
        wanted = start + math.prod(shape)
        raise Unusable(f"{label} is damaged: {size:,} bytes instead of {wanted:,}; {advice}.")
    return int(shape[0])


def check_counts(counts: dict[str, int], where: str, advice: str) -> None:
    """As many labels as images, in the training files and in the test files."""
    for part in ("train", "t10k"):
        images, labels = counts[f"{part}-images-idx3-ubyte"], counts[f"{part}-labels-idx1-ubyte"]
        if images != labels:
            raise Unusable(
                f"The {part} files in {where} do not belong together ({images:,} images, {labels:,} labels); {advice}."
            )


def read_idx(path: Path) -> np.ndarray:
    """The array in an IDX file: images (N, 28, 28) or labels (N,), uint8."""
    data = path.read_bytes()
    axes = data[3]
    shape = struct.unpack(f">{axes}I", data[4 : 4 + 4 * axes])
    return np.frombuffer(data, dtype=np.uint8, offset=4 + 4 * axes).reshape(shape)


def full_digits(target: Path) -> Path:
    """The 60,000 + 10,000 images of MNIST, downloaded by torchvision on first use."""
    if target.exists():
        return checked_root(target, "delete that folder and run this again")
    from torchvision import datasets

    print(f"Downloading MNIST (11 MB) into {target} ...")

    def download(folder: Path) -> None:
        try:
            datasets.MNIST(folder, download=True)
        except (RuntimeError, OSError, EOFError, zlib.error) as error:
            raise Unusable(
                f"MNIST could not be downloaded ({one_line(error)}): check the network, or leave --digits out."
            ) from error

    return appear(target, download)


def arranged(path: Path) -> Path:
    """An MNIST root made from the IDX files in a folder or zip. It is kept beside it for the next time."""
    found = in_zip(path) if path.is_file() else in_folder(path)
    missing = [name for name in FILES if name not in found]
    if missing:
        raise Unusable(
            f"{path} does not hold MNIST's four IDX files ({missing[0]} is missing): "
            "use the folder or the zip as it was downloaded."
        )
    stamps = repr([found[name].stamp for name in FILES])
    name = f"{path.stem}-mnist-{hashlib.sha256(stamps.encode()).hexdigest()[:8]}"

    def copy(folder: Path) -> None:
        raw = folder / "MNIST" / "raw"
        raw.mkdir(parents=True)
        for name in FILES:
            (raw / name).write_bytes(found[name].read())
        checked = {n: contents(raw / n, n, found[n].label) for n in FILES}
        check_counts(checked, str(path), "download it again")

    for shelf in (path.parent, Path(tempfile.gettempdir())):  # the second when the first is read-only, as on Kaggle
        if is_root(shelf / name):
            return checked_root(shelf / name, "delete that folder and run this again")
        if os.access(shelf, os.W_OK):
            return appear(shelf / name, copy)
    raise Unusable(f"Nothing can be written beside {path}: copy it to a folder of your own and give that path.")


def contents(path: Path, name: str, label: str) -> int:
    data = path.read_bytes()
    count = check_idx(data[:16], len(data), name, label, "download it again")
    if FILES[name] == 1 and max(data[8:]) > 9:
        raise Unusable(f"{label} holds labels above 9, so it is not MNIST: download it again.")
    return count


def appear(target: Path, fill: Callable[[Path], None]) -> Path:
    """Make a folder that is complete or not there at all: filled under another name, then renamed."""
    half_made = None
    try:
        half_made = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        fill(half_made)
        (half_made / ".gitignore").write_text("*\n", encoding="utf-8")  # megabytes that nobody means to commit
        half_made.chmod(0o755)
        try:
            half_made.rename(target)
        except OSError:  # another run was faster: its folder is as good
            if not is_root(target):
                raise
    except OSError as error:
        raise Unusable(f"{target} could not be written ({one_line(error)}): make room there and try again.") from error
    finally:
        if half_made:
            shutil.rmtree(half_made, ignore_errors=True)
    return target


def official(name: str) -> str:
    """MNIST's own name for a file that may be called train-images.idx3-ubyte or ...-ubyte.gz."""
    return name.removesuffix(".gz").replace(".", "-")


def in_folder(folder: Path) -> dict[str, Found]:
    """The MNIST files in a folder or a few levels below, {official name: Found}; the one nearest to the top wins."""
    found: dict[str, Found] = {}
    levels = ("*ubyte*", "*/*ubyte*", "*/*/*ubyte*", "*/*/*/*ubyte*")  # not deeper: it may be a home folder
    files = [file for level in levels for file in folder.glob(level) if file.is_file()]
    for file in sorted(files, key=lambda file: (len(file.parts), str(file))):
        stat = file.stat()
        stamp = (str(file), stat.st_size, stat.st_mtime_ns)
        read = reader(file.read_bytes, str(file), file.suffix == ".gz")
        found.setdefault(official(file.name), Found(str(file), stamp, read))
    return found


def in_zip(path: Path) -> dict[str, Found]:
    """The MNIST files anywhere in a zip, {official name: Found}."""
    found: dict[str, Found] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if not info.is_dir() and "ubyte" in info.filename]
    except (zipfile.BadZipFile, OSError) as error:
        raise Unusable(f"{path} cannot be opened as a zip file ({one_line(error)}): download it again.") from error
    for info in sorted(members, key=lambda info: (info.filename.count("/"), info.filename)):

        def extract(member: str = info.filename) -> bytes:
            with zipfile.ZipFile(path) as archive:
                return archive.read(member)

        name = PurePosixPath(info.filename).name
        label = f"{info.filename} in {path}"
        stamp = (info.filename, info.file_size, info.CRC)
        found.setdefault(official(name), Found(label, stamp, reader(extract, label, name.endswith(".gz"))))
    return found


def reader(read: Callable[[], bytes], label: str, compressed: bool) -> Callable[[], bytes]:
    """`read`, uncompressed if need be; bytes that cannot be read become one sentence."""

    def whole() -> bytes:
        try:
            return gzip.decompress(read()) if compressed else read()
        except (OSError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile) as error:
            raise Unusable(f"{label} cannot be read ({one_line(error)}): download it again.") from error

    return whole


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__

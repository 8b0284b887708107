"""Download: public data sets, from the servers of their authors.

``download("bccd", folder)`` creates a complete and checked folder in VOC's layout, or none at all: bytes are kept in a
``.part`` file, from which a later call continues; archives are checked before they are opened, unpacked into a
temporary folder, and the finished folder is renamed into place.

Each `Source` says what is checked. VOC's archives have SHA-256 sums that several projects publish; Penn-Fudan's has
the one MD5 sum we found published, and its size; GitHub packs BCCD's archive on demand, so that its bytes vary, and the
files in it are compared with a sum of our own, of the commit named in the address.
"""

import hashlib
import http.client
import os
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from frcnn_edu.datasets.penn_fudan import to_voc_layout
from frcnn_edu.datasets.unpack import unpack

CHUNK = 2**18
TIMEOUT_SECONDS = 30.0
ATTEMPTS = 5
FIRST_PAUSE_SECONDS = 1.0
LARGEST_OF_UNKNOWN_SIZE = 200 * 2**20
SPACE_FACTOR = 2.5
"""Free bytes needed per byte of archive: the archive and its contents exist side by side for a while."""

USER_AGENT = "frcnn-edu"
BCCD_COMMIT = "d272fb14cdff6e473fafeeeba32aba5f560e9e43"


class DownloadError(RuntimeError):
    """A download that failed, leaving no incomplete folder; the message says what failed and what to do."""


@dataclass(frozen=True)
class Archive:
    """One file to fetch: its local name, its size in bytes, and its checksum as "sha256:..." or "md5:..."."""

    url: str
    filename: str
    size: int | None = None
    digest: str | None = None


@dataclass(frozen=True)
class Source:
    """A data set: its archives, the part of them to keep, and what is checked after unpacking."""

    name: str
    about: str
    archives: tuple[Archive, ...]
    keep: str
    patterns: tuple[str, ...] = ()
    content_digest: str | None = None
    """`content_digest(folder, patterns)` of the kept part, where the bytes of the archive may vary."""
    prepare: Callable[[Path], None] | None = None


SOURCES = {
    source.name: source
    for source in (
        Source(
            "voc2007",
            "PASCAL VOC 2007, trainval and test: 9963 photographs, 20 classes; photographs under Flickr's terms",
            (
                Archive(
                    "https://thor.robots.ox.ac.uk/pascal/VOC/voc2007/VOCtrainval_06-Nov-2007.tar",
                    "VOCtrainval_06-Nov-2007.tar",
                    460_032_000,
                    "sha256:7d8cd951101b0957ddfd7a530bdc8a94f06121cfc1e511bb5937e973020c7508",
                ),
                Archive(
                    "https://thor.robots.ox.ac.uk/pascal/VOC/voc2007/VOCtest_06-Nov-2007.tar",
                    "VOCtest_06-Nov-2007.tar",
                    451_020_800,
                    "sha256:6836888e2e01dca84577a849d339fa4f73e1e4f135d312430c4856b5609b4892",
                ),
            ),
            keep="VOCdevkit/VOC2007",
        ),
        Source(
            "bccd",
            "BCCD: 364 micrographs of blood, red and white cells and platelets; MIT licence",
            (
                Archive(
                    f"https://github.com/Shenggan/BCCD_Dataset/archive/{BCCD_COMMIT}.zip",
                    f"BCCD_Dataset-{BCCD_COMMIT[:8]}.zip",
                ),
            ),
            keep=f"BCCD_Dataset-{BCCD_COMMIT}/BCCD",
            patterns=("Annotations/*.xml", "ImageSets/Main/*.txt", "JPEGImages/*.jpg"),
            content_digest="sha256:0bb479c7ed1c5f1e410e8e3c1b9a1565ee37feeb8e6375f6c93534deebf720c1",
        ),
        Source(
            "penn-fudan",
            "Penn-Fudan: 170 photographs of streets, 345 pedestrians; for research",
            (
                Archive(
                    "https://www.cis.upenn.edu/~jshi/ped_html/PennFudanPed.zip",
                    "PennFudanPed.zip",
                    53_723_336,
                    "md5:5aaa3dee905cef73325923716e38fc6d",
                ),
            ),
            keep="PennFudanPed",
            prepare=to_voc_layout,
        ),
    )
}


def download(name: str, folder: str | os.PathLike, quiet: bool = False) -> Path:
    """Fetch a data set into ``folder/name`` and return that path, at once if it is there already.

    Raises ValueError for a name that is not in `SOURCES` and DownloadError where the download fails; what arrived is
    kept, and the next call continues from there.
    """
    if name not in SOURCES:
        raise ValueError(f"there is no data set {name!r}; there are {', '.join(SOURCES)}")
    return fetch(SOURCES[name], folder, quiet)


def fetch(source: Source, folder: str | os.PathLike, quiet: bool = False) -> Path:
    """`download` for a source given by the caller."""
    folder = Path(folder)
    done, unpacking = folder / source.name, folder / f".{source.name}.unpacking"
    if done.is_dir():
        return done
    _make_room(folder, sum(archive.size or 0 for archive in source.archives))
    paths = [fetch_archive(archive, folder, quiet) for archive in source.archives]
    try:
        shutil.rmtree(unpacking, ignore_errors=True)  # left by a call that was killed
        for path in paths:
            unpack(path, unpacking, source.keep)
        _check_content(source, unpacking)
        if source.prepare is not None:
            source.prepare(unpacking)
        unpacking.rename(done)
    except (ValueError, OSError) as error:
        for archive, path in zip(source.archives, paths, strict=True):
            if archive.digest is None:
                path.unlink()  # perhaps damaged; those with a checksum are not
        raise DownloadError(f"{source.name} cannot be unpacked in {folder}: {error}") from error
    finally:
        shutil.rmtree(unpacking, ignore_errors=True)
    for path in paths:
        path.unlink()
    return done


def fetch_archive(archive: Archive, folder: Path, quiet: bool = False) -> Path:
    """Fetch and check one archive in `folder`, continuing an interrupted earlier fetch.

    Raises DownloadError where the server refuses, the connection keeps failing, or the checksum differs.
    """
    done, part = folder / archive.filename, folder / f"{archive.filename}.part"
    if done.exists():
        _check(archive, done, f"remove it and repeat the command: {done}")
        return done
    _fetch_persistently(archive, folder, part, quiet)
    try:
        _check(archive, part, "what came was deleted; repeat the command")
    except DownloadError:
        part.unlink()
        raise
    part.replace(done)
    return done


def content_digest(folder: Path, patterns: tuple[str, ...]) -> str:
    """One SHA-256 sum over the names and contents of all matching files, independent of the archive format."""
    total = hashlib.sha256()
    for path in sorted({path.relative_to(folder).as_posix() for pattern in patterns for path in folder.glob(pattern)}):
        total.update(f"{path}\0{_digest(folder / path, 'sha256')}\n".encode())
    return f"sha256:{total.hexdigest()}"


def _fetch_persistently(archive: Archive, folder: Path, part: Path, quiet: bool) -> None:
    """Fetch until the archive is complete; give up after `ATTEMPTS` failures in a row without progress."""
    failures, best = 0, 0
    while True:
        try:
            return _fetch_rest(archive, part, quiet)
        except (OSError, http.client.HTTPException) as error:
            have = part.stat().st_size if part.exists() else 0
            failures, best = (0, have) if have > best else (failures + 1, best)
            if _is_final(error) or failures == ATTEMPTS:
                raise DownloadError(_advice(archive, folder, part, error)) from error
            time.sleep(FIRST_PAUSE_SECONDS * 2**failures)


def _fetch_rest(archive: Archive, part: Path, quiet: bool) -> None:
    """Fetch the missing rest of `part`, or everything where the server does not support ranges."""
    have = part.stat().st_size if part.exists() and archive.digest else 0  # without a checksum, start over
    if archive.size is not None and have == archive.size:
        return
    request = urllib.request.Request(archive.url, headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink(missing_ok=True)  # it is longer than the file
            raise ConnectionError("the server does not have that part; starting over") from None
        raise
    with response:
        if response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0] != str(have):
            have = 0
        _receive(archive, response, part, have, quiet)


def _receive(archive: Archive, response: http.client.HTTPResponse, part: Path, have: int, quiet: bool) -> None:
    from tqdm.auto import tqdm

    announced = response.headers.get("Content-Length")
    total = have + int(announced) if announced and announced.isdecimal() else archive.size
    if archive.size is not None and total != archive.size:
        raise DownloadError(
            f"{archive.url} has {total:,} bytes now, not {archive.size:,}: it is not the file that was published"
        )
    largest = archive.size or LARGEST_OF_UNKNOWN_SIZE
    bar = tqdm(desc=archive.filename, initial=have, total=total, unit="B", unit_scale=True, disable=quiet)
    with part.open("ab" if have else "wb", buffering=0) as file, bar:
        while chunk := response.read(CHUNK):
            have += len(chunk)
            if have > largest:
                raise DownloadError(
                    f"{archive.url} sends more than {largest:,} bytes: it is not the file that was published"
                )
            _append(file, chunk)
            bar.update(len(chunk))
    if total is not None and have < total:
        raise ConnectionError(f"the connection was cut after {have:,} of {total:,} bytes")


def _append(file: BinaryIO, chunk: bytes) -> None:
    """Write all of a chunk; `file` is unbuffered, or closing it would raise again on a full disk."""
    rest = memoryview(chunk)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        raise DownloadError(
            f"{file.name} cannot be written: {error.strerror}; make room and repeat the command"
        ) from error


def _is_final(error: Exception) -> bool:
    """Whether retrying is pointless: the server rejects the request, or its certificate is invalid."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code < 500
    return isinstance(getattr(error, "reason", None), ssl.SSLError)


def _advice(archive: Archive, folder: Path, part: Path, error: Exception) -> str:
    kept = f" {part} keeps what came: repeat the command to go on." if part.exists() and archive.digest else ""
    return (
        f"{archive.url} cannot be fetched: {error}.{kept} Or download it with a browser to "
        f"{folder / archive.filename} and repeat the command."
    )


def _check(archive: Archive, path: Path, advice: str) -> None:
    size = path.stat().st_size
    if archive.size is not None and size != archive.size:
        raise DownloadError(f"{path.name} has {size:,} bytes instead of {archive.size:,}; {advice}")
    if archive.digest is not None:
        kind, _, expected = archive.digest.partition(":")
        if _digest(path, kind) != expected:
            raise DownloadError(f"{path.name} is not the file that was published: its {kind} sum differs; {advice}")


def _check_content(source: Source, folder: Path) -> None:
    if source.content_digest is not None and content_digest(folder, source.patterns) != source.content_digest:
        raise ValueError("its files are not those that were published: their checksum differs; repeat the command")


def _digest(path: Path, kind: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


def _make_room(folder: Path, size: int) -> None:
    """Create the folder; raises DownloadError, before any byte is fetched, if it is not writable or too full."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise DownloadError(f"{folder} cannot be written: {error.strerror}; name another folder") from error
    free = shutil.disk_usage(folder).free
    if free < SPACE_FACTOR * size:
        raise DownloadError(f"{folder} has {free:,} bytes free, but {int(SPACE_FACTOR * size):,} are needed; make room")

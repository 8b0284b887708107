"""Download: real data sets, from the servers of those who made them.

``download("bccd", folder)`` leaves a folder in VOC's layout, whole and checked, or nothing in its place: what arrives
is kept in a ``.part`` file, from which a later call goes on; archives are checked before they are opened, unpacked
beside the place where the data set is to stand, and the finished folder is renamed into that place.

What is checked is said in each `Source`. VOC's archives are held to SHA-256 sums that several projects publish alike;
Penn-Fudan's to the one MD5 sum we found published, and its size; BCCD's archive is packed by GitHub on demand, so not
its bytes but the files in it are held to a sum of ours, over the commit named in its address.
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
"""Free bytes wanted per byte of archive: it and its contents lie side by side for a while."""

USER_AGENT = "frcnn-edu"
BCCD_COMMIT = "d272fb14cdff6e473fafeeeba32aba5f560e9e43"


class DownloadError(RuntimeError):
    """A download that failed; the message says what failed and what to do, and nothing half-made is in its place."""


@dataclass(frozen=True)
class Archive:
    """One file to fetch: its name on our disk, its size in bytes, and its sum as "sha256:..." or "md5:..."."""

    url: str
    filename: str
    size: int | None = None
    digest: str | None = None


@dataclass(frozen=True)
class Source:
    """A data set: its archives, the part of them that is kept, and what is checked once they are unpacked."""

    name: str
    about: str
    archives: tuple[Archive, ...]
    keep: str
    patterns: tuple[str, ...] = ()
    content_digest: str | None = None
    """`content_digest(folder, patterns)` of the kept part, where the archive's own bytes are not fixed."""
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
    """Fetches a data set into ``folder/name`` and returns that path; at once if it is there already.

    Raises ValueError for a name that is not in `SOURCES` and DownloadError where it cannot be had; what came so far is
    kept, and the next call goes on from there.
    """
    if name not in SOURCES:
        raise ValueError(f"there is no data set {name!r}; there are {', '.join(SOURCES)}")
    return fetch(SOURCES[name], folder, quiet)


def fetch(source: Source, folder: str | os.PathLike, quiet: bool = False) -> Path:
    """`download` of a data set that is described by the caller."""
    folder = Path(folder)
    done, unpacking = folder / source.name, folder / f".{source.name}.unpacking"
    if done.is_dir():
        return done
    _make_room(folder, sum(archive.size or 0 for archive in source.archives))
    paths = [fetch_archive(archive, folder, quiet) for archive in source.archives]
    try:
        shutil.rmtree(unpacking, ignore_errors=True)  # of a call that was killed
        for path in paths:
            unpack(path, unpacking, source.keep)
        _check_content(source, unpacking)
        if source.prepare is not None:
            source.prepare(unpacking)
        unpacking.rename(done)
    except (ValueError, OSError) as error:
        for archive, path in zip(source.archives, paths, strict=True):
            if archive.digest is None:
                path.unlink()  # it may be the culprit; the others were checked
        raise DownloadError(f"{source.name} cannot be unpacked in {folder}: {error}") from error
    finally:
        shutil.rmtree(unpacking, ignore_errors=True)
    for path in paths:
        path.unlink()
    return done


def fetch_archive(archive: Archive, folder: Path, quiet: bool = False) -> Path:
    """One archive, fetched and checked, in `folder`; an interrupted earlier fetch is continued.

    Raises DownloadError where the server refuses, the connection breaks again and again, or the bytes are not
    those that were published.
    """
    done, part = folder / archive.filename, folder / f"{archive.filename}.part"
    if done.exists():
        _check(archive, done, f"remove it and call again: {done}")
        return done
    _fetch_persistently(archive, folder, part, quiet)
    try:
        _check(archive, part, "what came was thrown away; call again")
    except DownloadError:
        part.unlink()
        raise
    part.replace(done)
    return done


def content_digest(folder: Path, patterns: tuple[str, ...]) -> str:
    """One SHA-256 sum over the names and contents of all files that match, whatever archive they came in."""
    total = hashlib.sha256()
    for path in sorted({path.relative_to(folder).as_posix() for pattern in patterns for path in folder.glob(pattern)}):
        total.update(f"{path}\0{_digest(folder / path, 'sha256')}\n".encode())
    return f"sha256:{total.hexdigest()}"


def _fetch_persistently(archive: Archive, folder: Path, part: Path, quiet: bool) -> None:
    """Fetches until the archive is whole; gives up after `ATTEMPTS` breaks in a row that brought nothing new."""
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
    """Fetches what `part` still lacks, or everything where the server cannot begin in the middle."""
    have = part.stat().st_size if part.exists() and archive.digest else 0  # unchecked bytes are not built upon
    if archive.size is not None and have == archive.size:
        return
    request = urllib.request.Request(archive.url, headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink(missing_ok=True)  # it is longer than the file: not a part of it
            raise ConnectionError("the server has no such part; beginning anew") from None
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
    """Writes all of a chunk; `file` has no buffer, or a full disk would be noticed a second time when it is closed."""
    rest = memoryview(chunk)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        raise DownloadError(f"{file.name} cannot be written: {error.strerror}; make room and call again") from error


def _is_final(error: Exception) -> bool:
    """Whether trying again is no use: the server understood and said no, or its certificate is none."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code < 500
    return isinstance(getattr(error, "reason", None), ssl.SSLError)


def _advice(archive: Archive, folder: Path, part: Path, error: Exception) -> str:
    kept = f" {part} keeps what came: call again to go on." if part.exists() and archive.digest else ""
    return (
        f"{archive.url} cannot be fetched: {error}.{kept} Or fetch it in any other way to "
        f"{folder / archive.filename} and call again."
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
        raise ValueError(
            "its files are not those that were published: their sum differs; call again to fetch them anew"
        )


def _digest(path: Path, kind: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


def _make_room(folder: Path, size: int) -> None:
    """Makes the folder; raises DownloadError, before any byte is fetched, if it cannot be written or is too full."""
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

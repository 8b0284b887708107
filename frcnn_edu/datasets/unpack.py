"""Unpack: zip and tar archives, without writing outside the target folder.

An archive may name any path: ``../../.bashrc``, ``/etc/passwd``, a link out of the folder and a file through it; and a
file that claims a kilobyte may expand to the whole disk. All members are checked before the first byte is written, and
an archive with such a member is rejected. So are links: data sets have none. Hidden files (``.DS_Store``) are left out.
"""

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

MOST_MEMBERS = 200_000
LARGEST_UNPACKED = 4 * 2**30


class UnpackError(ValueError):
    """An archive that is damaged or unsafe; the message names it and the member."""


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    kind: str
    """ "file", "folder", or what else it is, in words."""
    open: Callable[[], IO[bytes] | None]


def unpack(archive: Path, folder: Path, keep: str = "", largest: int = LARGEST_UNPACKED) -> list[Path]:
    """Write the files of an archive into `folder` and return their paths; `keep` selects a part of the archive.

    With ``keep="a/b"`` only what lies below a/b is written, and that without the prefix. `largest` bounds the sum of
    the unpacked files, in bytes. Raises UnpackError, before anything is written, for an archive that is none, that
    reaches out of the folder, holds links or expands beyond `largest`; and where damage shows only while unpacking.
    """
    try:
        with _members(archive) as members:
            wanted = [(member, target) for member in members if (target := _target(member, archive, folder, keep))]
            total = sum(member.size for member, _ in wanted)
            if total > largest or len(members) > MOST_MEMBERS:
                raise UnpackError(
                    f"{archive.name} would unpack to {total:,} bytes in {len(members):,} parts, more than the "
                    f"{largest:,} and {MOST_MEMBERS:,} that are allowed"
                )
            if not wanted:
                raise UnpackError(f"{archive.name} holds no files{f' below {keep}' if keep else ''}")
            for member, target in wanted:
                _write(member, target)
            return [target for _, target in wanted]
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError) as error:
        raise UnpackError(f"{archive.name} is damaged or no archive: {error}") from None


def _target(member: _Member, archive: Path, folder: Path, keep: str) -> Path | None:
    """The path a member is written to, None if it is not wanted; raises UnpackError for an unsafe member."""
    if inside(folder, member.name) is None:
        raise UnpackError(
            f"{archive.name} holds {member.name!r}, which would be written outside the folder; not unpacked"
        )
    if member.kind not in ("file", "folder"):
        raise UnpackError(f"{archive.name} holds {member.name!r}, which is {member.kind} and no file; not unpacked")
    path, prefix = PurePosixPath(member.name.replace("\\", "/")), PurePosixPath(keep)
    if member.kind == "folder" or not path.is_relative_to(prefix):
        return None
    below = path.relative_to(prefix)
    return None if any(part.startswith(".") for part in below.parts) else folder / below


def _write(member: _Member, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source = member.open()
    if source is None:
        raise UnpackError(f"{member.name} holds no bytes")
    with source, target.open("wb") as copy:
        shutil.copyfileobj(source, copy)
    if target.stat().st_size != member.size:
        raise UnpackError(f"{member.name} unpacked to {target.stat().st_size:,} bytes instead of {member.size:,}")


@contextmanager
def _members(archive: Path) -> Iterator[list[_Member]]:
    """All members of a zip or tar archive, while it is open."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            yield [_zip_member(opened, info) for info in opened.infolist()]
    else:
        with tarfile.open(archive) as opened:
            yield [_tar_member(opened, info) for info in opened]


def _zip_member(opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    mode = info.external_attr >> 16
    kind = "folder" if info.is_dir() else "file"
    if stat.S_ISLNK(mode):
        kind = "a link"
    elif info.flag_bits & 1:
        kind = "encrypted"
    return _Member(info.orig_filename, info.file_size, kind, lambda: opened.open(info))


def _tar_member(opened: tarfile.TarFile, info: tarfile.TarInfo) -> _Member:
    kind = "a link" if info.issym() or info.islnk() else "a device"
    if info.isfile() or info.isdir():
        kind = "file" if info.isfile() else "folder"
    return _Member(info.name, info.size, kind, lambda: opened.extractfile(info))


def inside(folder: Path, name: str) -> Path | None:
    """The path of `name` below `folder`; None where it would lead out of the folder."""
    relative = Path(name.replace("\\", "/"))
    if not name or "\0" in name or relative.is_absolute() or relative.drive or ".." in relative.parts:
        return None
    return folder / relative

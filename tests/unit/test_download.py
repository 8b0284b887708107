"""Downloads: whole and checked or not there at all, whatever the server, the connection and the archive do."""

import hashlib
import http.server
import io
import os
import socket
import stat
import tarfile
import threading
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest
from PIL import Image

from frcnn_edu.datasets import download as module
from frcnn_edu.datasets.download import SOURCES, Archive, DownloadError, Source, content_digest, download, fetch
from frcnn_edu.datasets.folder import read_folder
from frcnn_edu.datasets.penn_fudan import to_voc_layout
from frcnn_edu.datasets.unpack import UnpackError, unpack

BCCD = os.environ.get("FRCNN_EDU_BCCD")


class Server:
    """A server on 127.0.0.1 whose manners a test sets; `requests` holds the Range header of every request."""

    def __init__(self):
        self.files, self.requests = {}, []
        self.ranges, self.cut_after, self.status, self.length = True, [], None, True
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                outer.answer(self)

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def url(self, name):
        return f"http://127.0.0.1:{self.http.server_port}/{name}"

    def answer(self, request):
        wanted = request.headers.get("Range")
        self.requests.append(wanted)
        request.close_connection = True
        data = self.files.get(request.path[1:])
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        if data is None or self.status:
            request.send_error(self.status or 404)
        elif start >= len(data) > 0:
            request.send_error(416)
        else:
            self.send(request, data, start)

    def send(self, request, data, start):
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        if self.length:
            request.send_header("Content-Length", str(len(data) - start))
        request.end_headers()
        body = data[start:]
        cut = self.cut_after.pop(0) if self.cut_after else None
        request.wfile.write(body if cut is None else body[:cut])
        request.wfile.flush()
        request.connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def server():
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE_SECONDS", 0)


def zip_of(entries):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def tar_of(entries):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in entries.items():
            info = data if isinstance(data, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = 0 if isinstance(data, tarfile.TarInfo) else len(data)
            archive.addfile(info, None if isinstance(data, tarfile.TarInfo) else io.BytesIO(data))
    return buffer.getvalue()


CONTENT = {"set/a.txt": b"first", "set/below/b.bin": os.urandom(50_000), "set/.DS_Store": b"x", "README": b"not kept"}


def offer(server, data=None, *, checked=True, **more):
    """A data set of one archive on the server."""
    data = zip_of(CONTENT) if data is None else data
    server.files["set.zip"] = data
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}" if checked else None
    archive = Archive(server.url("set.zip"), "set.zip", len(data) if checked else None, digest)
    return Source("set", "for tests", (archive,), keep="set", **more)


def left_in(folder):
    return sorted(path.name for path in folder.iterdir())


def assert_whole(folder, source):
    done = fetch(source, folder, quiet=True)
    assert done == folder / "set"
    assert (done / "a.txt").read_bytes() == b"first"
    assert (done / "below" / "b.bin").read_bytes() == CONTENT["set/below/b.bin"]
    assert left_in(folder) == ["set"]
    assert left_in(done) == ["a.txt", "below"]


def assert_refused(folder, source, words, kept=()):
    with pytest.raises(DownloadError, match=words):
        fetch(source, folder, quiet=True)
    assert left_in(folder) == sorted(kept)


# --- the connection ---------------------------------------------------------------------------------------------------


def test_a_data_set_arrives_whole_and_leaves_no_scraps(server, tmp_path):
    assert_whole(tmp_path, offer(server))


def test_what_is_there_is_not_fetched_again(server, tmp_path):
    source = offer(server)
    fetch(source, tmp_path, quiet=True)
    assert fetch(source, tmp_path, quiet=True) == tmp_path / "set"
    assert len(server.requests) == 1


def test_a_folder_with_blanks_and_umlauts_is_made(server, tmp_path):
    assert fetch(offer(server), tmp_path / "Meine Daten" / "Übung", quiet=True).is_dir()


@pytest.mark.parametrize("cut", [1, 1000, 40_000])
def test_a_cut_connection_is_continued_where_it_was_cut(server, tmp_path, cut):
    server.cut_after = [cut]
    assert_whole(tmp_path, offer(server))
    assert server.requests == [None, f"bytes={cut}-"]


def test_a_connection_that_is_cut_all_the_time_arrives_as_long_as_it_moves(server, tmp_path):
    source = offer(server)
    server.cut_after = [len(server.files["set.zip"]) // 12] * 11
    assert_whole(tmp_path, source)
    assert len(server.requests) == 12


def test_a_later_call_goes_on_where_an_earlier_one_was_killed(server, tmp_path):
    source = offer(server)
    (tmp_path / "set.zip.part").write_bytes(server.files["set.zip"][:777])
    (tmp_path / ".set.unpacking").mkdir()
    (tmp_path / ".set.unpacking" / "half").touch()
    assert_whole(tmp_path, source)
    assert server.requests == ["bytes=777-"]


def test_a_server_that_cannot_begin_in_the_middle_begins_anew(server, tmp_path):
    server.ranges, server.cut_after = False, [1000]
    assert_whole(tmp_path, offer(server))


def test_a_connection_that_never_moves_is_given_up_and_what_came_is_kept(server, tmp_path):
    source = offer(server)
    server.cut_after = [500] + [0] * 20
    assert_refused(tmp_path, source, "cut after 500 of .*repeat the command to go on", kept=["set.zip.part"])
    server.cut_after = []
    assert_whole(tmp_path, source)
    assert server.requests[-1] == "bytes=500-"


def test_a_server_error_is_tried_again_and_a_refusal_is_not(server, tmp_path):
    source = offer(server)
    server.status = 503
    assert_refused(tmp_path, source, "503")
    assert len(server.requests) == module.ATTEMPTS
    server.status = 404
    assert_refused(tmp_path, source, r"404.*download it with a browser to .*set\.zip")
    assert len(server.requests) == module.ATTEMPTS + 1


def test_no_server_at_all(tmp_path, server):
    source = offer(server)
    server.http.shutdown()
    server.http.server_close()
    assert_refused(tmp_path, source, "cannot be fetched")


def test_a_part_that_is_longer_than_the_file_is_thrown_away(server, tmp_path):
    source = offer(server)
    (tmp_path / "set.zip.part").write_bytes(b"x" * (len(server.files["set.zip"]) + 5))
    assert_whole(tmp_path, source)


def test_an_archive_fetched_by_hand_is_used(server, tmp_path):
    source = offer(server)
    (tmp_path / "set.zip").write_bytes(server.files["set.zip"])
    assert_whole(tmp_path, source)
    assert server.requests == []


def test_without_a_published_sum_nothing_is_built_on_old_bytes(server, tmp_path):
    source = offer(server, checked=False)
    (tmp_path / "set.zip.part").write_bytes(b"old bytes of unknown origin")
    assert_whole(tmp_path, source)
    assert server.requests == [None]


def test_a_length_that_is_not_announced_is_no_obstacle(server, tmp_path):
    server.length = False
    assert_whole(tmp_path, offer(server))


# --- the wrong bytes --------------------------------------------------------------------------------------------------


def test_a_wrong_sum_is_refused_and_nothing_is_kept(server, tmp_path):
    source = offer(server)
    data = bytearray(server.files["set.zip"])
    data[1000] ^= 1
    server.files["set.zip"] = bytes(data)
    assert_refused(tmp_path, source, "sha256 sum differs")


def test_a_part_of_another_file_is_found_out_and_thrown_away(server, tmp_path):
    source = offer(server)
    (tmp_path / "set.zip.part").write_bytes(b"x" * 777)
    assert_refused(tmp_path, source, "sum differs")
    assert_whole(tmp_path, source)


def test_a_file_of_another_size_is_refused_before_it_is_fetched(server, tmp_path):
    source = offer(server)
    server.files["set.zip"] += b"more"
    assert_refused(tmp_path, source, "not the file that was published")


def test_more_bytes_than_announced_are_not_taken(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LARGEST_OF_UNKNOWN_SIZE", 10_000)
    server.length = False
    assert_refused(tmp_path, offer(server, checked=False), "sends more than 10,000", kept=["set.zip.part"])


def test_a_wrong_archive_fetched_by_hand_is_named_and_left_alone(server, tmp_path):
    source = offer(server)
    (tmp_path / "set.zip").write_bytes(b"an error page")
    assert_refused(tmp_path, source, "13 bytes instead of .*remove it", kept=["set.zip"])


def test_contents_are_checked_where_the_archive_cannot_be(server, tmp_path):
    (tmp_path / "original").mkdir()
    (tmp_path / "original" / "a.txt").write_bytes(b"first")
    digest = content_digest(tmp_path / "original", ("*.txt",))
    more = {"checked": False, "patterns": ("*.txt",), "content_digest": digest}
    assert_whole(tmp_path / "good", offer(server, **more))
    forged = {**CONTENT, "set/a.txt": b"forged"}
    assert_refused(tmp_path / "bad", offer(server, zip_of(forged), **more), "their checksum differs")


def test_a_page_of_html_in_place_of_the_archive(server, tmp_path):
    assert_refused(tmp_path, offer(server, b"<html>Please log in</html>", checked=False), "no archive")


# --- the disk ---------------------------------------------------------------------------------------------------------


def test_a_full_disk_is_noticed_before_anything_is_fetched(server, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage(100, 90, 10))
    assert_refused(tmp_path, offer(server), "10 bytes free.*make room")
    assert server.requests == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("size", [10, 1_000_000])
def test_a_disk_that_fills_up_on_the_way_is_an_error_at_once(server, tmp_path, size):
    (tmp_path / "set.zip.part").symlink_to("/dev/full")
    with pytest.raises(DownloadError, match="No space left on device; make room"):
        fetch(offer(server, os.urandom(size)), tmp_path, quiet=True)
    assert len(server.requests) == 1


def test_a_file_where_the_folder_should_be(server, tmp_path):
    (tmp_path / "data").write_text("no folder")
    with pytest.raises(DownloadError, match="cannot be written"):
        fetch(offer(server), tmp_path / "data", quiet=True)
    assert server.requests == []


def test_a_preparation_that_fails_leaves_the_checked_archive_for_another_try(server, tmp_path):
    def fail(folder):
        raise ValueError("not today")

    assert_refused(tmp_path, offer(server, prepare=fail), "not today", kept=["set.zip"])
    assert_whole(tmp_path, offer(server))


# --- the archive ------------------------------------------------------------------------------------------------------

ESCAPES = ["../evil", "set/../../evil", "/frcnn_edu_evil", "..\\evil", "set/..\\..\\evil", "\\evil"]


@pytest.mark.parametrize("name", ESCAPES)
@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_an_archive_that_reaches_out_of_its_folder_writes_nothing(server, tmp_path, pack, name):
    folder = tmp_path / "inner" / "data"
    data = pack({"set/a.txt": b"first", name: b"evil"})
    assert_refused(folder, offer(server, data), "outside the folder", kept=["set.zip"])
    assert left_in(tmp_path) == ["inner"]
    assert left_in(tmp_path / "inner") == ["data"]
    assert not Path("/frcnn_edu_evil").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind):
    link = tarfile.TarInfo("set/link")
    link.type, link.linkname = kind, "/etc"
    path = tmp_path / "links.tar"
    path.write_bytes(tar_of({"set/a.txt": b"first", "set/link": link, "set/link/passwd": b"evil"}))
    with pytest.raises(UnpackError, match=r"'set/link', which is a (link|device)"):
        unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_links_in_a_zip_are_refused(tmp_path):
    path = tmp_path / "links.zip"
    info = zipfile.ZipInfo("set/link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, "/etc")
    with pytest.raises(UnpackError, match="which is a link"):
        unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_zip_bomb_is_refused_by_what_it_claims(tmp_path):
    path = tmp_path / "bomb.zip"
    path.write_bytes(zip_of({"zeros": bytes(20_000_000)}))
    assert path.stat().st_size < 100_000
    with pytest.raises(UnpackError, match="would unpack to 20,000,000 bytes"):
        unpack(path, tmp_path / "out", largest=10_000_000)
    assert not (tmp_path / "out").exists()


def test_a_zip_bomb_that_claims_to_be_small_is_found_out(tmp_path):
    path = tmp_path / "liar.zip"
    data = zip_of({"zeros": bytes(1_000_000)})
    path.write_bytes(data.replace((1_000_000).to_bytes(4, "little"), (1000).to_bytes(4, "little")))
    with pytest.raises(UnpackError, match="damaged"):
        unpack(path, tmp_path / "out")
    assert sum(file.stat().st_size for file in (tmp_path / "out").rglob("*")) <= 1000


@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_an_archive_cut_in_half_is_damaged(tmp_path, pack):
    data = pack(CONTENT)
    path = tmp_path / "half.archive"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(UnpackError, match="damaged"):
        unpack(path, tmp_path / "out")


def test_an_encrypted_zip_is_refused_in_words(tmp_path):
    data = bytearray(zip_of({"a": b"secret"}))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "locked.zip").write_bytes(data)
    with pytest.raises(UnpackError, match="encrypted"):
        unpack(tmp_path / "locked.zip", tmp_path / "out")


def test_an_archive_without_the_part_wanted_says_so(tmp_path):
    (tmp_path / "a.zip").write_bytes(zip_of(CONTENT))
    with pytest.raises(UnpackError, match="no files below other"):
        unpack(tmp_path / "a.zip", tmp_path / "out", keep="other")


# --- the real sources -------------------------------------------------------------------------------------------------


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match="voc2007, bccd, penn-fudan"):
        download("imagenet", tmp_path)


def test_every_source_is_checked_by_a_sum():
    for source in SOURCES.values():
        assert source.content_digest or all(archive.digest and archive.size for archive in source.archives)
        for archive in source.archives:
            assert archive.url.startswith("https://")
            assert archive.filename == Path(archive.filename).name


@pytest.mark.skipif(not BCCD, reason="FRCNN_EDU_BCCD does not name a folder with the BCCD data set")
def test_bccd_packed_as_github_packs_it_passes_its_check(server, tmp_path):
    source = SOURCES["bccd"]
    root = next(Path(BCCD).glob("**/Annotations")).parent
    entries = {
        f"{source.keep}/{path.relative_to(root)}": path.read_bytes() for path in root.rglob("*") if path.is_file()
    }
    server.files["bccd.zip"] = zip_of({**entries, f"{source.keep}/.DS_Store": b"", "BCCD_Dataset-x/README.md": b""})
    archive = Archive(server.url("bccd.zip"), source.archives[0].filename)
    mirrored = Source(**{**vars(source), "archives": (archive,)})
    done = fetch(mirrored, tmp_path, quiet=True)
    assert len(read_folder(done, "train")) == 205
    server.files["bccd.zip"] = zip_of({**entries, f"{source.keep}/JPEGImages/one_more.jpg": b"?"})
    with pytest.raises(DownloadError, match="their checksum differs"):
        fetch(mirrored, tmp_path / "again", quiet=True)


ANNOTATION = """# Compatible with PASCAL Annotation Version 1.00
Image filename : "PennFudanPed/PNGImages/{name}.png"
Image size (X x Y x C) : 60 x 50 x 3
Objects with ground truth : 2 {{ "PASpersonWalking" "PASpersonStanding" }}
Bounding box for object 1 "PASpersonWalking" (Xmin, Ymin) - (Xmax, Ymax) : (1, 1) - (20, 50)
Bounding box for object 2 "PASpersonStanding" (Xmin, Ymin) - (Xmax, Ymax) : (31, 11) - (60, 40)
"""


def test_penn_fudan_becomes_a_voc_folder(tmp_path):
    for part in ("Annotation", "PNGImages", "PedMasks"):
        (tmp_path / part).mkdir()
    for number in range(1, 11):
        name = f"FudanPed{number:05d}"
        (tmp_path / "Annotation" / f"{name}.txt").write_text(ANNOTATION.format(name=name), "latin-1")
        Image.new("RGB", (60, 50)).save(tmp_path / "PNGImages" / f"{name}.png")
    to_voc_layout(tmp_path)
    train, test, whole = (read_folder(tmp_path, split) for split in ("train", "test", "all"))
    assert (len(train), len(test), len(whole)) == (8, 2, 10)
    assert train.class_names == ("__background__", "person")
    assert train[0][1]["boxes"].tolist() == [[0, 0, 20, 50], [30, 10, 60, 40]]
    assert train.report.clean


def test_a_folder_that_is_not_penn_fudans_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not Penn-Fudan's"):
        to_voc_layout(tmp_path)
    (tmp_path / "Annotation").mkdir()
    (tmp_path / "PNGImages").mkdir()
    (tmp_path / "Annotation" / "a.txt").write_text("nothing of the kind")
    with pytest.raises(ValueError, match="no bounding box"):
        to_voc_layout(tmp_path)

"""Folders in VOC's layout: sound ones give their boxes, and whatever is wrong with one is counted or said clearly."""

import os
import unicodedata

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from frcnn_edu.datasets.folder import open_folder
from frcnn_edu.datasets.image_files import ImageError
from frcnn_edu.datasets.voc import Voc, find_voc, parse_xml

BCCD = os.environ.get("FRCNN_EDU_BCCD")
needs_bccd = pytest.mark.skipif(not BCCD, reason="FRCNN_EDU_BCCD does not name a folder with the BCCD data set")

WIDTH, HEIGHT = 40, 30


def box_xml(name="cat", corners=(5, 6, 20, 18), difficult=0):
    sides = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    edges = "".join(f"<{side}>{value}</{side}>" for side, value in sides)
    return f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>{edges}</bndbox></object>"


class Folder:
    """A VOC folder that is written picture by picture."""

    def __init__(self, root):
        self.root = root
        for part in ("Annotations", "JPEGImages", "ImageSets/Main"):
            (root / part).mkdir(parents=True)
        self.names = []

    def add(self, name, *objects, picture=None, size=(WIDTH, HEIGHT), extra="", suffix=".png", listed=True, **save):
        width, height = size
        xml = f"<annotation>{extra}<size><width>{width}</width><height>{height}</height></size>"
        (self.root / "Annotations" / f"{name}.xml").write_text(xml + "".join(objects) + "</annotation>", "utf-8")
        picture = Image.new("RGB", (WIDTH, HEIGHT), "white") if picture is None else picture
        if picture:
            picture.save(self.root / "JPEGImages" / f"{name}{suffix}", **save)
        if listed:
            self.list(*self.names, name)
        return self

    def list(self, *names, split="train"):
        self.names = list(names) if split == "train" else self.names
        (self.root / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(names) + "\n", "utf-8")

    def image(self, name):
        return self.root / "JPEGImages" / name

    def xml(self, name, data):
        (self.root / "Annotations" / f"{name}.xml").write_bytes(data)

    def read(self, split="train", **options):
        return Voc(self.root, split, quiet=True, **options)


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "set").add("good", box_xml())


def test_boxes_labels_and_names_come_from_the_files(folder):
    folder.add("two", box_xml("dog", (0, 0, 40, 30)), box_xml("cat", (1.5, 2, 10, 12), difficult=1))
    dataset = folder.read()
    image, target = dataset[1]
    assert dataset.class_names == ("__background__", "cat", "dog")
    assert image.shape == (3, HEIGHT, WIDTH)
    assert target["boxes"].tolist() == [[0, 0, 40, 30], [1.5, 2, 10, 12]]
    assert target["labels"].tolist() == [2, 1]
    assert target["difficult"].tolist() == [False, True]
    assert target["boxes"].dtype == torch.float32
    assert target["labels"].dtype == torch.int64
    assert target["difficult"].dtype == torch.bool
    assert dataset.report.clean
    assert dataset.report.boxes_per_class == {"cat": 2, "dog": 1}
    assert dataset.path(1).name == "two.png"


def test_pictures_without_boxes_stay_in(folder):
    folder.add("empty")
    _, target = folder.read()[1]
    assert target["boxes"].shape == (0, 4)
    assert target["labels"].shape == target["difficult"].shape == (0,)


def test_labels_are_the_same_in_every_split(folder):
    folder.add("other", box_xml("ape"), listed=False)
    folder.list("other", split="test")
    assert folder.read("train").class_names == folder.read("test").class_names == ("__background__", "ape", "cat")


def test_given_names_set_the_order_and_drop_the_rest(folder):
    folder.add("two", box_xml("dog"), box_xml("cow"))
    for names in (["dog", "cat"], ("__background__", "dog", "cat")):
        dataset = folder.read(class_names=names)
        assert dataset.class_names == ("__background__", "dog", "cat")
        assert [dataset[index][1]["labels"].tolist() for index in range(2)] == [[2], [1]]
        assert dataset.report.skipped_boxes == {"class 'cow' is not asked for": 1}


def test_difficult_ones_can_be_dropped(folder):
    folder.add("hard", box_xml(difficult=1), box_xml())
    dataset = folder.read(keep_difficult=False)
    assert len(dataset[1][1]["boxes"]) == 1
    assert dataset.report.boxes == 2


def test_vocs_own_files_count_from_one(folder):
    database = "<source><database>The VOC2007 Database</database></source>"
    folder.add("voc", box_xml(corners=(1, 1, 40, 30)), extra=database)
    assert folder.read()[1][1]["boxes"].tolist() == [[0, 0, 40, 30]]
    assert folder.read(one_based=False)[1][1]["boxes"].tolist() == [[1, 1, 40, 30]]
    assert folder.read(one_based=True)[0][1]["boxes"].tolist() == [[4, 5, 20, 18]]


def test_targets_are_the_callers_to_change(folder):
    dataset = folder.read()
    dataset[0][1]["boxes"].zero_()
    assert dataset[0][1]["boxes"].any()


def test_workers_read_the_same(folder):
    folder.add("two", box_xml("dog"))
    dataset = folder.read()
    for index, (image, target) in enumerate(DataLoader(dataset, batch_size=None, num_workers=2)):
        assert torch.equal(image, dataset[index][0])
        assert torch.equal(target["boxes"], dataset[index][1]["boxes"])


# --- boxes that are wrong ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("corners", "reason"),
    [
        ((5, 5, 5, 15), "no area"),
        ((5, 15, 15, 15), "no area"),
        ((20, 5, 5, 15), "corners in the wrong order"),
        ((5, 15, 15, 5), "corners in the wrong order"),
        ((50, 5, 60, 15), "outside the picture"),
        ((-20, 5, 0, 15), "outside the picture"),
        (("nan", 5, 15, 15), "a coordinate is no finite number"),
        ((5, 5, "inf", 15), "a coordinate is no finite number"),
        ((5, 5, "1e999", 15), "a coordinate is no finite number"),
        ((5, 5, "wide", 15), "a coordinate is no finite number"),
        ((5, 5, "", 15), "a coordinate is no finite number"),
    ],
)
def test_boxes_that_are_none_are_counted_and_left_out(folder, corners, reason):
    folder.add("bad", box_xml(corners=corners), box_xml(corners=(1, 1, 9, 9)))
    dataset = folder.read()
    assert dataset[1][1]["boxes"].tolist() == [[1, 1, 9, 9]]
    assert dataset.report.skipped_boxes == {reason: 1}
    assert dataset.report.first[reason] == "bad, object 0"


def test_a_box_past_the_border_is_cut_and_counted(folder):
    folder.add("over", box_xml(corners=(-5, -1, 60, 20)))
    dataset = folder.read()
    assert dataset[1][1]["boxes"].tolist() == [[0, 0, 40, 20]]
    assert dataset.report.adjusted == {"box cut at the picture's border": 1}


def test_an_object_without_a_box_or_a_name_is_counted(folder):
    folder.add("bare", "<object><name>cat</name></object>", "<object/>")
    assert folder.read(class_names=["cat"]).report.skipped_boxes.total() == 2


# --- files that are wrong ---------------------------------------------------------------------------------------------


def left_out(folder):
    dataset = folder.read()
    assert len(dataset) == 1, "the good picture stays"
    dataset[0]
    ((reason, count),) = dataset.report.skipped_images.items()
    assert count == 1
    return reason, dataset.report.first[reason]


def test_a_missing_picture(folder):
    folder.add("gone", box_xml(), picture=False)
    assert left_out(folder) == ("no picture of that name", "gone")


def test_a_missing_annotation(folder):
    folder.list("good", "unknown")
    assert left_out(folder) == ("no annotation of that name", "unknown")


@pytest.mark.parametrize("name", ["../../../etc/passwd", "/etc/passwd", "..", "sub/good", "..\\good", "a\0b"])
def test_a_name_that_leads_out_of_the_folder_is_no_name(folder, name):
    folder.list("good", name)
    assert left_out(folder)[0] == "no annotation of that name"


def test_a_zero_byte_picture(folder):
    folder.add("zero", box_xml())
    folder.image("zero.png").write_bytes(b"")
    reason, case = left_out(folder)
    assert reason == "the picture cannot be read"
    assert "0 bytes" in case


def test_a_picture_that_is_text(folder):
    folder.add("text", box_xml())
    folder.image("text.png").write_text("<html>404</html>")
    assert "no picture" in left_out(folder)[1]


def test_a_picture_of_20000_by_20000(folder):
    folder.add("giant", box_xml(), picture=Image.new("1", (20_000, 20_000)))
    assert "too large" in left_out(folder)[1]


def test_a_truncated_jpeg_raises_when_asked_for_or_is_left_out_when_all_are_decoded(folder):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8))
    folder.add("cut", box_xml(), picture=noise, suffix=".jpg")
    path = folder.image("cut.jpg")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ImageError, match=r"cut\.jpg is damaged"):
        folder.read()[1]
    dataset = folder.read(decode_all=True)
    assert len(dataset) == 1
    assert dataset.report.skipped_images == {"the picture cannot be read": 1}


BILLION_LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;">
<!ENTITY e "&d;&d;&d;&d;&d;&d;&d;&d;"><!ENTITY f "&e;&e;&e;&e;&e;&e;&e;&e;"><!ENTITY g "&f;&f;&f;&f;&f;&f;&f;&f;">
<!ENTITY h "&g;&g;&g;&g;&g;&g;&g;&g;">]><annotation><object><name>&h;</name></object></annotation>"""


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (BILLION_LAUGHS, "document type"),
        (b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>', "document type"),
        (b'<!DOCTYPE annotation SYSTEM "http://127.0.0.1/a.dtd"><annotation/>', "document type"),
        (b"<annotation>&x;</annotation>", "undefined entity"),
        (b"", "no element found"),
        (b"<annotation><object>", "no element found"),
        (b"not xml", "syntax error"),
        (b"<annotation/><annotation/>", "junk after document element"),
        (b"<annotation>\xff\xfe</annotation>", "invalid token"),
        (b'<?xml version="1.0" encoding="klingon"?><annotation/>', "encoding"),
        (b"<annotation>" + b" " * (16 * 2**20) + b"</annotation>", "bytes"),
    ],
)
def test_xml_that_is_broken_or_hostile(folder, data, words):
    folder.add("bad", box_xml())
    folder.xml("bad", data)
    reason, case = left_out(folder)
    assert reason == "the annotation cannot be read"
    assert words in case
    assert "bad.xml" in case


def test_xml_nested_a_hundred_thousand_deep_is_read_like_any_other(tmp_path):
    path = tmp_path / "deep.xml"
    path.write_bytes(b"<a>" * 100_000 + b"</a>" * 100_000)
    assert parse_xml(path).tag == "a"


def test_xml_in_other_encodings(folder):
    folder.add("latin", box_xml())
    xml = f'<?xml version="1.0" encoding="iso-8859-1"?><annotation>{box_xml("Kätzchen")}</annotation>'
    folder.xml("latin", xml.encode("latin-1"))
    assert folder.read().class_names[1] == "Kätzchen"


@pytest.mark.parametrize("name", ["mit Leerzeichen  zwei", "Zellen-Übersicht", "细胞 07", "a.b.c", "🦠", "x 1"])
def test_unicode_and_blanks_in_names(folder, name):
    folder.add(name, box_xml())
    dataset = folder.read()
    assert dataset.path(1).stem == name
    assert dataset.report.clean


def test_an_umlaut_spelt_in_two_characters_is_found(folder):
    folder.add(unicodedata.normalize("NFD", "Zählung"), box_xml())
    folder.list("good", unicodedata.normalize("NFC", "Zählung"))
    assert len(folder.read()) == 2


def test_lists_of_one_class_and_of_windows_are_understood(folder):
    folder.add("two", box_xml())
    path = folder.root / "ImageSets" / "Main" / "cat_train.txt"
    path.write_bytes("\ufeffgood  1\r\n\r\ntwo -1\r\n".encode())
    assert len(folder.read("cat_train")) == 2


def test_sixteen_bits_and_cmyk_are_read(folder):
    folder.add("deep", box_xml(), picture=Image.fromarray(np.full((HEIGHT, WIDTH), 65535, np.uint16)))
    folder.add("print", box_xml(), picture=Image.new("CMYK", (WIDTH, HEIGHT)), suffix=".jpg")
    dataset = folder.read()
    assert dataset.report.clean
    assert all(dataset[index][0].min() > 0.98 for index in (1, 2))


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return {"exif": exif}


def test_exif_boxes_lie_on_stored_pixels_unless_the_annotation_speaks_of_the_turned_picture(folder):
    folder.add("stored", box_xml(), **turned(6))
    folder.add("upright", box_xml(corners=(0, 0, 30, 40)), size=(HEIGHT, WIDTH), **turned(6))
    folder.add("flipped", box_xml(), **turned(3))
    dataset = folder.read()
    assert [tuple(dataset[index][0].shape[1:]) for index in (1, 2, 3)] == [(30, 40), (40, 30), (30, 40)]
    assert dataset[2][1]["boxes"].tolist() == [[0, 0, 30, 40]]
    assert dataset.report.adjusted == {
        "EXIF turn not made: the boxes lie on the picture as stored": 2,
        "picture turned as its EXIF data ask, as the annotation has it": 1,
    }


def test_a_size_that_is_not_the_pictures_is_reported(folder):
    folder.add("scaled", box_xml(), size=(400, 300))
    assert list(folder.read().report.adjusted) == ["the annotation names another size than the picture has"]


# --- folders that are wrong -------------------------------------------------------------------------------------------


def test_the_folder_is_found_below_the_one_named(folder, tmp_path):
    assert find_voc(tmp_path) == folder.root
    Folder(tmp_path / "another").add("a", box_xml())
    with pytest.raises(ValueError, match="several"):
        find_voc(tmp_path)


def test_what_is_not_there_is_named(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder"):
        Voc(tmp_path / "nowhere")
    (tmp_path / "bare").mkdir()
    with pytest.raises(FileNotFoundError, match="VOC's layout"):
        Voc(tmp_path / "bare")
    with pytest.raises(FileNotFoundError, match=r"'validation'.*train"):
        folder.read("validation")
    with pytest.raises(FileNotFoundError, match="no split"):
        folder.read("../../train")


def test_without_a_split_every_annotation_counts(folder):
    folder.add("unlisted", box_xml(), listed=False)
    assert len(folder.read(None)) == 2


def test_nothing_left_is_an_error_that_says_why(folder):
    with pytest.raises(ValueError, match="class 'cat' is not asked for"):
        folder.read(class_names=["zebra"])
    folder.list("gone")
    with pytest.raises(ValueError, match="no annotation of that name"):
        folder.read()


@pytest.mark.parametrize("names", [[], ["cat", "cat"], ["__background__"], "cat"])
def test_class_names_that_are_none_are_refused(folder, names):
    with pytest.raises(ValueError, match="class_names"):
        folder.read(class_names=names)


def test_the_report_is_printed_once_and_only_if_there_is_something_to_say(folder, capsys):
    Voc(folder.root)
    assert capsys.readouterr().out == ""
    folder.add("bad", box_xml(corners=(5, 5, 5, 5)))
    dataset = Voc(folder.root)
    dataset[0], dataset[1]
    assert capsys.readouterr().out.count("1 x no area (first: bad, object 0)") == 1


def test_open_folder_knows_the_layout_and_drops_difficult_ones_for_training(folder):
    folder.add("hard", box_xml(difficult=1))
    assert len(open_folder(folder.root, quiet=True)[1][1]["boxes"]) == 1
    assert len(open_folder(folder.root, quiet=True, for_training=True)[1][1]["boxes"]) == 0


# --- the real thing ---------------------------------------------------------------------------------------------------


@needs_bccd
def test_bccd_has_its_boxes_but_for_two_without_area():
    dataset = Voc(BCCD, split=None, quiet=True)
    report = dataset.report
    assert len(dataset) == 364
    assert dataset.class_names == ("__background__", "Platelets", "RBC", "WBC")
    assert report.boxes + report.skipped_boxes.total() == 4888
    assert report.boxes_per_class == {"RBC": 4155 - 2, "WBC": 372, "Platelets": 361}
    assert report.skipped_boxes == {"no area": 2}
    assert not report.skipped_images
    assert not report.adjusted


@needs_bccd
def test_bccd_splits_are_disjoint_and_decode():
    splits = [Voc(BCCD, split, quiet=True, decode_all=split == "test") for split in ("train", "val", "test")]
    assert [len(split) for split in splits] == [205, 87, 72]
    assert len({split.path(index) for split in splits for index in range(len(split))}) == 364
    image, target = splits[2][0]
    assert image.shape == (3, 480, 640)
    assert (target["boxes"][:, 2:] <= torch.tensor([640, 480])).all()

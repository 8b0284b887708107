"""VOC annotations: sound files give their boxes, and whatever is wrong with one is counted or named."""

import os
import unicodedata

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from frcnn_edu.datasets.folder import open_folder, read_folder
from frcnn_edu.datasets.voc import parse_xml

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
        return read_folder(self.root, split, **options)


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
    assert target["iscrowd"].tolist() == [False, False]
    assert target["area"].tolist() == [1200, 8.5 * 10]
    assert target["boxes"].dtype == torch.float32
    assert target["labels"].dtype == torch.int64
    assert target["difficult"].dtype == torch.bool
    assert dataset.report.clean
    assert dataset.summary().classes == {"cat": 1, "dog": 1}, "to learn from"
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
        assert dataset.report.skipped_boxes == {"class 'cow' is not among the given classes": 1}


def test_difficult_boxes_are_kept_for_measuring_and_dropped_for_training_and_counted_in_both(folder):
    folder.add("hard", box_xml(difficult=1), box_xml())
    for for_training, kept in ((False, 2), (True, 1)):
        dataset = folder.read(for_training=for_training)
        assert len(dataset[1][1]["boxes"]) == kept
        assert (dataset.summary().boxes, dataset.summary().difficult) == (2, 1)


NO = ("", "0", "0.0", " 0 ", "false", "False", "no", "NO", "Unspecified", "None")
YES = ("1", "1.0", "true", "True", "yes", "YES")


@pytest.mark.parametrize(("word", "expected"), [*((word, False) for word in NO), *((word, True) for word in YES)])
def test_difficult_is_read_by_meaning(folder, word, expected):
    folder.add("flagged", box_xml(difficult=word))
    dataset = folder.read()
    assert dataset[1][1]["difficult"].tolist() == [expected]
    assert dataset.summary().difficult == expected
    assert dataset.report.clean


@pytest.mark.parametrize("word", ["maybe", "2", "-1", "0;1"])
def test_a_flag_that_is_neither_yes_nor_no_is_named_and_the_box_kept(folder, word):
    folder.add("flagged", box_xml(difficult=word))
    dataset = folder.read(for_training=True)
    assert len(dataset[1][1]["boxes"]) == 1
    assert dataset.summary().warnings == (
        f"1 x difficult is '{word}': taken as no (first: Annotations/flagged.xml, object 0)",
    )


def test_vocs_own_files_count_from_one(folder):
    database = "<source><database>The VOC2007 Database</database></source>"
    folder.add("voc", box_xml(corners=(1, 1, 40, 30)), extra=database)
    assert folder.read()[1][1]["boxes"].tolist() == [[0, 0, 40, 30]]
    assert folder.read()[0][1]["boxes"].tolist() == [[5, 6, 20, 18]], "other tools count from 0"


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
        ((5, 5, 5.00006, 15), "no area"),
        ((39.999, 5, 45, 15), "it lies outside the image"),
        ((20, 5, 5, 15), "its corners are in the wrong order"),
        ((5, 15, 15, 5), "its corners are in the wrong order"),
        ((50, 5, 60, 15), "it lies outside the image"),
        ((-20, 5, 0, 15), "it lies outside the image"),
        (("nan", 5, 15, 15), "a coordinate is not a finite number"),
        ((5, 5, "inf", 15), "a coordinate is not a finite number"),
        ((5, 5, "1e999", 15), "a coordinate is not a finite number"),
        ((5, 5, "1_0", 15), "a coordinate is not a finite number"),
        ((5, 5, "wide", 15), "a coordinate is not a finite number"),
        ((5, 5, "", 15), "a coordinate is not a finite number"),
    ],
)
def test_unusable_boxes_are_counted_and_left_out(folder, corners, reason):
    folder.add("bad", box_xml(corners=corners), box_xml(corners=(1, 1, 9, 9)))
    dataset = folder.read()
    assert dataset[1][1]["boxes"].tolist() == [[1, 1, 9, 9]]
    assert dataset.report.skipped_boxes == {reason: 1}
    assert dataset.report.first[reason] == "Annotations/bad.xml, object 0"
    assert dataset.summary().without_area == (reason == "no area")


def test_a_box_past_the_border_is_cut_and_counted(folder):
    folder.add("over", box_xml(corners=(-5, -1, 60, 20)))
    dataset = folder.read()
    assert dataset[1][1]["boxes"].tolist() == [[0, 0, 40, 20]]
    assert dataset.report.adjusted == {"the box was cut at the border of the image": 1}


@pytest.mark.parametrize(
    ("element", "reason"),
    [
        ("<object><name>cat</name></object>", "an object has no <bndbox>"),
        (
            "<object><name>cat</name><robndbox><cx>9</cx></robndbox></object>",
            "an object has no <bndbox>, but <robndbox>",
        ),
        ("<object/>", "an object has no <name>"),
        (box_xml("  "), "an object has no <name>"),
        (box_xml().replace("xmax", "x2"), "a <bndbox> has no <xmax>"),
        (box_xml().replace("object", "item"), "a <bndbox> is not inside an <object>"),
    ],
)
def test_what_an_object_lacks_is_named(folder, element, reason):
    folder.add("bare", element, box_xml())
    dataset = folder.read()
    assert dataset.report.skipped_boxes == {reason: 1}
    assert len(dataset[1][1]["boxes"]) == 1


def test_a_part_of_an_object_is_no_object(folder):
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>3</xmax><ymax>3</ymax></bndbox></part>"
    folder.add("whole", box_xml().replace("<name>", part + "<name>"))
    dataset = folder.read()
    assert dataset.class_names == ("__background__", "cat")
    assert dataset[1][1]["boxes"].tolist() == [[5, 6, 20, 18]]
    assert dataset.report.clean


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
    assert left_out(folder) == ("no image of that name", "Annotations/gone.xml")


def test_a_missing_annotation(folder):
    folder.list("good", "unknown")
    assert left_out(folder) == ("no annotation of that name", "unknown")


@pytest.mark.parametrize("name", ["../../../etc/passwd", "/etc/passwd", "..", "a\0b", "../outside"])
def test_a_name_never_leads_out_of_the_folder(folder, name):
    (folder.root.parent / "outside.xml").write_text(f"<annotation>{box_xml()}</annotation>")
    folder.list("good", name)
    assert left_out(folder)[0] == "no annotation of that name"


def test_a_zero_byte_picture(folder):
    folder.add("zero", box_xml())
    folder.image("zero.png").write_bytes(b"")
    reason, case = left_out(folder)
    assert reason == "the image cannot be read"
    assert "0 bytes" in case


def test_a_picture_that_is_text(folder):
    folder.add("text", box_xml())
    folder.image("text.png").write_text("<html>404</html>")
    assert "text.png is text in HTML" in left_out(folder)[1]


def test_a_picture_of_20000_by_20000(folder):
    folder.add("giant", box_xml(), picture=Image.new("1", (20_000, 20_000)))
    assert "too large" in left_out(folder)[1]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp"])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_a_truncated_image_is_left_out_before_anything_is_loaded(folder, suffix, share):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8))
    folder.add("cut", box_xml(), picture=noise, suffix=suffix)
    path = folder.image(f"cut{suffix}")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    reason, case = left_out(folder)
    assert reason == "the image cannot be read"
    assert f"cut{suffix}" in case


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
        (b"<annotations><image/></annotations>", "<annotations>, where VOC has <annotation>"),
        (b"<annotation/><annotation/>", "junk after document element"),
        (b"<annotation>\xff\xfe</annotation>", "not UTF-8"),
        (b'<?xml version="1.0" encoding="klingon"?><annotation/>', "encoding"),
        (b"<annotation>" + b" " * (16 * 2**20) + b"</annotation>", "bytes"),
    ],
)
def test_xml_that_is_broken_or_hostile(folder, data, words):
    folder.add("bad", box_xml())
    folder.xml("bad", data)
    dataset = folder.read()
    assert len(dataset) == 1, "the good image stays"
    (skipped,) = dataset.summary().skipped
    assert skipped.file == "Annotations/bad.xml"
    assert words in skipped.why


def test_xml_nested_a_hundred_thousand_deep_is_read_like_any_other(tmp_path):
    path = tmp_path / "deep.xml"
    path.write_bytes(b"<a>" * 100_000 + b"</a>" * 100_000)
    assert parse_xml(path).tag == "a"


@pytest.mark.parametrize(
    ("declared", "encoding", "name"),
    [
        ("iso-8859-1", "latin-1", "Kätzchen"),
        ("gb2312", "gb2312", "细胞"),
        ("gb2312", "gbk", "镕"),
        ("utf-16", "utf-16", "Größe"),
        ("utf-16", "utf-8", "Größe"),
        ("utf-16", "utf-16-le", "Größe"),
        ("UTF-8", "utf-8-sig", "Größe"),
        ("windows-1251", "cp1251", "клетка"),
    ],
)
def test_xml_in_other_encodings(folder, declared, encoding, name):
    folder.add("other", box_xml())
    xml = f'<?xml version="1.0" encoding="{declared}"?><annotation>{box_xml(name)}</annotation>'
    folder.xml("other", xml.encode(encoding))
    assert set(folder.read().class_names[1:]) == {"cat", name}


@pytest.mark.parametrize("name", ["v:annotation", "annotation"])
def test_tags_with_a_namespace_prefix_or_in_capitals_are_read(folder, name):
    folder.add("other", box_xml())
    prefix = name.partition("annotation")[0]
    tags = box_xml("dog").replace("</", "<//").replace("<", f"<{prefix}").replace(f"<{prefix}//", f"</{prefix}")
    tags = tags.replace("object>", "Object>").replace("bndbox>", "BndBox>")
    folder.xml("other", f'<{name} xmlns:v="http://example.org/v" xmlns="http://example.org/">{tags}</{name}>'.encode())
    dataset = folder.read()
    assert dataset.summary().classes == {"cat": 1, "dog": 1}
    assert dataset.report.clean


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


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_lists_of_one_class_and_of_windows_are_understood(folder, encoding):
    folder.add("two", box_xml())
    path = folder.root / "ImageSets" / "Main" / "cat_train.txt"
    path.write_bytes("good  1\r\n\r\ntwo\t-1\r\n".encode(encoding))
    assert len(folder.read("cat_train")) == 2


@pytest.mark.parametrize(
    "line",
    ["two.png", "JPEGImages/two.png", "C:\\data\\two.PNG", "./two", "/data/voc/JPEGImages/two.jpg", "two.xml", "TWO"],
)
def test_a_line_of_a_list_may_be_a_file_or_a_path(folder, line):
    folder.add("two", box_xml())
    folder.list(line, split="part")
    assert [folder.read("part").path(0).stem] == ["two"]


def test_names_in_lists_may_have_folders(folder):
    for day in ("day1", "day2"):
        (folder.root / "Annotations" / day).mkdir()
        (folder.root / "JPEGImages" / day).mkdir()
        folder.add(f"{day}/a", box_xml(f"cat of {day}"))
    dataset = folder.read()
    assert [dataset.path(index).parent.name for index in (1, 2)] == ["day1", "day2"]
    assert [dataset.class_names[dataset[index][1]["labels"][0]] for index in (1, 2)] == ["cat of day1", "cat of day2"]


def test_a_name_that_is_listed_twice_is_read_once(folder):
    folder.list("good", "good")
    dataset = folder.read()
    assert len(dataset) == 1
    assert dataset.report.skipped_images == {"it is listed twice": 1}


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
        "the EXIF rotation was not applied: the boxes lie on the pixels as stored": 2,
        "the image was rotated as its EXIF data says, since the annotated size agrees": 1,
    }


def test_a_size_that_is_not_the_pictures_is_reported(folder):
    folder.add("scaled", box_xml(), size=(400, 300))
    assert list(folder.read().report.adjusted) == ["the annotation gives another size than the image has"]


# --- which image belongs to an annotation -----------------------------------------------------------------------------


def named(folder, name, file_name, *suffixes):
    """An annotation with this <filename>, and images of its own name with these suffixes."""
    folder.add(name, box_xml(), picture=False, extra=f"<filename>{file_name}</filename>")
    for number, suffix in enumerate(suffixes):
        Image.new("RGB", (WIDTH, HEIGHT), (number, 0, 0)).save(folder.image(f"{name}{suffix}"))
    return folder


@pytest.mark.parametrize("file_name", ["a.png", "A.PNG", "C:\\photos\\a.png", "/data/images/a.png"])
def test_filename_decides_between_images_of_one_name(folder, file_name):
    named(folder, "a", file_name, ".jpg", ".jpeg", ".png")
    assert folder.read().path(1).name == "a.png"


@pytest.mark.parametrize("file_name", ["", "a", "other.png"])
def test_images_of_one_name_between_which_nothing_decides_are_named(folder, file_name):
    named(folder, "a", file_name, ".jpg", ".png")
    assert left_out(folder)[0] == "it may be JPEGImages/a.jpg or JPEGImages/a.png"


def test_an_outdated_filename_does_not_matter(folder):
    named(folder, "a", "good.png", ".jpg")
    assert folder.read().path(1).name == "a.jpg"


def test_filename_leads_to_an_image_of_another_name_that_no_other_annotation_has(folder):
    named(folder, "0001", "IMG 7.png")
    named(folder, "0002", "good.png")
    Image.new("RGB", (WIDTH, HEIGHT)).save(folder.image("IMG 7.png"))
    dataset = folder.read()
    assert [dataset.path(index).name for index in range(len(dataset))] == ["good.png", "IMG 7.png"]
    assert [skipped.file for skipped in dataset.summary().skipped] == ["Annotations/0002.xml"]


def test_a_mask_of_the_same_name_is_not_taken_for_the_image(folder):
    for part in ("SegmentationClass", "masks"):
        (folder.root / part).mkdir()
        Image.new("L", (WIDTH, HEIGHT)).save(folder.root / part / "good.png")
    assert folder.read().path(0).parent.name == "JPEGImages"


@pytest.mark.parametrize("suffix", [".jfif", ".JPG", ".jpe", ".tif", ".gif"])
def test_images_of_any_common_suffix_are_found(folder, suffix):
    folder.add("a", box_xml(), picture=False)
    kind = "jpeg" if suffix in (".jfif", ".jpe") else None
    Image.new("RGB", (WIDTH, HEIGHT)).save(folder.image(f"a{suffix}"), kind)
    assert folder.read().path(1).name == f"a{suffix}"


# --- folders that are wrong -------------------------------------------------------------------------------------------


def test_the_folder_is_found_below_the_one_named(folder, tmp_path):
    assert len(read_folder(tmp_path)) == 1
    Folder(tmp_path / "another").add("a", box_xml())
    with pytest.raises(ValueError, match=r"several data sets.* as --data: .*another, .*set$"):
        read_folder(tmp_path)


def test_a_missing_split_is_answered_with_those_that_are_there(folder):
    with pytest.raises(ValueError, match=r"no split 'validation'; it has train"):
        folder.read("validation")
    with pytest.raises(ValueError, match="no split"):
        folder.read("../../train")


def test_all_takes_every_annotation(folder):
    folder.add("unlisted", box_xml(), listed=False)
    assert len(folder.read("all")) == 2


def test_images_without_an_annotation_are_counted_where_no_list_says_what_belongs(folder):
    Image.new("RGB", (WIDTH, HEIGHT)).save(folder.image("bare.png"))
    assert folder.read().report.clean, "the list does not have it"
    (skipped,) = folder.read("all").summary().skipped
    assert (skipped.file, skipped.why) == ("JPEGImages/bare.png", "no annotation of that name")


def test_nothing_left_is_an_error_that_says_why_in_one_line(folder):
    with pytest.raises(ValueError, match=r"^.*no boxes to learn from in 1 image: .*'cat' is not among.*$"):
        open_folder(folder.root, class_names=["zebra"])
    folder.list("gone")
    with pytest.raises(ValueError, match=r"^.*no images to learn from: .*no annotation of that name \(first: gone\)$"):
        open_folder(folder.root)


@pytest.mark.parametrize("objects", [[], [box_xml(difficult=1)], [box_xml(corners=(1, 1, 1, 9))]])
def test_no_boxes_to_learn_from_is_an_error_in_training(tmp_path, objects):
    folder = Folder(tmp_path / "set").add("a", *objects)
    with pytest.raises(ValueError, match=r"^[^\n]*no boxes to learn from in 1 image: [^\n]*$"):
        open_folder(folder.root, for_training=True, class_names=["cat"])


def test_a_folder_without_any_object_has_no_classes_and_is_refused_in_training(tmp_path):
    folder = Folder(tmp_path / "set").add("a").add("b")
    assert folder.read().class_names == ("__background__",)
    with pytest.raises(ValueError, match=r"no boxes to learn from in 2 images: the annotations have none$"):
        open_folder(folder.root, for_training=True)


@pytest.mark.parametrize("names", [[], ["cat", "cat"], ["__background__"], "cat"])
def test_invalid_class_names_are_rejected(folder, names):
    with pytest.raises(ValueError, match="class_names"):
        folder.read(class_names=names)


def test_class_names_that_differ_only_in_case_are_pointed_out(folder):
    folder.add("two", box_xml("Cat"), box_xml("ca t"))
    assert folder.read().summary().warnings == (
        "class names that differ only in case or blanks are different classes: Cat, ca t, cat",
    )


def test_the_summary_is_printed_first_and_what_went_wrong_after_it(folder, capsys):
    folder.add("bad", box_xml(corners=(5, 5, 5, 5)), box_xml(difficult=1))
    folder.list("good", "bad", "gone")
    open_folder(folder.root)
    assert capsys.readouterr().out.splitlines() == [
        "2 images, 1 box to learn from, 1 class; set aside: 1 difficult, 0 crowd, 1 without area; 1 file skipped",
        "1 file skipped: no annotation of that name (first: gone)",
        "1 box left out: no area (first: Annotations/bad.xml, object 0)",
    ]
    open_folder(folder.root, quiet=True)
    assert capsys.readouterr().out == ""


# --- the real thing ---------------------------------------------------------------------------------------------------


@needs_bccd
def test_bccd_has_its_boxes_but_for_two_without_area():
    dataset = read_folder(BCCD, "all")
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
    splits = [read_folder(BCCD, split) for split in ("train", "val", "test")]
    assert [len(split) for split in splits] == [205, 87, 72]
    assert len({split.path(index) for split in splits for index in range(len(split))}) == 364
    image, target = splits[2][0]
    assert image.shape == (3, 480, 640)
    assert (target["boxes"][:, 2:] <= torch.tensor([640, 480])).all()

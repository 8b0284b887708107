"""The course as pages: what becomes of a lesson, and what a site may not lack."""

import base64
import json
import re
import shutil
import zlib

import numpy as np
import pytest
from built_explorers import World
from small_course import write_small_site

from frcnn_edu.explorers.page_state import KEEPING, KIND, NEEDS_KERNEL, kept_state
from frcnn_edu.site.complete import check_site
from frcnn_edu.site.exporter import write_site
from frcnn_edu.site.live import LARGE, completed, script_of, scripts, shipped_buffers
from frcnn_edu.site.markdown import formula, plain_text, slug

WORLD = World()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A site of two lessons, and where its lessons are."""
    folder = tmp_path_factory.mktemp("course")
    write_small_site(folder, WORLD)
    return folder


@pytest.fixture
def site(made, tmp_path):
    """A copy to break."""
    shutil.copytree(made / "site", tmp_path / "site")
    return tmp_path / "site"


def text_of(made, name):
    return (made / "site" / name).read_text(encoding="utf-8")


# formulas and text


def test_a_formula_is_mathml_with_room_after_a_function():
    assert formula("k = \\log x").startswith("<math")
    assert re.search(r"<mi>log</mi><mspace [^>]*/><mi>x</mi>", formula("\\log x"))
    assert '<msub><mi>log</mi><mn>2</mn></msub><mspace width="0.17em"/>' in formula("\\log_2 x")
    assert 'display="block"' in formula("x", block=True)


def test_letters_below_the_line_are_a_name_and_those_under_a_root_a_product():
    assert "<msub><mi>N</mi><mi>cls</mi></msub>" in formula("N_{cls}")
    assert "<mi>w</mi><mi>h</mi>" in formula("\\sqrt{w h}")
    assert "&#x02217;" in formula("p^*")


def test_names_of_headings_and_plain_text():
    assert slug("1 · Centres: one place per cell") == "1-centres-one-place-per-cell"
    assert plain_text("<p>1 &lt; <b>2</b></p>\n<p>3</p>") == "1 < 2 3"


def test_a_lesson_becomes_a_page(made):
    page = text_of(made, "01_anchors.html")
    assert "<h1 " in page
    assert 'id="the-grid"' in page
    assert page.count("<math") == 2
    assert "$" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert "<details><summary>Hint</summary>" in page
    assert "<em>easy</em>" in page
    assert "1 &lt; 2" in page
    assert "Code, 20 lines" in page
    assert "Code, 1 lines" in page, "the code that answers a question is folded, however short"
    assert "0/60" not in page
    assert "This needs Python" in page
    assert "The exercises run in JupyterLab" in page


def test_the_cell_that_looks_for_the_course_is_left_out(made):
    assert "import torch" not in text_of(made, "00_overview.html").replace('<span class="kn">import</span> ', "import ")


def test_links_lead_to_pages_and_files_without_a_page_are_named_only(made):
    page = text_of(made, "00_overview.html")
    assert 'href="01_anchors.html#the-grid"' in page
    assert "the assignments" in page
    assert "README.md" not in page


def test_a_picture_is_a_file_that_the_text_below_it_describes(made):
    page = text_of(made, "01_anchors.html")
    (tag,) = re.findall(r'<img id="picture-figure"[^>]*>', page)
    assert 'width="40" height="30"' in tag
    assert 'alt="Picture of the section “The grid”"' in tag
    (name,) = re.findall(r'aria-describedby="([^"]*)"', tag)
    assert f'<p id="{name}"><strong>See:' in page
    assert (made / "site/figures/01-figure.png").stat().st_size > 0


def test_the_menu_shows_the_architecture_and_lights_the_lesson(made):
    page = text_of(made, "01_anchors.html")
    menu = page[page.index('class="map"') : page.index("</nav>")]
    assert menu.count('aria-current="page"') == 2  # a block, and an entry of the list
    assert 'aria-label="anchors: lesson 01"' in menu
    assert "boxes laid out beforehand" in text_of(made, "index.html")


def test_every_section_can_be_found(made):
    entries = json.loads(text_of(made, "search.js").partition(" = ")[2].rstrip().rstrip(";"))
    assert [entry["url"] for entry in entries] == [
        "00_overview.html#00-overview-two-lessons",
        "01_anchors.html#01-anchors-where-it-starts",
        "01_anchors.html#the-grid",
        "01_anchors.html#your-turn",
    ]
    assert "easy" in entries[-1]["text"]


# explorers


def test_every_explorer_has_data_and_a_file_of_its_own(made):
    page = text_of(made, "01_anchors.html")
    places = re.findall(r'data-explorer="([\w-]+)"', page)
    assert len(places) == len(WORLD.makers()) - 2, "all but those that need a kernel: FileDrop and LiveDetector"
    assert page.count("This needs Python") == 2
    embeds = {path.stem for path in (made / "site/embed").glob("*.html")}
    assert len(embeds) == len(places) - 1, "a question card needs none"
    assert {"grid-explorer", "iou-explorer", "box-canvas"} <= embeds
    alone = text_of(made, "embed/grid-explorer.html")
    assert not re.search(r'(src|href)="(?!data:)', alone), "it loads something"


def test_what_is_large_waits_in_a_file_of_its_own(made):
    state = text_of(made, "data/01_anchors.js")
    (file,) = re.findall(r'"later": \["(data/\w+\.js)"\]', state)
    assert (made / "site" / file).stat().st_size > LARGE
    longest = max(map(len, re.findall(r'"\w{16}": "([^"]*)"', state)))
    assert longest <= LARGE


def test_every_explorer_has_its_script():
    makers = WORLD.makers()
    found = {script_of(f"{kind.__module__}.{kind.__qualname__}") for kind in {type(makers[name]()) for name in makers}}
    assert found == set(scripts())


def test_a_learners_notebook_keeps_no_state(monkeypatch):
    monkeypatch.delenv(KEEPING, raising=False)
    data, _ = WORLD.makers()["GridExplorer"]()._repr_mimebundle_()
    assert KIND not in data


@pytest.mark.parametrize("name", ["RecallExplorer", "CoverageExplorer", "BugZooExplorer"])
def test_recorded_answers_are_pythons_and_recording_changes_nothing(name, monkeypatch):
    monkeypatch.setenv(KEEPING, "1")
    widget = WORLD.makers()[name]()
    before = widget.get_state()
    kept = kept_state(widget)[KIND]
    assert widget.get_state() == before
    for answers in kept["answers"]:
        given, state, widget = answers["given"][-1], answers["states"][-1], WORLD.makers()[name]()
        for trait, value in zip(answers["traits"], given, strict=True):
            setattr(widget, trait, value)
        assert state, f"{answers['traits']} change nothing"
        for trait, value in state.items():
            now = widget.get_state(trait)[trait]
            if isinstance(value, dict) and "buffer" in value:
                assert zlib.decompress(base64.b64decode(kept["buffers"][value["buffer"]])) == bytes(now)
            else:
                assert now == value


def test_heads_that_are_too_large_need_a_kernel(monkeypatch):
    monkeypatch.setenv(KEEPING, "1")
    heads = WORLD.makers()["HeadsExplorer"]()
    kept = kept_state(heads)[KIND]
    assert len(kept["buffers"][kept["state"]["half_weights"]["buffer"]]) > LARGE
    monkeypatch.setattr("frcnn_edu.explorers.lesson_06_roi_pooling.heads.MOST_WEIGHTS", 1000)
    assert kept_state(heads)[KIND] == {NEEDS_KERNEL: True}


def test_what_the_course_ships_need_not_be_kept_with_a_lesson(monkeypatch):
    monkeypatch.setenv(KEEPING, "1")
    kept = kept_state(WORLD.makers()["HeadsExplorer"]())[KIND]
    (key,) = shipped_buffers()
    assert kept["state"]["half_weights"] == {"buffer": key}
    whole = kept["buffers"].pop(key)
    assert completed(kept, {})["buffers"][key] == whole
    boxes = kept["state"]["boxes"]["buffer"]
    earlier = {boxes: kept["buffers"].pop(boxes), "other": "AAAA"}
    assert completed(kept, earlier)["buffers"].keys() == {*kept["buffers"], key, boxes}
    with pytest.raises(LookupError, match="HeadsExplorer lacks the bytes"):
        completed(kept, {})


def test_half_precision_holds_the_shipped_heads_exactly(monkeypatch):
    heads = WORLD.makers()["HeadsExplorer"]()
    traits = heads.page_traits()
    weights = np.frombuffer(traits["half_weights"], "<f2").astype(np.float32)
    fc6 = WORLD.model.roi_heads.box_head.fc6.weight.detach().flatten().numpy()
    assert (weights[: len(fc6)] == fc6).all()


# what a site may not lack


def test_a_lesson_without_the_state_of_an_explorer_is_refused(made, tmp_path):
    shutil.copytree(made / "notebooks", tmp_path / "notebooks")
    path = tmp_path / "notebooks" / "01_anchors.ipynb"
    lesson = json.loads(path.read_text())
    (cell,) = [cell for cell in lesson["cells"] if cell["id"] == "gridexplorer"]
    del cell["outputs"][0]["data"][KIND]
    path.write_text(json.dumps(lesson))
    with pytest.raises(ValueError, match=r"cell gridexplorer: .* run `make notebooks LESSON=01_anchors`"):
        write_site(tmp_path / "site", tmp_path / "notebooks")


def test_a_folder_with_something_else_in_it_is_left_alone(made, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="no site of this course"):
        write_site(tmp_path, made / "notebooks")
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_whole_site_is_complete(made):
    check_site(made / "site")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('href="00_overview.html"', 'href="0_overview.html"', "links to 0_overview.html, which is not there"),
        ('href="#the-grid"', 'href="#grid"', "links to #grid, where nothing is called grid"),
        ('src="figures/01-figure.png"', 'src="figures/1.png"', "figures/1.png is not there"),
        (
            'src="mount.js"',
            'src="//a.org/mount.js"',
            "loads //a.org/mount.js from another server",
        ),
        ('data-explorer="gridexplorer"', 'data-explorer="greed"', "the explorer greed has no data"),
        ('alt="Picture of', 'data-alt="Picture of', "1 pictures have no text"),
    ],
)
def test_what_a_page_lacks_is_named(site, old, new, complaint):
    path = site / "01_anchors.html"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(f"01_anchors.html: {complaint}")):
        check_site(site)

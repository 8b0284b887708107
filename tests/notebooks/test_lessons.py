"""What every lesson has, whatever it is about (that it runs is for nbval to say, that it is used for the browser)."""

import re
import sys
import tomllib
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
from cell_names import given_twice
from lesson_files import LESSONS, NOTEBOOKS, cells

from frcnn_edu.course.lessons import lay_lessons

sys.path.insert(0, str(NOTEBOOKS))
import execute

MOST_LINES = 15
MOST_WORDS = 170
LARGEST_FILE = 2_500_000
MOST_CELLS = 55
REPEATED = Path(__file__).with_name("repeated_numbers")
"""For each lesson, the numbers that its text repeats from its outputs."""

NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?|\.\d+")
TELL_NO_ANSWER = {"field-gradient"}
"""Cells that show a picture beside an answer which cannot be read from it."""

SAY_NO_ANSWER = {"live-see", "border-see", "odd-text", "pair", "field-see", "every-size-see", "score-see"}
SAY_NO_ANSWER |= {"crowd-see", "gallery-see", "zoo-loss-see"}
"""Texts below an answer that it cannot be read from."""

SECTIONS = ("question", "break it", "your turn", "recap")


@pytest.fixture(params=LESSONS, ids=lambda path: path.stem)
def lesson(request):
    return request.param


def text_of(lesson) -> str:
    return "\n".join(cell["source"] for cell in cells(lesson, "markdown"))


def outputs(lesson) -> list[dict]:
    return [output for cell in cells(lesson, "code") for output in cell["outputs"]]


def test_it_came_out_of_the_runner(lesson):
    notebook = nbformat.read(lesson, as_version=4)
    nbformat.validate(notebook)
    assert execute.tidy(notebook) == notebook, "run `make notebooks` and commit what it writes"


def test_it_opens_with_its_number_its_minutes_and_what_one_will_be_able_to_do(lesson):
    first = cells(lesson)[0]["source"]
    assert first.startswith(f"# {lesson.stem[:2]} · ")
    assert re.search(r"\d+ minutes", first)
    assert re.search(r"\byou (can|will be able to)\b", first)


def test_its_first_code_cell_checks_that_the_course_is_installed(lesson):
    assert cells(lesson, "code")[0]["source"] == execute.FIRST_CELL, "run `make notebooks`"


@pytest.mark.parametrize("section", SECTIONS)
def test_it_has_the_sections_that_lessons_have(lesson, section):
    headings = re.findall(r"^#+ .*", text_of(lesson), re.MULTILINE)
    assert [heading for heading in headings if section in heading.lower()], headings


def test_it_shows_where_one_is_on_the_map(lesson):
    assert any("draw_architecture(" in cell["source"] for cell in cells(lesson, "code"))


def test_the_recap_names_the_paper_and_torchvision(lesson):
    recap = re.split(r"^#+ .*recap.*$", text_of(lesson), flags=re.MULTILINE | re.IGNORECASE)[-1]
    assert re.search(r"section \d", recap)
    assert "torchvision" in recap


def test_no_cell_is_a_wall(lesson):
    code = {cell["id"]: len(cell["source"].splitlines()) for cell in cells(lesson, "code")}
    assert {name: lines for name, lines in code.items() if lines > MOST_LINES} == {}
    prose = {
        cell["id"]: re.sub(r"^\|.*$", "", cell["source"], flags=re.MULTILINE) for cell in cells(lesson, "markdown")
    }
    words = {name: len(text.split()) for name, text in prose.items()}  # tables are not walls
    assert {name: count for name, count in words.items() if count > MOST_WORDS} == {}


def test_no_output_warns_and_every_explorer_leaves_a_plain_picture(lesson):
    assert [output["text"] for output in outputs(lesson) if output.get("name") == "stderr"] == []
    explorers = [
        output["data"]
        for output in outputs(lesson)
        if re.match(r"\w*(Canvas|Explorer|Life|Detector|Machine)\(", said(output))
    ]
    assert all({"image/jpeg", "image/png"} & set(data) for data in explorers)
    assert lesson.stat().st_size <= LARGEST_FILE


def said(output: dict) -> str:
    return "".join(output.get("data", {}).get("text/plain", ""))


def test_a_cell_that_answers_a_question_hides_its_code(lesson):
    """Its values and its sentence would be read before the guess."""
    compared = [cell for cell in cells(lesson, "code") if re.search(r"\.compare\(", cell["source"])]
    assert compared
    shown = [cell["id"] for cell in compared if not cell["metadata"].get("jupyter", {}).get("source_hidden")]
    assert shown == [], "run `make notebooks`"
    first_lines = [cell["source"].splitlines()[0] for cell in compared]
    assert [line for line in first_lines if ".compare(" in line] == [], "JupyterLab shows a folded cell's first line"


def test_what_a_learner_opens_hides_it_too(lesson, tmp_path):
    lay_lessons(tmp_path)
    assert [cell["metadata"] for cell in cells(tmp_path / lesson.name)] == [cell["metadata"] for cell in cells(lesson)]


def test_no_drawing_lies_open_under_a_question_without_a_guess(lesson):
    """`compare` takes it, and shows it with the answer."""
    compared = [cell for cell in cells(lesson, "code") if ".compare(" in cell["source"]]
    open_ones = {cell["id"] for cell in compared if any("<Figure" in said(output) for output in cell["outputs"])}
    assert open_ones <= TELL_NO_ANSWER


def test_what_comments_on_an_answer_is_folded(lesson):
    """It stands on the screen with the question. What says nothing of the answer may be open."""
    every = cells(lesson)
    below = [after for cell, after in pairwise(every) if ".compare(" in cell["source"]]
    open_ones = {cell["id"] for cell in below if cell["source"].startswith("**See:**")}
    assert open_ones <= SAY_NO_ANSWER


def test_its_links_lead_somewhere(lesson):
    links = re.findall(r"\]\(([^)\s#]+)", text_of(lesson))
    assert [link for link in links if "://" not in link and not (NOTEBOOKS / link).exists()] == []


def test_korean_stays_out_of_pictures(lesson):
    """matplotlib has no Korean type on most machines: it would draw boxes. In text the browser finds one."""
    assert [cell["id"] for cell in cells(lesson, "code") if re.search("[가-힣]", cell["source"])] == []


def test_no_cell_reads_a_name_that_two_others_give(lesson):
    """Running one of them again would change what the reader gets."""
    assert given_twice({cell["id"]: cell["source"] for cell in cells(lesson, "code")}) == {}


def test_it_is_no_longer_than_a_lesson(lesson):
    assert len(cells(lesson)) <= MOST_CELLS


def test_numbers_in_the_text_are_those_of_the_outputs(lesson):
    """To as many digits as the text has. Both are looked up literally, so neither can change alone."""
    by_id = {cell["id"]: cell for cell in cells(lesson)}
    table = tomllib.loads((REPEATED / f"{lesson.stem}.toml").read_text(encoding="utf-8"))["repeated"]
    wrong = []
    for entry in table:
        shown = printed(by_id[entry["output"]])
        if entry["says"] not in by_id[entry["text"]]["source"] or entry["shows"] not in shown:
            wrong.append(f"not there any more: {entry}; the output shows {shown[-500:]!r}")
        elif not agree(NUMBER.findall(entry["says"]), NUMBER.findall(entry["shows"])):
            wrong.append(f"text and output differ: {entry}")
    assert wrong == []


def agree(said: list[str], shown: list[str]) -> bool:
    """Whether each number of the text is one of the output's, rounded to the digits of the text."""
    numbers = [float(one.replace(",", "")) for one in shown]
    digits = [len(one.partition(".")[2]) for one in said]
    texts = [float(one.replace(",", "")) for one in said]
    return bool(said) and all(
        any(abs(text - number) <= 0.5 * 10**-places + 1e-9 for number in numbers)
        for text, places in zip(texts, digits, strict=True)
    )


def printed(cell: dict) -> str:
    """All that a cell has printed or shown, as text; markup is left out."""
    texts = []
    for output in cell["outputs"]:
        data = output.get("data", {})
        texts += [
            "".join(one) for one in (output.get("text", ""), data.get("text/plain", ""), data.get("text/html", ""))
        ]
    return re.sub(r"<[^>]+>", " ", "\n".join(texts))


def test_the_table_of_numbers_would_notice():
    assert agree(["74"], ["74.2"])
    assert agree([".49", "0.93"], ["0.487", "0.931", "5"])
    assert not agree(["75"], ["74.2"])
    assert not agree(["74.0"], ["74.2"])
    assert not agree([], ["74.2"])

"""The whole site: every lesson a page, the explorers alive, a front page, a search; written into one folder.

Nothing on it asks another server. Pages can be read from a folder too, without any server.
"""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

from jinja2 import Environment, PackageLoader, StrictUndefined

from frcnn_edu.datasets import course_folder
from frcnn_edu.site.cells import YOUR_TURN, LessonPage
from frcnn_edu.site.colors import variables
from frcnn_edu.site.complete import check_site
from frcnn_edu.site.live import all_scripts, all_styles, alone, embed_names, state_files, title_of
from frcnn_edu.site.menu import Lesson, find_lessons, large_map, small_map
from frcnn_edu.site.playground.build import write as write_playground

ASSETS = Path(__file__).parent / "assets"
TITLE = "Faster R-CNN, to see and to touch"
TASKS = "your-turn"
"""The name of the section that needs a kernel."""


def write_site(folder: Path, notebooks: Path | None = None, playground: bool = True) -> None:
    """Write the site into `folder`, which is emptied first if it holds a site; `notebooks` are the lessons.

    The front page begins with the `playground`, which takes as long as all the rest, or goes without it.
    Raises FileNotFoundError where the playground's runtime has not been installed, and ValueError for a folder that
    holds something else, a lesson without the states of its explorers, or a site with a broken link or a missing file.
    """
    _empty(folder)
    lessons = find_lessons(notebooks or course_folder("notebooks"))
    pages = [LessonPage(lesson, lambda url: link_to(url, lessons)).read() for lesson in lessons]
    moving = [(f"{page.lesson.number}/{place}", page.explorers[place]) for page in pages for place in _moving(page)]
    embeds = embed_names(moving)
    site = _Writer(folder, lessons, embeds)
    for page in pages:
        site.write_lesson(page)
    site.write_embeds(pages)
    site.write_search(pages)
    site.write_front(pages, playground)
    site.write_shared()
    check_site(folder)


def link_to(url: str, lessons: list[Lesson]) -> str | None:
    """Where a link of a lesson leads on the site: another lesson's page, an address, or nowhere."""
    target, _, place = url.partition("#")
    pages = {lesson.path.name: lesson.page for lesson in lessons}
    if target in pages:
        return pages[target] + (f"#{place}" if place else "")
    if not target or "://" in target:
        return url
    if lessons and (lessons[0].path.parent / target).exists():
        return None  # a file of the repository, of which there is no page
    return url


class _Writer:
    def __init__(self, folder: Path, lessons: list[Lesson], embeds: dict[str, str]) -> None:
        self.folder, self.lessons, self.embeds = folder, lessons, embeds
        self.templates = Environment(
            loader=PackageLoader("frcnn_edu.site"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self.templates.globals |= {"site": TITLE, "lessons": lessons}

    def write(self, name: str, content: str | bytes) -> None:
        """Write one file of the site."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def render(self, template: str, name: str, **given: object) -> None:
        """Write one page."""
        self.write(name, self.templates.get_template(template).render(given))

    def write_lesson(self, page: LessonPage) -> None:
        """A lesson's page, its pictures, and the states of its explorers."""
        lesson = page.lesson
        at = self.lessons.index(lesson)
        html = "\n".join(page.html)
        html = re.sub(r"\{\{embed ([\w-]+)\}\}", lambda found: self._embed(lesson, found[1]), html)
        note = f'<p class="needs-python">{YOUR_TURN}</p>'
        html = re.sub(rf'(<h2 id="{TASKS}">.*?</h2>)', rf"\1\n{note}", html)
        self.render(
            "lesson.html",
            lesson.page,
            lesson=lesson,
            title=lesson.title,
            description=lesson.about or lesson.name,
            map=small_map(self.lessons, lesson.number),
            sections=[section for section in page.sections if section.level == 2],
            content=html,
            state=f"data/{lesson.path.stem}.js",
            before=self.lessons[at - 1] if at else None,
            after=self.lessons[at + 1] if at + 1 < len(self.lessons) else None,
        )
        for name, content in page.pictures.items():
            self.write(name, content)
        for name, text in state_files(lesson.path.stem, page.explorers).items():
            self.write(name, text)

    def _embed(self, lesson: Lesson, place: str) -> str:
        return f"embed/{self.embeds[f'{lesson.number}/{place}']}.html"

    def write_embeds(self, pages: list[LessonPage]) -> None:
        """Each explorer as a file of its own, with all that it needs in it."""
        sheet = "\n".join((variables(), _asset("frame.css"), _asset("page.css"), all_styles()))
        for page in pages:
            for place in _moving(page):
                kept = page.explorers[place]
                parts = {name: text.replace("</script", "<\\/script") for name, text in alone(kept).items()}
                self.render(
                    "embed.html",
                    self._embed(page.lesson, place),
                    title=title_of(kept),
                    lesson=page.lesson,
                    style=sheet,
                    mount=_asset("mount.js"),
                    **parts,
                )

    def write_search(self, pages: list[LessonPage]) -> None:
        """Every section of every lesson, for the search."""
        entries = [
            {
                "title": page.lesson.title,
                "section": section.title if section.level > 1 else "",
                "url": f"{page.lesson.page}#{section.name}",
                "text": " ".join(section.parts),
            }
            for page in pages
            for section in page.sections
        ]
        self.write("search.js", f"globalThis.frcnnEduSearch = {json.dumps(entries, ensure_ascii=False)};\n")

    def write_front(self, pages: list[LessonPage], with_playground: bool) -> None:
        """The front page: the playground, the map, and the lessons."""
        playground = self._playground() if with_playground else None
        self.render(
            "playground.html" if playground else "index.html",
            "index.html",
            title=TITLE,
            description="A course on Faster R-CNN whose pictures move under the hand.",
            map=small_map(self.lessons),
            large_map=large_map(self.lessons),
            playground=playground,
            cards=[
                SimpleNamespace(lesson=page.lesson, picture=_cover(page), moving=len(_moving(page))) for page in pages
            ],
        )

    def _playground(self) -> SimpleNamespace:
        """The page of the playground, whose files are written: its style sheets and its body."""
        write_playground(self.folder)
        page = (self.folder / "index.html").read_text(encoding="utf-8")
        body = re.search(r"<body[^>]*>(.*)</body>", page, re.DOTALL)
        assert body, "the page of the playground has no body"
        return SimpleNamespace(styles="\n".join(re.findall(r'<link rel="stylesheet"[^>]*>', page)), body=body[1])

    def write_shared(self) -> None:
        """What all pages share."""
        self.write("frame.css", f"{variables()}\n{_asset('frame.css')}")
        self.write("page.css", _asset("page.css"))
        self.write("explorers.css", all_styles())
        self.write("explorers.js", all_scripts())
        for name in ("mount.js", "page.js"):
            self.write(name, _asset(name))


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def _moving(page: LessonPage) -> list[str]:
    """The places of its explorers, question cards left out."""
    return [place for place, kept in page.explorers.items() if not kept["class"].endswith(".Question")]


def _cover(page: LessonPage) -> str | None:
    """The picture of its first explorer, or its second picture: the first is the map."""
    places = [f"figures/{page.lesson.number}-{place}.jpg" for place in _moving(page)]
    return next((name for name in places if name in page.pictures), None) or next(iter([*page.pictures][1:]), None)


def _empty(folder: Path) -> None:
    """Remove a site that was written before; raises ValueError for a folder that holds something else."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / "search.js").exists():
            raise ValueError(f"{folder} holds something that is no site of this course: name a new folder")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)

"""Whether a site is complete: every link leads somewhere, every picture and script is there, every explorer has data.

Pages may link to other servers, but may not load anything from them.
"""

import re
from html.parser import HTMLParser
from pathlib import Path

LOADS = {"img": "src", "script": "src", "link": "href", "source": "src", "iframe": "src"}


class _Page(HTMLParser):
    """What a page names, links to, loads, and which explorers it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.explorers: list[str] = []
        self.pictures_without_text = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take down what an element names."""
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.names.add(given["id"])
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if (loaded := given.get(LOADS.get(tag, ""), "data:")) and not loaded.startswith("data:"):
            self.loads.append(loaded)
        if "data-explorer" in given:
            self.explorers.append(given["data-explorer"])
        if tag == "img" and not given.get("alt") and given.get("role") != "presentation":
            self.pictures_without_text += 1


def check_site(folder: Path) -> None:
    """Raises ValueError that lists all that is missing."""
    pages = {path: _Page(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.html"))}
    wrong = [
        f"{path.relative_to(folder)}: {complaint}"
        for path, page in pages.items()
        for complaint in _wrong(path, page, pages)
    ]
    if wrong:
        raise ValueError("the site is not complete:\n" + "\n".join(wrong))


def _wrong(path: Path, page: _Page, pages: dict[Path, _Page]) -> list[str]:
    wrong = [f"loads {url} from another server" for url in page.loads if _is_outside(url)]
    wrong += [f"{url} is not there" for url in page.loads if not _is_outside(url) and not _target(path, url).is_file()]
    for url in page.links:
        target, _, name = url.partition("#")
        other = _target(path, target) if target else path
        if re.match(r"https?://|mailto:", url):
            continue
        if not other.is_file():
            wrong.append(f"links to {url}, which is not there")
        elif name and other in pages and name not in pages[other].names:
            wrong.append(f"links to {url}, where nothing is called {name}")
    if page.pictures_without_text:
        wrong.append(f"{page.pictures_without_text} pictures have no text that says what they show")
    known = _kept(path, page)
    wrong += [
        f"the explorer {place} has no data" for place in page.explorers if f'"{place}": {{"script": ' not in known
    ]
    return wrong


def _kept(path: Path, page: _Page) -> str:
    """What the page hands to its explorers: its own text, and that of its scripts in data/."""
    files = [_target(path, url) for url in page.loads if url.startswith("data/")]
    return "\n".join(file.read_text(encoding="utf-8") for file in (path, *files) if file.is_file())


def _target(path: Path, url: str) -> Path:
    return (path.parent / url.partition("?")[0]).resolve()


def _is_outside(url: str) -> bool:
    return re.match(r"[a-z]+://|//", url) is not None

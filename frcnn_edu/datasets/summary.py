"""Summary: a data set in one line, before anybody trains on it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SkippedFile:
    """A file that a data set left out, and the reason."""

    file: str
    why: str


@dataclass(frozen=True)
class DataSummary:
    """What a data set holds and what it set aside; ``str()`` of it is one line, the warnings are left to the caller."""

    images: int
    boxes: int
    """Those to learn from: neither difficult nor crowd, and with area."""
    classes: dict[str, int]
    """How many of `boxes` each class has, in the order of the labels, also those with none."""
    difficult: int
    crowd: int
    without_area: int
    skipped: tuple[SkippedFile, ...]
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{count(self.images, 'image')}, {count(self.boxes, 'box')} to learn from, "
            f"{count(len(self.classes), 'class')}; set aside: {self.difficult} difficult, "
            f"{self.crowd} crowd, {self.without_area} without area; {count(len(self.skipped), 'file')} skipped"
        )


def one_line(text: str) -> str:
    """Text with every character that cannot be printed spelled out, such as those of a name that is not UTF-8."""
    return text if text.isprintable() else "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def count(number: int, noun: str) -> str:
    """A number with its noun: 1 box, 2 boxes."""
    return f"{number} {noun if number == 1 else noun + ('es' if noun[-1] in 'sx' else 's')}"

"""Look: what a folder holds, as text for people and as numbers for programs, without training on it."""

from frcnn_edu.datasets.data_report import examine_targets
from frcnn_edu.datasets.folder import FolderDataset, nothing_to_learn

MOST_FILES = 10
"""Skipped files that the text lists; the numbers have all of them."""

FEW_BOXES = 10
"""A class with fewer boxes than this is pointed out: a detector hardly learns it."""


def report_text(dataset: FolderDataset) -> str:
    """Everything that a user should know before training: the summary, sizes and classes, then what went wrong."""
    summary = dataset.summary()
    lines = [dataset.source, str(summary), *dataset.notes]
    if summary.boxes:
        kept = [~(target["difficult"] | target["iscrowd"]) for target in dataset.targets()]
        targets = [
            {key: value[keep] for key, value in target.items()}
            for target, keep in zip(dataset.targets(), kept, strict=True)
        ]
        lines += str(examine_targets(targets, dataset.sizes(), dataset.class_names)).splitlines()[1:]
        few = [name for name, number in summary.classes.items() if number < FEW_BOXES]
        lines += (
            [f"classes with fewer than {FEW_BOXES} boxes, hardly enough to learn from: {', '.join(few)}"] if few else []
        )
    lines += [f"skipped {one.file}: {one.why}" for one in summary.skipped[:MOST_FILES]]
    more = len(summary.skipped) - MOST_FILES
    lines += [f"skipped {more} more files"] if more > 0 else []
    return "\n".join([*lines, *(f"warning: {text}" for text in _warnings(dataset))])


def report_content(dataset: FolderDataset) -> dict[str, object]:
    """The same as data for a JSON file."""
    summary = dataset.summary()
    return {
        "data": dataset.source,
        "images": summary.images,
        "boxes": summary.boxes,
        "classes": summary.classes,
        "difficult": summary.difficult,
        "crowd": summary.crowd,
        "without_area": summary.without_area,
        "skipped": [{"file": one.file, "why": one.why} for one in summary.skipped],
        "warnings": _warnings(dataset),
        "notes": dataset.notes,
    }


def _warnings(dataset: FolderDataset) -> list[str]:
    return [text for text in (nothing_to_learn(dataset), *dataset.summary().warnings) if text]

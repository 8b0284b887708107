"""Checkpoints: what a run leaves on disk, and how any of it comes back.

A checkpoint is a folder ``step-000400`` of safetensors and JSON in the run's folder, beside ``model.json``, which says
what to build. It is written under another name and renamed when complete, and holds the digest of each of its files: a
reader can tell whether it is whole. Nothing is ever unpickled, for a pickle runs whatever its writer put in it.
"""

import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from inspect import signature
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm.auto import tqdm

from frcnn_edu.faster_rcnn import BUILDERS, FasterRCNN
from frcnn_edu.training.distributed import of_first, rank

CHECKPOINTS_KEPT = 2
MODEL_FILE = "model.json"
STATE_FILE = "state.json"
WEIGHTS_FILE = "weights.safetensors"
OPTIMIZER_FILE = "optimizer.safetensors"

FREEZING = tuple(name for name, build in BUILDERS.items() if "frozen_backbone" in signature(build).parameters)
"""Models that freeze part of a pretrained backbone. Their cards record it, so that loading builds the same model."""

Start = tuple[int, dict[str, list[float]], dict[int, dict[str, Tensor]]]
"""Where a run starts: steps done, their losses, what the optimizer kept of each parameter."""


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message says which and why."""


@dataclass(frozen=True)
class Recipe:
    """How to train: everything that determines the weights at the end, besides model, data and augmentation."""

    steps: int = 1200
    batch_size: int = 4
    """Images a step, over all processes."""
    learning_rate: float = 1e-3
    """The highest: it rises to it over the warm-up and falls to 0 along a cosine."""
    warmup: float = 0.1
    """Share of the steps."""
    weight_decay: float = 1e-4
    clip_norm: float = 5.0
    """Longest gradient that is believed."""
    mixed_precision: bool = True
    """Multiply in bfloat16 where the hardware does so natively; weights and sums stay float32."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1 or not self.learning_rate > 0:
            raise ValueError(f"steps, batch_size and learning_rate must be above 0, got {self}")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, got {self.seed}")

    def rate(self, step: int) -> float:
        """The learning rate of step `step`, counted from 0."""
        warmup = max(1, round(self.warmup * self.steps))
        if step < warmup:
            return self.learning_rate * (step + 1) / warmup
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, self.steps - warmup)))


@dataclass
class History:
    """The four losses of every step so far, under torchvision's names."""

    losses: dict[str, list[float]] = field(default_factory=dict)

    def add(self, losses: Mapping[str, float]) -> None:
        """Append one step."""
        for name, value in losses.items():
            self.losses.setdefault(name, []).append(value)

    @property
    def total(self) -> list[float]:
        """The sum of the four, step by step."""
        return [sum(step) for step in zip(*self.losses.values(), strict=True)]

    def __len__(self) -> int:
        return len(next(iter(self.losses.values()), []))


@dataclass(frozen=True)
class ModelCard:
    """What is needed to build a model again: its builder's name and arguments, and what its classes are called."""

    model: str
    class_names: tuple[str, ...]
    """The background's first."""
    options: dict[str, object] = field(default_factory=dict)

    def build(self, **more: object) -> FasterRCNN:
        """The model, untrained (or with `weights_backbone`). Raises ValueError for a name that no builder has."""
        if self.model not in BUILDERS:
            raise ValueError(f"model must be one of {', '.join(BUILDERS)}, got {self.model!r}")
        return BUILDERS[self.model](num_classes=len(self.class_names), **self.options, **more)


def load_model(folder: str | Path, device: str | torch.device = "cpu") -> tuple[FasterRCNN, ModelCard]:
    """The model of a run's folder or of one of its checkpoints, in evaluation mode, and its card.

    Of a run the newest whole checkpoint is taken. Raises CheckpointError where there is none, or what lies there is
    broken, of another model, or a pickle.
    """
    folder = Path(folder).absolute()
    if not folder.is_dir():
        why = "weights are a folder that train wrote; pickles (.pt, .pth) are not loaded"
        raise CheckpointError(f"{folder} is {'a file' if folder.is_file() else 'not there'}: {why}")
    card = _read_card(folder if (folder / MODEL_FILE).is_file() else folder.parent)
    checkpoint = Checkpoint.read(folder) if (folder / STATE_FILE).is_file() else _newest(folder)
    try:
        model = card.build()
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{folder} holds a model that cannot be built: {error}") from error
    checkpoint.restore_model(model)
    return model.to(device).eval(), card


@dataclass(frozen=True)
class Checkpoint:
    """One whole checkpoint on disk."""

    folder: Path
    step: int
    recipe: dict[str, object]
    losses: dict[str, list[float]]

    @classmethod
    def read(cls, folder: Path) -> "Checkpoint":
        """Open a checkpoint; raises CheckpointError unless all its files are there and as they were written."""
        try:
            state = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
            for name, digest in state["digests"].items():
                if _digest(folder / name) != digest:
                    raise CheckpointError(f"{folder / name} is not as it was written: cut short or changed")
            return cls(folder, state["step"], state["recipe"], state["losses"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise error if isinstance(error, CheckpointError) else CheckpointError(f"{folder}: {error!r}") from error

    def restore_model(self, model: nn.Module) -> None:
        """Load the weights; raises CheckpointError where they are another model's or no safetensors."""
        try:
            model.load_state_dict(load_file(self.folder / WEIGHTS_FILE))
        except (SafetensorError, RuntimeError, ValueError) as error:
            raise CheckpointError(f"{self.folder} does not fit this model: {error}") from error

    def optimizer_state(self) -> dict[int, dict[str, Tensor]]:
        """What the optimizer kept of each parameter, on the CPU."""
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in load_file(self.folder / OPTIMIZER_FILE).items():
            index, name = key.split(".")
            state.setdefault(int(index), {})[name] = value
        return state


class Keeper:
    """Writes a run's checkpoints into its folder, the newest two, and finds where to go on."""

    def __init__(self, folder: Path, card: ModelCard, recipe: Recipe) -> None:
        self.folder, self.card, self.recipe = folder, card, recipe

    def start(self, model: nn.Module, optimizer: torch.optim.Optimizer, resume: bool) -> tuple[int, History]:
        """Steps done and losses so far; a new run writes checkpoint 0: a full disk or a closed folder shows now.

        Of several processes only the first looks into the folder, which need not exist where the others are; its
        weights become theirs when DistributedDataParallel starts. All raise CheckpointError where a run is in the
        way, or the one to resume is another.
        """
        step, losses, state = of_first(lambda: self._resume(model) if resume else self._begin(model, optimizer))
        if state:
            optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        return step, History(losses)

    def _begin(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Start:
        if _checkpoints(self.folder):
            raise CheckpointError(f"{self.folder} holds a run already: resume it, or name another folder")
        _write_card(self.folder, self.card)
        self.save(model, optimizer, 0, History())
        return 0, {}, {}

    def _resume(self, model: nn.Module) -> Start:
        if _as_written(_read_card(self.folder)) != _as_written(self.card):
            raise CheckpointError(f"{self.folder} holds a run of another model or other classes: name another folder")
        checkpoint = _newest(self.folder)
        if checkpoint.recipe != asdict(self.recipe):
            raise CheckpointError(f"{self.folder} was trained with {checkpoint.recipe}, not with {asdict(self.recipe)}")
        checkpoint.restore_model(model)
        return checkpoint.step, checkpoint.losses, checkpoint.optimizer_state()

    def save(self, model: nn.Module, optimizer: torch.optim.Optimizer, step: int, history: History) -> None:
        """Write a checkpoint, whole or not at all, and drop all but the newest two. Only the first process writes."""
        if rank() > 0:
            return
        final = self.folder / f"step-{step:06d}"
        draft = self.folder / f".{final.name}.part"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        try:
            save_file(_contiguous(model.state_dict()), draft / WEIGHTS_FILE)
            save_file(_contiguous(_flat_state(optimizer)), draft / OPTIMIZER_FILE)
            digests = {name: _digest(draft / name) for name in (WEIGHTS_FILE, OPTIMIZER_FILE)}
            state = {"step": step, "recipe": asdict(self.recipe), "losses": history.losses, "digests": digests}
            (draft / STATE_FILE).write_text(json.dumps(state), encoding="utf-8")
            _sync(draft)
            shutil.rmtree(final, ignore_errors=True)
            draft.rename(final)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        for old in _checkpoints(self.folder)[:-CHECKPOINTS_KEPT]:
            shutil.rmtree(old)


def _checkpoints(folder: Path) -> list[Path]:
    """The run's own checkpoints, the newest last; copies that somebody named otherwise are none."""
    own = [path for path in folder.glob("step-*") if re.fullmatch(r"step-\d+", path.name)]
    return sorted(own, key=lambda path: int(path.name.removeprefix("step-")))


def _newest(folder: Path) -> Checkpoint:
    """The newest checkpoint that is whole, with a line about each newer one that is not."""
    problems = []
    for candidate in reversed(_checkpoints(folder)):
        try:
            checkpoint = Checkpoint.read(candidate)
        except CheckpointError as error:
            problems.append(str(error))
            continue
        for problem in problems:
            tqdm.write(f"passed over: {problem}")
        return checkpoint
    raise CheckpointError("; ".join(problems) or f"{folder} holds no checkpoint: a folder that train wrote is needed")


def _write_card(folder: Path, card: ModelCard) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL_FILE).write_text(json.dumps(asdict(card), indent=2, ensure_ascii=False), encoding="utf-8")


def _read_card(folder: Path) -> ModelCard:
    try:
        card = json.loads((folder / MODEL_FILE).read_text(encoding="utf-8"))
        return ModelCard(card["model"], tuple(card["class_names"]), card["options"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder} holds no {MODEL_FILE} that can be read: {error!r}") from error


def _as_written(card: ModelCard) -> dict[str, object]:
    """What JSON makes of it, which knows no tuples."""
    return json.loads(json.dumps(asdict(card)))


def _flat_state(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    return {f"{index}.{name}": value for index, values in state.items() for name, value in values.items()}


def _contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(folder: Path) -> None:
    """Have the system put every file on the disk, so that a power cut after the rename finds them whole."""
    for path in folder.iterdir():
        with path.open("r+b") as file:  # Windows syncs no file that is open for reading only
            os.fsync(file.fileno())

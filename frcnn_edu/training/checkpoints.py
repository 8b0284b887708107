"""Checkpoints: what a training run writes to disk, and how it is loaded again.

The folder of a run holds ``model.json``, which says what to build, and the newest two checkpoints, ``step-000400``:
safetensors and JSON. Where the model is measured while it trains, ``best`` holds the weights of the highest mAP. A
checkpoint is written under another name and renamed when it is complete, and it stores the digest of each of its files,
so a reader can tell whether it is whole. Nothing is ever unpickled, because a pickle runs whatever code it contains.
"""

import hashlib
import json
import math
import os
import re
import shutil
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from inspect import signature
from pathlib import Path
from typing import IO

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm.auto import tqdm

from frcnn_edu.faster_rcnn import BUILDERS, FasterRCNN
from frcnn_edu.training.distributed import of_first, rank
from frcnn_edu.training.model_options import check_options

CHECKPOINTS_KEPT = 2
MODEL_FILE = "model.json"
STATE_FILE = "state.json"
WEIGHTS_FILE = "weights.safetensors"
OPTIMIZER_FILE = "optimizer.safetensors"
LOCK_FILE = ".lock"
BEST = "best"

FREEZING = tuple(name for name, build in BUILDERS.items() if "frozen_backbone" in signature(build).parameters)
"""Models that freeze a part of a pretrained backbone; their card says so, because loading needs to know."""


class CheckpointError(ValueError):
    """A run or a checkpoint that cannot be used; the message says which and why."""


@dataclass(frozen=True)
class Recipe:
    """How to train: everything that determines the final weights, besides the model and the data."""

    steps: int = 1200
    batch_size: int = 4
    """Images per step, over all processes."""
    learning_rate: float = 1e-3
    """The highest: the rate rises to it during the warm-up and then falls to 0 along a cosine."""
    warmup: float = 0.1
    """Share of the steps."""
    weight_decay: float = 1e-4
    clip_norm: float = 5.0
    """Gradient-norm clipping threshold."""
    mixed_precision: bool | None = None
    """Multiply in bfloat16 where the device has instructions for it, sums in float32; None: on GPUs only."""
    seed: int = 0
    augment: str | None = None
    """The name of the augmentation, which is stored so that no run is resumed with another one."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("learning_rate", "clip_norm"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0 and finite, got {getattr(self, name)}")
        if not 0 <= self.warmup <= 1:
            raise ValueError(f"warmup is a share of the steps, 0 to 1, got {self.warmup}")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay must be 0 or more, got {self.weight_decay}")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed must be 0 or more and below 2**63, got {self.seed}")

    def rate(self, step: int) -> float:
        """The learning rate of step `step`, counted from 0."""
        warmup = max(1, round(self.warmup * self.steps))
        if step < warmup:
            return self.learning_rate * (step + 1) / warmup
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, self.steps - warmup)))


@dataclass
class History:
    """What has been measured so far."""

    losses: dict[str, list[float]] = field(default_factory=dict)
    """The four losses of every step, under torchvision's names."""
    measured: dict[int, float] = field(default_factory=dict)
    """The mAP after some of the steps."""

    def add(self, losses: Mapping[str, float]) -> None:
        """Append the losses of one step."""
        for name, value in losses.items():
            self.losses.setdefault(name, []).append(value)

    @property
    def total(self) -> list[float]:
        """The sum of the four losses, step by step."""
        return [sum(step) for step in zip(*self.losses.values(), strict=True)]

    @property
    def best(self) -> int | None:
        """The step with the highest mAP, the first of equals; None if nothing was measured."""
        known = {step: value for step, value in self.measured.items() if not math.isnan(value)}
        return max(known, key=known.__getitem__, default=None)

    def __len__(self) -> int:
        return len(next(iter(self.losses.values()), []))


@dataclass(frozen=True)
class ModelCard:
    """What is needed to build a model again: its builder's name and arguments, and the names of its classes."""

    model: str
    class_names: tuple[str, ...]
    """The background first."""
    options: dict[str, object] = field(default_factory=dict)

    def build(self, **more: object) -> FasterRCNN:
        """The model, untrained (or with `weights_backbone`).

        Raises ValueError for an unknown model, an unknown option, or a value of the wrong type or range.
        """
        if self.model not in BUILDERS:
            raise ValueError(f"model must be one of {', '.join(BUILDERS)}, got {self.model!r}")
        check_options(self.options, BUILDERS[self.model])
        return BUILDERS[self.model](num_classes=len(self.class_names), **self.options, **more)


def holds_run(folder: str | Path) -> bool:
    """Whether the folder holds a run to go on with; of several processes the first looks, for all."""
    return of_first(lambda: bool(_checkpoints(Path(folder))))


def load_model(folder: str | Path, device: str | torch.device = "cpu") -> tuple[FasterRCNN, ModelCard]:
    """The model of a run's folder or of one of its checkpoints, in evaluation mode, and its card.

    Given a run, the newest whole checkpoint is loaded. Raises CheckpointError if there is none, or if it is damaged, of
    another model, or a pickle.
    """
    folder = Path(folder).absolute()
    if not folder.is_dir():
        what = "a file" if folder.is_file() else "not there"
        raise CheckpointError(f"{folder} is {what}: name a folder that train wrote; pickles (.pt, .pth) are not loaded")
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
    recipe: Recipe
    images: int | None
    """How many images the data set had."""
    history: History

    @classmethod
    def read(cls, folder: Path) -> "Checkpoint":
        """Open a checkpoint; raises CheckpointError unless all its files are there and unchanged."""
        try:
            state = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
            for name, digest in state["digests"].items():
                if _digest(folder / name) != digest:
                    raise CheckpointError(f"{folder / name} was cut short or changed after it was written")
            measured = {int(step): value for step, value in state.get("measured", {}).items()}
            history = History(state["losses"], measured)
            return cls(folder, state["step"], Recipe(**state["recipe"]), state.get("images"), history)
        except FileNotFoundError as error:
            raise CheckpointError(f"{error.filename} is missing") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(f"{folder / STATE_FILE} is damaged ({type(error).__name__}: {error})") from error

    def restore_model(self, model: nn.Module) -> None:
        """Load the weights; raises CheckpointError if they are another model's or no safetensors."""
        try:
            model.load_state_dict(load_file(self.folder / WEIGHTS_FILE))
        except (SafetensorError, RuntimeError, ValueError) as error:
            raise CheckpointError(f"{self.folder} does not fit this model: {error}") from error

    def optimizer_state(self) -> dict[int, dict[str, Tensor]]:
        """What the optimizer stores for each parameter, on the CPU."""
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in load_file(self.folder / OPTIMIZER_FILE).items():
            index, name = key.split(".")
            state.setdefault(int(index), {})[name] = value
        return state


class Keeper:
    """Writes the checkpoints of one run into its folder, keeps the newest two, and finds where a run goes on.

    Of several processes only the first reads and writes the folder, which need not exist where the others run.
    """

    def __init__(self, folder: Path, card: ModelCard, recipe: Recipe, images: int) -> None:
        self.folder, self.card, self.recipe, self.images = folder, card, recipe, images
        self._lock: IO | None = None
        self._fresh = False

    def start(self, model: nn.Module, optimizer: torch.optim.Optimizer, resume: bool) -> tuple[int, History]:
        """Lock the folder; return the steps done and their history.

        A new run writes checkpoint 0, so that a full disk or a read-only folder shows at once. Raises CheckpointError,
        in every process, if the folder already holds a run, the run to resume is another one, or is still running.
        """
        step, history, state = of_first(lambda: self._resume(model) if resume else self._begin(model, optimizer))
        if state:
            optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        return step, history

    def save(self, model: nn.Module, optimizer: torch.optim.Optimizer, step: int, history: History) -> None:
        """Write a checkpoint, whole or not at all, and drop all but the newest two."""
        if rank() > 0:
            return
        tensors = {WEIGHTS_FILE: model.state_dict(), OPTIMIZER_FILE: _flat_state(optimizer)}
        self._write(self.folder / _step_name(step), tensors, step, history)
        for old in _checkpoints(self.folder)[:-CHECKPOINTS_KEPT]:
            shutil.rmtree(old)

    def save_best(self, model: nn.Module, step: int, history: History) -> None:
        """Write the weights into ``best``, in place of earlier ones."""
        if rank() == 0:
            self._write(self.folder / BEST, {WEIGHTS_FILE: model.state_dict()}, step, history)

    def rescue(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, step: int, history: History, whole: bool
    ) -> str:
        """Save a run that ends early, if its weights are `whole`; return a sentence that says what can be resumed.

        A new run that has not completed a step is removed, so that the command can be repeated once its fault is fixed.
        """
        if rank() > 0:
            return ""
        if step == 0 and self._fresh:
            self._remove()
            return f"no step was completed, and {self.folder} is left as it was"
        if whole and not (self.folder / _step_name(step)).is_dir():
            with suppress(Exception):  # such as the full disk that ended the run
                self.save(model, optimizer, step, history)
        try:
            return f"the last whole checkpoint is {_newest(self.folder).folder}, from which --resume goes on"
        except CheckpointError as error:
            return str(error)

    def close(self) -> None:
        """Unlock the folder."""
        if self._lock is not None:
            with suppress(OSError):  # on Windows an open file cannot be removed
                (self.folder / LOCK_FILE).unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def _begin(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[int, History, dict]:
        if _checkpoints(self.folder):
            raise CheckpointError(f"{self.folder} already holds a run: resume it, or name another folder")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self.folder)
        self._fresh = True
        try:
            card = json.dumps(asdict(self.card), indent=2, ensure_ascii=False)
            (self.folder / MODEL_FILE).write_text(card, encoding="utf-8", errors="backslashreplace")
            self.save(model, optimizer, 0, History())
        except BaseException:
            self._remove()
            raise
        return 0, History(), {}

    def _resume(self, model: nn.Module) -> tuple[int, History, dict]:
        if not (self.folder / MODEL_FILE).is_file():
            raise CheckpointError(f"{self.folder} holds no run to resume: leave --resume out to begin one")
        self._lock = _locked(self.folder)
        try:
            checkpoint = _newest(self.folder)
            self._check_same(_read_card(self.folder), checkpoint)
            checkpoint.restore_model(model)
            return checkpoint.step, checkpoint.history, checkpoint.optimizer_state()
        except BaseException:
            self.close()
            raise

    def _check_same(self, card: ModelCard, checkpoint: Checkpoint) -> None:
        """Raises CheckpointError that names what differs between the run in the folder and the one to go on with."""
        then = _as_written(card) | asdict(checkpoint.recipe) | {"images": checkpoint.images}
        now = _as_written(self.card) | asdict(self.recipe) | {"images": self.images}
        differing = [f"{name} {then[name]!r} (now {now[name]!r})" for name in then if then[name] != now[name]]
        if differing:
            raise CheckpointError(
                f"{self.folder} holds a run that began with {', '.join(differing)}: "
                "resume it with the same, or name another folder"
            )

    def _write(self, final: Path, tensors: Mapping[str, Mapping[str, Tensor]], step: int, history: History) -> None:
        draft = self.folder / f".{final.name}.part"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        try:
            for name, content in tensors.items():
                _save_tensors(content, draft / name)
            digests = {name: _digest(draft / name) for name in tensors}
            state = {"step": step, "recipe": asdict(self.recipe), "images": self.images, "digests": digests}
            (draft / STATE_FILE).write_text(json.dumps(state | asdict(history)), encoding="utf-8")
            _sync(draft)
            shutil.rmtree(final, ignore_errors=True)
            draft.rename(final)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise

    def _remove(self) -> None:
        """Remove everything that this run has written."""
        for checkpoint in _checkpoints(self.folder):
            shutil.rmtree(checkpoint, ignore_errors=True)
        (self.folder / MODEL_FILE).unlink(missing_ok=True)
        self.close()
        with suppress(OSError):  # other files are in it
            self.folder.rmdir()


def _step_name(step: int) -> str:
    return f"step-{step:06d}"


def _checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run, the newest last; copies under other names do not count."""
    own = [path for path in folder.glob("step-*") if re.fullmatch(r"step-\d+", path.name)]
    return sorted(own, key=lambda path: int(path.name.removeprefix("step-")))


def _newest(folder: Path) -> Checkpoint:
    """The newest whole checkpoint; each newer one that is damaged is named in a printed line."""
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
    raise CheckpointError("; ".join(problems) or f"{folder} holds no checkpoint: name a folder that train wrote")


def _read_card(folder: Path) -> ModelCard:
    try:
        card = json.loads((folder / MODEL_FILE).read_text(encoding="utf-8"))
        return ModelCard(card["model"], tuple(card["class_names"]), card["options"])
    except FileNotFoundError:
        raise CheckpointError(f"{folder} holds no {MODEL_FILE}: name a folder that train wrote") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder / MODEL_FILE} is damaged ({type(error).__name__}: {error})") from error


def _as_written(card: ModelCard) -> dict[str, object]:
    """The card as JSON stores it, without tuples."""
    return json.loads(json.dumps(asdict(card)))


def _locked(folder: Path) -> IO:
    """The open, locked lock file of a folder; raises CheckpointError if another process holds it.

    The operating system frees the lock of a process that dies, and no child process inherits it. Where the file system
    has no locks, as on some network drives, nothing is locked.
    """
    file = (folder / LOCK_FILE).open("a")
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        file.close()
        raise CheckpointError(f"another training is writing into {folder} right now: name another folder") from None
    except OSError:
        pass
    return file


def _flat_state(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    return {f"{index}.{name}": value for index, values in state.items() for name, value in values.items()}


def _save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raises OSError if the file cannot be written."""
    try:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)
    except SafetensorError as error:
        raise OSError(f"{path} cannot be written: {error}") from None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(folder: Path) -> None:
    """Have the operating system write every file to the disk, so that they survive a power cut after the rename."""
    for path in folder.iterdir():
        with path.open("r+b") as file:  # Windows syncs no file that is open for reading only
            os.fsync(file.fileno())

"""Training: the same run gives the same weights, however often it was interrupted and however many share it."""

import json
import os
import random
import shutil
import signal
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
import torchvision
from command_processes import FORKS, find_free_port, run_command, running
from torch import nn
from torch.utils.data import Dataset

from frcnn_edu.__main__ import main
from frcnn_edu.datasets.augment import augmentation
from frcnn_edu.datasets.image_files import ImageError
from frcnn_edu.datasets.shapes import PLAIN, Shapes
from frcnn_edu.faster_rcnn import BUILDERS
from frcnn_edu.pretrained import weights_of
from frcnn_edu.training.batches import batches_of
from frcnn_edu.training.checkpoints import (
    Checkpoint,
    CheckpointError,
    History,
    Keeper,
    ModelCard,
    Recipe,
    load_model,
)
from frcnn_edu.training.distributed import replicate
from frcnn_edu.training.loop import computes_in_bfloat16, detect, evaluate, loss_gradients, train

SMALL = {"min_size": 96, "max_size": 96, "rpn_pre_nms_top_n_train": 50, "rpn_post_nms_top_n_train": 20}
KEEP_ALL = {"rpn_batch_size_per_image": 10**6, "rpn_positive_fraction": 1.0, "box_batch_size_per_image": 10**6}
SCENES = Shapes(24, config=PLAIN)
CARD = ModelCard("tiny", SCENES.class_names, SMALL)
RECIPE = Recipe(steps=6, batch_size=2)


def fresh_model(card=CARD):
    torch.manual_seed(0)
    return card.build()


def run(out=None, recipe=RECIPE, **options):
    model = fresh_model()
    history = train(model, SCENES, recipe, out, CARD, progress=False, checkpoint_every=2, **options)
    return model.state_dict(), history


def same(weights, others):
    return all(torch.equal(weights[name], others[name]) for name in weights)


def test_two_runs_of_one_recipe_end_alike_and_another_seed_does_not():
    weights, history = run()
    again, _ = run()
    other, _ = run(recipe=Recipe(steps=6, batch_size=2, seed=1))
    assert same(weights, again)
    assert not same(weights, other)
    assert len(history) == 6
    assert set(history.losses) == {"loss_classifier", "loss_box_reg", "loss_objectness", "loss_rpn_box_reg"}


def test_training_lowers_the_loss():
    model = fresh_model()
    history = train(model, SCENES, Recipe(steps=40, batch_size=4), progress=False)
    assert sum(history.total[-5:]) < 0.6 * sum(history.total[:5])


@pytest.mark.parametrize("step", [0, 2, 4])
def test_a_resumed_run_ends_with_the_weights_of_an_undisturbed_one(tmp_path, step):
    weights, history = run(tmp_path / "whole")

    def stop(done, *_):
        if done == step + 1:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        run(tmp_path / "cut", on_step=stop)
    resumed, resumed_history = run(tmp_path / "cut", resume=True)
    assert same(weights, resumed)
    assert history.losses == resumed_history.losses


def test_augmented_runs_resume_alike_too(tmp_path):
    weights, _ = run(tmp_path / "whole", augment=augmentation())
    (tmp_path / "whole" / "step-000006" / "state.json").unlink()
    resumed, _ = run(tmp_path / "whole", augment=augmentation(), resume=True)
    plain, _ = run()
    assert same(weights, resumed)
    assert not same(weights, plain)


# A training that ends early


def at_step(step, action):
    """Something to be called once a step that acts in one of them."""
    calls = []

    def count(*_):
        calls.append(1)
        if len(calls) == step:
            action()

    return count


def fail(error):
    raise error


@pytest.fixture
def heard():
    """Signals have the handlers that Python starts with: a job in the background or under nohup may ignore some."""
    usual = {"SIGINT": signal.default_int_handler, "SIGTERM": signal.SIG_DFL, "SIGHUP": signal.SIG_DFL}
    known = {getattr(signal, name): handler for name, handler in usual.items() if hasattr(signal, name)}
    before = {number: signal.signal(number, handler) for number, handler in known.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("name", [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)])
def test_a_signal_in_the_middle_of_a_step_waits_for_its_end_and_the_run_is_saved(tmp_path, monkeypatch, name):
    """The signal comes where gradients are made and the step is not counted yet."""
    number = getattr(signal, name)
    clip, interrupt = nn.utils.clip_grad_norm_, at_step(3, lambda: os.kill(os.getpid(), number))
    monkeypatch.setattr(nn.utils, "clip_grad_norm_", lambda *arguments: interrupt() or clip(*arguments))
    handler = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt) as stop:
        run(tmp_path / "cut")
    assert signal.getsignal(number) is handler
    assert getattr(stop.value, "number", signal.SIGINT) == number
    assert "step-000003, from which --resume goes on" in "".join(stop.value.__notes__)
    monkeypatch.undo()
    resumed, _ = run(tmp_path / "cut", resume=True)
    assert same(resumed, run()[0])


@pytest.mark.usefixtures("heard")
def test_a_signal_that_comes_while_a_run_is_being_saved_at_its_end_is_too_late(tmp_path, monkeypatch):
    """torchrun sends one to every process when another has died."""
    write, calls = Keeper._write, []

    def interrupted(keeper, final, *rest):
        calls.append(final.name)
        if final.name == "step-000003":
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
        write(keeper, final, *rest)

    monkeypatch.setattr(Keeper, "_write", interrupted)
    with pytest.raises(RuntimeError, match="the other one died") as stop:
        run(tmp_path, on_step=at_step(3, lambda: fail(RuntimeError("the other one died"))))
    assert "step-000003" in stop.value.__notes__[-1]


def test_a_signal_that_somebody_else_handles_is_left_to_them(tmp_path):
    came = []
    before = signal.signal(signal.SIGTERM, lambda *_: came.append(1))
    try:
        run(tmp_path, on_step=at_step(2, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert came == [1]
    assert (tmp_path / "step-000006").is_dir()


class Failing(Dataset):
    """Scenes; one of them raises an error."""

    class_names = SCENES.class_names

    def __init__(self, indices, error, length):
        self.indices, self.error, self.length = indices, error, length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        if index in self.indices:
            raise self.error
        return SCENES[index]


class FailsInStep(nn.Module):
    """A model whose third forward pass raises an error."""

    def __init__(self, model, error):
        super().__init__()
        self.model, self.count = model, at_step(3, lambda: fail(error))

    def forward(self, *inputs):
        self.count()
        return self.model(*inputs)


ERRORS = [RuntimeError("no kernel"), MemoryError(), KeyError("boxes"), KeyboardInterrupt()]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("where", ["model", "on_step"])
def test_any_error_saves_what_was_learned(tmp_path, monkeypatch, where, error):
    if where == "model":
        monkeypatch.setattr("frcnn_edu.training.loop.replicate", lambda model: FailsInStep(model, error))
        done, options = 2, {}
    else:
        done, options = 3, {"on_step": at_step(3, lambda: fail(error))}
    with pytest.raises(type(error)) as stop:
        run(tmp_path, **options)
    assert f"step-{done:06d}" in stop.value.__notes__[-1]
    monkeypatch.undo()
    resumed, _ = run(tmp_path, resume=True)
    assert same(resumed, run()[0])


def test_half_a_step_is_never_saved(tmp_path, monkeypatch):
    """The optimizer fails after it has changed some of the weights."""
    step = torch.optim.AdamW.step

    def fail_afterwards(optimizer):
        step(optimizer)
        count()

    count = at_step(4, lambda: fail(MemoryError()))
    monkeypatch.setattr(torch.optim.AdamW, "step", fail_afterwards)
    with pytest.raises(MemoryError) as stop:
        run(tmp_path)
    assert "step-000002" in stop.value.__notes__[-1]
    monkeypatch.undo()
    resumed, _ = run(tmp_path, resume=True)
    assert same(resumed, run()[0])


@pytest.mark.parametrize("existing", [False, True], ids=["new folder", "folder with a file"])
def test_a_run_that_ends_before_its_first_step_leaves_nothing(tmp_path, monkeypatch, existing):
    """So the same command can be given again once its fault is mended."""
    out = tmp_path / "run"
    if existing:
        out.mkdir()
        (out / "notes.txt").write_text("mine")
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda _: fail(RuntimeError("no such option")))
    with pytest.raises(RuntimeError) as stop:
        run(out)
    assert "no step was completed" in stop.value.__notes__[-1]
    assert [path.name for path in tmp_path.rglob("*")] == (["run", "notes.txt"] if existing else [])


class Diverging(nn.Module):
    """A module with running averages whose loss, or only its gradient, is not finite."""

    def __init__(self, where):
        super().__init__()
        self.norm, self.where = nn.BatchNorm2d(3), where

    def forward(self, images, targets):
        mean = self.norm(torch.stack(images)).square().mean()
        return {"loss": mean * torch.inf if self.where == "loss" else (mean - mean.detach()).sqrt()}


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_a_step_that_fails_leaves_the_model_as_it_was(where):
    """Running averages too, which every forward pass changes; else a resumed run would end otherwise."""
    model = Diverging(where)
    before = {name: values.clone() for name, values in model.state_dict().items()}
    with pytest.raises(FloatingPointError, match=f"the {where} is|norm of the {where}"):
        loss_gradients(model, torch.optim.SGD(model.parameters()), RECIPE, 7, [torch.rand(3, 4, 4)] * 2, [])
    assert same(before, model.state_dict())


def test_a_diverged_loss_names_step_images_and_checkpoint_and_keeps_finite_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(Shapes, "path", lambda _, index: Path(f"scene-{index}.jpg"), raising=False)
    with pytest.raises(FloatingPointError) as stop:
        run(tmp_path, replace(RECIPE, learning_rate=1e30, warmup=0.0))
    images, causes, saved = stop.value.__notes__
    assert images.startswith("this was step 2, with scene-")
    assert causes.startswith("to tell the causes apart: ")
    assert images.count("scene-") == 2
    assert "step-0000" in saved
    weights = load_model(tmp_path)[0].state_dict()
    assert all(values.isfinite().all() for values in weights.values())


# Image files that cannot be read


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_that_cannot_be_read_is_left_out_named_once_and_counted(capsys, workers):
    broken = Failing({1, 4}, ImageError("a.jpg is damaged"), length=6)
    recipe = Recipe(steps=12, batch_size=2)
    batches = list(batches_of(broken, recipe, workers=workers))
    assert [len(images) for images, _ in batches] == [2] * 12
    sound = {SCENES[index][1]["boxes"].sum().item() for index in (0, 2, 3, 5)}
    assert {target["boxes"].sum().item() for _, targets in batches for target in targets} == sound
    assert capsys.readouterr().out == "left out (1 so far): a.jpg is damaged\n"


def test_one_sound_image_is_enough_and_none_is_an_error():
    """Whatever the order of an epoch: the sound one may come before or after the broken one."""
    for recipe in (Recipe(steps=8, batch_size=1, seed=seed) for seed in range(4)):
        assert len(list(batches_of(Failing({1}, OSError("gone"), length=2), recipe))) == 8
        with pytest.raises(ValueError, match="no image of the data set can be read; gone"):
            next(batches_of(Failing({0, 1}, OSError("gone"), length=2), recipe))


def test_a_transfer_from_a_worker_that_broke_off_names_the_worker(monkeypatch):
    monkeypatch.setattr("torch.utils.data.dataloader._SingleProcessDataLoaderIter.__next__", lambda _: fail(EOFError()))
    monkeypatch.setattr("frcnn_edu.training.batches.SECONDS_TO_END", 0)
    with pytest.raises(RuntimeError, match="DataLoader worker has ended"):
        next(batches_of(SCENES, RECIPE))


def test_a_worker_that_ends_after_its_connection_was_closed_is_waited_for(monkeypatch):
    """Its signal must not find the loader being cleared away: an error raised there is printed with a traceback."""

    def on_signal(*_):
        raise RuntimeError("DataLoader worker (pid 7) is killed")

    monkeypatch.setattr("torch.utils.data.dataloader._SingleProcessDataLoaderIter.__next__", lambda _: fail(EOFError()))
    before = signal.signal(signal.SIGALRM, on_signal)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(RuntimeError, match="pid 7"):
            next(batches_of(SCENES, RECIPE))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Unlucky(Shapes):
    """Tells, as a thread of its worker process would, that a transfer broke off, and of another error."""

    def __getitem__(self, index):
        for error in (ConnectionResetError("the other side has gone"), LookupError("something else")):
            sys.excepthook(type(error), error, None)
        return super().__getitem__(index)


def test_a_worker_prints_nothing_of_a_transfer_that_broke_off(capfd):
    assert len(list(batches_of(Unlucky(4), Recipe(steps=2, batch_size=2), workers=1))) == 2
    said = capfd.readouterr().err
    assert "something else" in said
    assert "the other side has gone" not in said


def test_what_is_measured_leaves_out_an_image_that_cannot_be_read(capsys):
    broken = Failing({1, 4}, ImageError("a.jpg is damaged"), length=6)
    detections, targets = detect(fresh_model(), broken, batch_size=2, progress=False)
    assert len(detections) == 4
    assert all(
        torch.equal(target["boxes"], SCENES[i][1]["boxes"]) for target, i in zip(targets, (0, 2, 3, 5), strict=True)
    )
    assert "left out: a.jpg is damaged" in capsys.readouterr().out
    assert evaluate(fresh_model(), broken, class_names=SCENES.class_names, progress=False).images == 4


def squeeze(image, target):
    """An augmentation that adds a box outside the image and one over its border, and leaves the last without width."""
    left, right = target["boxes"][-1, 0], target["boxes"][-1, 3]
    more = torch.tensor([[-30.0, 5, -10, 30], [-10, 5, 20, 30], [left, 5, left, right]])
    labels = torch.cat((torch.tensor([1, 2, 3]), target["labels"]))
    return image, {"boxes": torch.cat((more, target["boxes"])), "labels": labels, "image_id": torch.tensor(3)}


def test_a_box_that_an_augmentation_flattens_is_dropped_with_its_label():
    one = Recipe(steps=1, batch_size=4)
    (images, targets), (_, before) = next(batches_of(SCENES, one, augment=squeeze)), next(batches_of(SCENES, one))
    for target, original in zip(targets, before, strict=True):
        assert target["boxes"][0].tolist() == [0, 5, 20, 30]
        assert torch.equal(target["boxes"][1:], original["boxes"])
        assert target["labels"].tolist() == [2, *original["labels"].tolist()]
    fresh_model().train()(images, targets)


def test_an_augmentation_goes_to_worker_processes_however_they_start():
    import pickle

    augment = pickle.loads(pickle.dumps(augmentation(flip=1.0)))
    image, _ = augment(*SCENES[0])
    assert image.shape == SCENES[0][0].shape


# Measured while it trains


def test_a_model_may_be_measured_on_the_way(tmp_path):
    measured = []
    weights, _ = run(on_step=lambda done, model, _: measured.append(len(detect(model, SCENES, progress=False)[0])))
    assert measured == [len(SCENES)] * 6
    assert same(weights, run()[0])


def falling(values):
    """A `measure` that returns these values in turn."""
    rest = iter(values)
    return lambda _: next(rest)


def test_the_best_weights_are_kept_and_what_was_measured_survives_a_resume(tmp_path):
    layer, seen = "rpn.head.cls_logits.weight", {}

    def remember(done, model, _):
        seen[done] = model.state_dict()[layer].clone()

    options = {"measure": falling([0.2, 0.5, 0.4]), "measure_every": 2, "on_step": remember}
    _, history = run(tmp_path / "whole", **options)
    assert history.measured == {2: 0.2, 4: 0.5, 6: 0.4}
    assert history.best == 4
    best = load_model(tmp_path / "whole" / "best")[0].state_dict()
    assert torch.equal(best[layer], seen[4])
    newest = load_model(tmp_path / "whole")[0].state_dict()
    assert torch.equal(newest[layer], seen[6])

    shutil.rmtree(tmp_path / "whole" / "step-000006")
    _, resumed = run(tmp_path / "whole", measure=falling([0.3]), measure_every=2, resume=True)
    assert resumed.measured == {2: 0.2, 4: 0.5, 6: 0.3}
    assert same(best, load_model(tmp_path / "whole" / "best")[0].state_dict())


def test_a_run_is_measured_at_its_end_and_no_number_is_never_the_best(tmp_path):
    _, history = run(tmp_path, measure=falling([float("nan")]))
    assert list(history.measured) == [6]
    assert history.best is None
    assert not (tmp_path / "best").exists()


@pytest.fixture
def weights_of_imagenet(tmp_path, monkeypatch):
    """A cache of torchvision's that holds random weights under the name of those from ImageNet."""
    torch.manual_seed(0)
    for network in ("mobilenet_v2", "resnet50"):
        path = tmp_path / "cache" / "hub" / "checkpoints" / weights_of(network, "IMAGENET1K_V1").url.rsplit("/", 1)[-1]
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(getattr(torchvision.models, network)().state_dict(), path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))


def train_mobilenet(out, *more):
    options = [word for name, value in SMALL.items() for word in ("--option", f"{name}={value}")]
    often = ["--steps", "3", "--batch-size", "1", "--checkpoint-every", "1", "--device", "cpu"]
    start = ["train", "--data", "shapes-plain", "--model", "mobilenet_v2", "--weights-backbone", "IMAGENET1K_V1"]
    return main([*start, *often, *options, "--out", str(out), *more])


def test_a_pretrained_run_goes_on_even_where_its_first_weights_are_gone(tmp_path, monkeypatch, weights_of_imagenet):
    assert train_mobilenet(tmp_path / "whole") == 0
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    shutil.rmtree(tmp_path / "cut" / "step-000003")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "nothing"))
    assert train_mobilenet(tmp_path / "cut", "--resume") == 0
    assert same(load_model(tmp_path / "whole")[0].state_dict(), load_model(tmp_path / "cut")[0].state_dict())


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet50_fpn"])
def test_a_frozen_backbone_needs_no_weights(weights_of_imagenet, name):
    """The same layers, and the same of them learn, so that a card says enough."""
    with_weights = BUILDERS[name](2, weights_backbone="IMAGENET1K_V1")
    without = BUILDERS[name](2, frozen_backbone=True)
    assert str(without) == str(with_weights)
    learning = [
        {key for key, values in model.named_parameters() if values.requires_grad} for model in (with_weights, without)
    ]
    assert learning[0] == learning[1] != dict(without.named_parameters()).keys()


def test_only_the_newest_checkpoints_stay(tmp_path):
    run(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "step-000004", "step-000006"]


def test_loading_gives_the_trained_model_back(tmp_path):
    weights, _ = run(tmp_path)
    model, card = load_model(tmp_path)
    assert same(weights, model.state_dict())
    assert card == CARD
    assert not model.training


def test_a_broken_checkpoint_is_passed_over_for_the_one_before_it(tmp_path, capsys):
    run(tmp_path)
    file = tmp_path / "step-000006" / "weights.safetensors"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    earlier, _ = load_model(tmp_path / "step-000004")
    model, _ = load_model(tmp_path)
    assert same(model.state_dict(), earlier.state_dict())
    assert "was cut short or changed" in capsys.readouterr().out
    with pytest.raises(CheckpointError, match="cut short or changed"):
        load_model(tmp_path / "step-000006")


def test_a_pickle_is_never_loaded(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (Path(tmp_path / "exploded").touch, ())

    torch.save(Bomb(), tmp_path / "weights.pt")
    with pytest.raises(CheckpointError, match="pickles"):
        load_model(tmp_path / "weights.pt")
    run(tmp_path / "run")
    weights = tmp_path / "run" / "step-000006" / "weights.safetensors"
    torch.save(Bomb(), weights)
    state = json.loads((weights.parent / "state.json").read_text())
    state["digests"] = {}
    (weights.parent / "state.json").write_text(json.dumps(state))
    with pytest.raises(CheckpointError, match="does not fit"):
        load_model(weights.parent)
    assert not (tmp_path / "exploded").exists()


def test_a_folder_that_holds_a_run_is_refused_and_one_without_cannot_be_resumed(tmp_path):
    run(tmp_path / "run")
    with pytest.raises(CheckpointError, match="already holds a run"):
        run(tmp_path / "run")
    with pytest.raises(CheckpointError, match="no run to resume"):
        run(tmp_path / "nothing", resume=True)
    assert not (tmp_path / "nothing").exists()
    (tmp_path / "empty").mkdir()
    (tmp_path / "run" / "model.json").rename(tmp_path / "empty" / "model.json")
    with pytest.raises(CheckpointError, match="no checkpoint"):
        load_model(tmp_path / "empty")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recipe": replace(RECIPE, steps=8)}, "steps 6 (now 8)"),
        ({"recipe": replace(RECIPE, augment="mirror")}, "augment None (now 'mirror')"),
        ({"recipe": replace(RECIPE, learning_rate=0.1, seed=3)}, "learning_rate 0.001 (now 0.1), seed 0 (now 3)"),
        ({"dataset": Shapes(23, config=PLAIN)}, "images 24 (now 23)"),
        ({"card": ModelCard("tiny", SCENES.class_names, SMALL | {"max_size": 97})}, "'max_size': 97"),
        ({"card": ModelCard("tiny", (*SCENES.class_names[:-1], "cell"), SMALL)}, "'cell'"),
    ],
    ids=["steps", "augment", "rate and seed", "images", "options", "classes"],
)
def test_a_run_is_resumed_with_what_it_began_with_and_what_differs_is_named(tmp_path, change, message):
    run(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    given = {"dataset": SCENES, "recipe": RECIPE, "card": CARD} | change
    with pytest.raises(CheckpointError) as refused:
        train(fresh_model(given["card"]), out=tmp_path, resume=True, progress=False, **given)
    assert message in str(refused.value)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_card_is_the_same_however_it_was_spelled(tmp_path):
    card = ModelCard("tiny", list(SCENES.class_names), SMALL | {"bbox_reg_weights": (10.0, 10.0, 5.0, 5.0)})
    short = Recipe(steps=1, batch_size=1)
    for resume in (False, True):
        train(fresh_model(), SCENES, short, tmp_path, card, resume=resume, progress=False)


@pytest.mark.parametrize("broken", ["[]", "{}", "null", '{"model": "huge", "class_names": ["a"], "options": {}}', "?"])
def test_a_broken_card_is_a_checkpoint_error(tmp_path, broken):
    run(tmp_path, Recipe(steps=1, batch_size=1))
    (tmp_path / "model.json").write_text(broken)
    with pytest.raises(CheckpointError):
        load_model(tmp_path)
    (tmp_path / "step-000001" / "state.json").write_text("[]")
    with pytest.raises(CheckpointError):
        Checkpoint.read(tmp_path / "step-000001")


def test_a_checkpoint_is_loaded_from_where_one_stands(tmp_path, monkeypatch):
    weights, _ = run(tmp_path)
    monkeypatch.chdir(tmp_path / "step-000006")
    assert same(weights, load_model(".")[0].state_dict())


def test_checkpoints_are_counted_and_not_sorted_by_letters_and_copies_are_none(tmp_path):
    model, keeper = fresh_model(), Keeper(tmp_path, CARD, RECIPE, images=24)
    optimizer = torch.optim.AdamW(model.parameters())
    for name in ("step-best", "step-000400-backup"):
        (tmp_path / name).mkdir()
    for step in (999_900, 1_000_000, 1_000_100):
        keeper.save(model, optimizer, step, History())
    names = {"step-best", "step-000400-backup", "step-1000000", "step-1000100"}
    assert {path.name for path in tmp_path.iterdir()} == names


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset": Shapes(0)}, "empty"),
        ({"checkpoint_every": 0}, "checkpoint_every"),
        ({"measure_every": 0}, "measure_every"),
    ],
    ids=["no images", "checkpoint_every", "measure_every"],
)
def test_what_cannot_be_trained_on_leaves_no_run_behind(tmp_path, options, message):
    given = {"dataset": SCENES, "recipe": RECIPE, "out": tmp_path / "run", "card": CARD, "progress": False} | options
    with pytest.raises(ValueError, match=message):
        train(fresh_model(), **given)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_written_fails_before_the_first_step(tmp_path):
    (tmp_path / "file").write_text("in the way")
    steps = []
    with pytest.raises(OSError, match="file"):
        run(tmp_path / "file" / "run", on_step=lambda *_: steps.append(1))
    assert steps == []


def test_a_disk_that_is_full_from_the_start_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("frcnn_edu.training.checkpoints.save_file", full)
    with pytest.raises(OSError, match="No space left"):
        run(tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [("steps", 0), ("batch_size", 0), ("learning_rate", 0.0), ("learning_rate", float("nan")), ("clip_norm", -1.0),
     ("warmup", 1.5), ("weight_decay", -1.0), ("seed", -1), ("seed", 2**63)],
)  # fmt: skip
def test_a_recipe_names_the_number_that_is_out_of_range(field, value):
    with pytest.raises(ValueError, match=f"^{field} "):
        replace(RECIPE, **{field: value})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_sise": 96}, "did you mean 'min_size'"),
        ({"quite_unknown": 96}, "there are bbox_reg_weights"),
        ({"min_size": "abc"}, "min_size must be a whole number or a list, each a whole number, got 'abc'"),
        ({"min_size": []}, "min_size must be a whole number"),
        ({"min_size": True}, "min_size must be a whole number"),
        ({"max_size": 96.5}, "max_size must be a whole number, got 96.5"),
        ({"rpn_nms_thresh": None}, "rpn_nms_thresh must be a number, got None"),
        ({"rpn_drop_small_first": 1}, "rpn_drop_small_first must be true or false"),
        ({"bbox_reg_weights": [1, "2"]}, "bbox_reg_weights must be a list, each a number"),
        ({"rpn_n_reg": 3}, "rpn_n_reg must be a text"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_option_that_is_unknown_or_of_another_type_is_named(options, message):
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the whole message is compared below
        ModelCard("tiny", ("__background__", "cell"), options).build()
    assert message in str(refused.value)


def test_options_of_the_builder_and_whole_numbers_for_numbers_are_taken():
    card = ModelCard("mobilenet_v2", ("__background__", "cell"), {"frozen_backbone": None, "rpn_nms_thresh": 1})
    assert card.build().config.rpn_nms_thresh == 1


@pytest.mark.parametrize("native", [False, True], ids=["emulated", "native"])
def test_mixed_precision_is_used_where_it_is_native_and_on_a_cpu_only_if_asked_for(monkeypatch, native):
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: native or including_emulation)
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx512_bf16": native})
    for device, wanted_by in (("cuda", (None, True)), ("cpu", (True,))):
        for wanted in (None, True, False):
            found = computes_in_bfloat16(replace(RECIPE, mixed_precision=wanted), torch.device(device))
            assert found == (native and wanted in wanted_by), (device, wanted)


def test_mixed_precision_changes_the_arithmetic_and_not_the_type_of_the_weights(monkeypatch):
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx512_bf16": True})
    mixed, _ = run(recipe=replace(RECIPE, mixed_precision=True))
    plain, _ = run(recipe=RECIPE)
    assert not same(mixed, plain)
    assert all(values.dtype == torch.float32 for values in mixed.values())


def test_detections_come_in_the_order_of_the_data_set(tmp_path):
    model = fresh_model().eval()
    detections, targets = detect(model, SCENES, batch_size=5, progress=False)
    assert len(detections) == len(targets) == len(SCENES)
    assert all(torch.equal(target["boxes"], SCENES[i][1]["boxes"]) for i, target in enumerate(targets))
    assert 0 <= evaluate(model, SCENES, class_names=SCENES.class_names, progress=False).map <= 1


def joined_batch():
    images, targets = zip(*(SCENES[i] for i in range(4)), strict=True)
    return list(images), list(targets)


def in_two_processes(function, *arguments):
    multiprocessing.start_processes(function, arguments, nprocs=2, start_method=FORKS.get_start_method())


def join(rank, port):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=2)


def share_of_gradients(rank, port, folder):
    join(rank, port)
    model = replicate(fresh_model(ModelCard("tiny", SCENES.class_names, SMALL | KEEP_ALL)))
    images, targets = joined_batch()
    sum(model.train()(images[rank::2], targets[rank::2]).values()).backward()
    if rank == 0:
        torch.save({name: p.grad for name, p in model.module.named_parameters()}, folder / "gradients.pt")
    dist.destroy_process_group()


def test_two_processes_give_the_gradients_of_the_joined_batch(tmp_path):
    in_two_processes(share_of_gradients, find_free_port(), tmp_path)
    shared = torch.load(tmp_path / "gradients.pt", weights_only=True)
    model = fresh_model(ModelCard("tiny", SCENES.class_names, SMALL | KEEP_ALL)).train()
    sum(model(*joined_batch()).values()).backward()
    for name, parameter in model.named_parameters():
        assert torch.allclose(shared[name], parameter.grad, rtol=1e-4, atol=1e-6), name


def detect_together(rank, port):
    join(rank, port)
    scenes, model = Shapes(5, config=PLAIN), fresh_model().eval()
    detections, targets = detect(model, scenes, batch_size=1, progress=False)
    assert len(detections) == len(targets) == len(scenes)
    for index in range(len(scenes)):
        image, target = scenes[index]
        with torch.no_grad():
            (expected,) = model([image])
        assert same(expected, detections[index]), index
        assert torch.equal(target["boxes"], targets[index]["boxes"]), index
    dist.destroy_process_group()


def test_two_processes_detect_what_one_does_in_the_order_of_the_data_set():
    in_two_processes(detect_together, find_free_port())


def train_on_two_machines(rank, port, folder):
    """Process 1 has a folder of its own, and comes late."""
    join(rank, port)
    out = folder / f"machine-{rank}"

    def stop_early(done, model, history):
        if done == 4:
            raise KeyboardInterrupt

    time.sleep(rank)
    whole, _ = run(out / "whole")
    with suppress(KeyboardInterrupt):
        run(out / "stopped", on_step=stop_early)
    resumed, _ = run(out / "stopped", resume=True)
    assert same(whole, resumed)
    assert (out / "whole").exists() == (rank == 0)
    with pytest.raises(CheckpointError, match=r"machine-0.whole already holds a run"):
        run(out / "whole")
    (folder / f"ended-{rank}").touch()
    dist.destroy_process_group()


def test_only_the_first_process_needs_the_folder_and_all_learn_what_is_wrong_with_it(tmp_path):
    in_two_processes(train_on_two_machines, find_free_port(), tmp_path)
    assert {path.name for path in tmp_path.glob("ended-*")} == {"ended-0", "ended-1"}


# Whole runs in processes that are killed


def training(out, *more):
    options = [word for name, value in SMALL.items() for word in ("--option", f"{name}={value}")]
    often = ["--steps", 40, "--batch-size", 2, "--checkpoint-every", 5, "--device", "cpu"]
    return ["train", "--data", "shapes-plain", "--out", out, *often, *options, *more]


def wait_for(condition, process):
    end = time.monotonic() + 300
    while not condition():
        assert process.is_alive(), f"the run ended with {process.exitcode}"
        assert time.monotonic() < end
        time.sleep(0.01)


def test_killed_at_five_moments_a_run_still_ends_with_the_same_weights(tmp_path):
    steps = ["--steps", 60]
    assert run_command(*training(tmp_path / "whole", *steps), log=tmp_path / "log") == 0
    out, moments = tmp_path / "killed", random.Random(0)
    for _ in range(5):
        checkpoints = set(out.glob("step-*"))
        with running(*training(out, *steps, "--resume", "auto"), log=tmp_path / "log") as process:
            wait_for(lambda seen=checkpoints: set(out.glob("step-*")) - seen, process)
            time.sleep(moments.uniform(0, 0.2))
    assert not (out / "step-000060").is_dir(), "it was killed on its way each time"
    assert run_command(*training(out, *steps, "--resume"), log=tmp_path / "log") == 0
    assert same(load_model(tmp_path / "whole")[0].state_dict(), load_model(out)[0].state_dict())


def test_a_folder_in_use_is_refused_and_a_killed_run_leaves_it_free(tmp_path):
    out, log = tmp_path / "run", tmp_path / "second"
    words = training(out, "--steps", 4000)
    with running(*words, "--workers", 1, log=tmp_path / "first") as first:
        wait_for((out / "step-000005").is_dir, first)
        assert run_command(*words, "--resume", log=log) == 1
        assert "another training is writing into" in log.read_text().splitlines()[-1]
    newest = max(out.glob("step-*"))
    with running(*words, "--resume", log=log) as second:
        wait_for(lambda: max(out.glob("step-*")) > newest, second)
        second.terminate()
        second.join(60)
        assert second.exitcode == 128 + signal.SIGTERM
    said = log.read_text().splitlines()[-1]
    assert said.startswith("frcnn-edu train: stopped by SIGTERM; the last whole checkpoint is ")


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="this system does not tell a process's children")
def test_a_killed_data_worker_ends_the_run_in_one_line(tmp_path):
    out, log = tmp_path / "run", tmp_path / "log"
    with running(*training(out, "--steps", 4000, "--workers", 2), log=log) as process:
        wait_for((out / "step-000005").is_dir, process)
        time.sleep(0.25)  # that checkpoint is written to its end
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[-1]), signal.SIGKILL)
        process.join(60)
        assert process.exitcode == 1
    said = log.read_text()
    assert "Traceback" not in said
    line = said.splitlines()[-1]
    assert "DataLoader worker" in line
    assert "fewer --workers" in line
    assert Checkpoint.read(max(out.glob("step-*"))).step >= 5, "a whole checkpoint is left"


def test_a_disk_that_becomes_full_ends_the_run_in_one_line(tmp_path):
    """Checkpoint 0 fits; the next one, with what the optimizer stores, does not."""
    out, log = tmp_path / "run", tmp_path / "log"
    weights = sum(values.nbytes for values in fresh_model().state_dict().values())
    assert run_command(*training(out), log=log, file_size=int(1.5 * weights)) == 1
    said = log.read_text()
    assert "Traceback" not in said
    line = said.splitlines()[-1]
    assert "optimizer.safetensors cannot be written" in line
    assert f"the last whole checkpoint is {out / 'step-000000'}" in line
    assert {path.name for path in out.iterdir()} == {"model.json", "step-000000"}
    load_model(out)

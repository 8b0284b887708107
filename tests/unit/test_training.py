"""Training: the same run gives the same weights, however often it was interrupted and however many share it."""

import json
import os
import random
import shutil
import signal
import subprocess
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

from frcnn_edu.__main__ import main
from frcnn_edu.commands.detector import SHAPES_LENGTH
from frcnn_edu.datasets.augment import augmentation
from frcnn_edu.datasets.download import DownloadError
from frcnn_edu.datasets.shapes import PLAIN, Shapes
from frcnn_edu.faster_rcnn import BUILDERS
from frcnn_edu.pretrained import weights_of
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
from frcnn_edu.training.loop import detect, evaluate, train

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


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path, capsys):
    def interrupt(done, *_):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, on_step=interrupt)
    assert (tmp_path / "step-000003").is_dir()
    assert "--resume" in capsys.readouterr().out


def test_ctrl_c_in_the_middle_of_a_step_waits_for_its_end(tmp_path, monkeypatch):
    """The interrupt comes where weights have changed and the step is not counted yet."""
    clip = torch.nn.utils.clip_grad_norm_
    steps = []

    def interrupted(*arguments):
        steps.append(1)
        if len(steps) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return clip(*arguments)

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", interrupted)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut")
    assert signal.getsignal(signal.SIGINT) is handler
    assert (tmp_path / "cut" / "step-000003").is_dir()
    monkeypatch.undo()
    resumed, _ = run(tmp_path / "cut", resume=True)
    assert same(resumed, run()[0])


def test_an_interrupt_that_cannot_wait_saves_no_half_step(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    assert [path.name for path in tmp_path.glob("step-*")] == ["step-000000"]


def test_a_model_may_be_measured_on_the_way(tmp_path):
    measured = []
    weights, _ = run(on_step=lambda done, model, _: measured.append(len(detect(model, SCENES, progress=False)[0])))
    assert measured == [len(SCENES)] * 6
    assert same(weights, run()[0])


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
    assert "cut short" in capsys.readouterr().out
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


def test_another_model_another_recipe_and_a_folder_in_use_are_refused(tmp_path):
    run(tmp_path)
    with pytest.raises(CheckpointError, match="holds a run already"):
        run(tmp_path)
    with pytest.raises(CheckpointError, match="was trained with"):
        run(tmp_path, recipe=Recipe(steps=8, batch_size=2), resume=True)
    other = ModelCard("tiny", ("__background__", "cell"), SMALL)
    with pytest.raises(CheckpointError, match="another model"):
        train(fresh_model(other), SCENES, RECIPE, tmp_path, other, resume=True, progress=False)
    (tmp_path / "empty").mkdir()
    (tmp_path / "model.json").rename(tmp_path / "empty" / "model.json")
    with pytest.raises(CheckpointError, match="no checkpoint"):
        load_model(tmp_path / "empty")


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
    model, keeper = fresh_model(), Keeper(tmp_path, CARD, RECIPE)
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
    ],
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


def test_a_full_disk_leaves_no_half_checkpoint(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("frcnn_edu.training.checkpoints.save_file", full)
    with pytest.raises(OSError, match="No space left"):
        run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.json"]


@pytest.mark.parametrize("native", [False, True])
def test_mixed_precision_is_used_where_the_processor_multiplies_it_natively(monkeypatch, native):
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx512_bf16": native})
    mixed, _ = run(recipe=RECIPE)
    plain, _ = run(recipe=replace(RECIPE, mixed_precision=False))
    assert same(mixed, plain) is not native
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


def share_of_gradients(rank, port, folder):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=2)
    model = replicate(fresh_model(ModelCard("tiny", SCENES.class_names, SMALL | KEEP_ALL)))
    images, targets = joined_batch()
    sum(model.train()(images[rank::2], targets[rank::2]).values()).backward()
    if rank == 0:
        torch.save({name: p.grad for name, p in model.module.named_parameters()}, folder / "gradients.pt")
    dist.destroy_process_group()


def test_two_processes_give_the_gradients_of_the_joined_batch(tmp_path, free_port):
    multiprocessing.spawn(share_of_gradients, (free_port, tmp_path), nprocs=2)
    shared = torch.load(tmp_path / "gradients.pt", weights_only=True)
    model = fresh_model(ModelCard("tiny", SCENES.class_names, SMALL | KEEP_ALL)).train()
    sum(model(*joined_batch()).values()).backward()
    for name, parameter in model.named_parameters():
        assert torch.allclose(shared[name], parameter.grad, rtol=1e-4, atol=1e-6), name


def train_on_two_machines(rank, port, folder):
    """Process 1 has a folder of its own, and comes late."""
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=2)
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
    with pytest.raises(CheckpointError, match=r"machine-0.whole holds a run already"):
        run(out / "whole")
    (folder / f"ended-{rank}").touch()
    dist.destroy_process_group()


def test_only_the_first_process_needs_the_folder_and_all_learn_what_is_wrong_with_it(tmp_path, free_port):
    multiprocessing.spawn(train_on_two_machines, (free_port, tmp_path), nprocs=2)
    assert {path.name for path in tmp_path.glob("ended-*")} == {"ended-0", "ended-1"}


@pytest.fixture
def free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def command(*arguments):
    return [sys.executable, "-m", "frcnn_edu", *map(str, arguments)]


def training_command(out):
    options = [word for name, value in SMALL.items() for word in ("--option", f"{name}={value}")]
    often = ["--steps", 40, "--batch-size", 2, "--checkpoint-every", 5]
    return command("train", "--data", "shapes-plain", "--out", out, *often, *options)


def test_killed_at_five_moments_a_run_still_ends_with_the_same_weights(tmp_path):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run(training_command(tmp_path / "whole"), env=environment, check=True, capture_output=True)
    out, moments = tmp_path / "killed", random.Random(0)
    for attempt in range(5):
        resume = ["--resume"] if (out / "step-000000").is_dir() else []
        process = subprocess.Popen(
            [*training_command(out), *resume], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        checkpoints = set(out.glob("step-*"))
        while process.poll() is None and set(out.glob("step-*")) == checkpoints:
            time.sleep(0.01)  # the run is under way once it has written something new
        time.sleep(moments.uniform(0, 0.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert attempt or not (out / "step-000040").is_dir()
    subprocess.run([*training_command(out), "--resume"], env=environment, check=True, capture_output=True)
    assert same(load_model(tmp_path / "whole")[0].state_dict(), load_model(out)[0].state_dict())


def test_evaluate_and_predict_from_the_command_line(tmp_path):
    from torchvision.utils import save_image

    run(tmp_path / "run")
    save_image(SCENES[0][0], tmp_path / "scene one.png")
    (tmp_path / "text.jpg").write_text("no picture")
    report = tmp_path / "report.json"
    evaluated = command("evaluate", "--data", "shapes-plain", "--weights", tmp_path / "run", "--json", report)
    done = subprocess.run(evaluated, check=True, capture_output=True, text=True)
    assert "mAP" in done.stdout
    assert json.loads(report.read_text())["style"] == "voc"
    pictures = [tmp_path / "scene one.png", tmp_path / "text.jpg"]
    predicted = command("predict", *pictures, "--weights", tmp_path / "run", "--out", tmp_path / "out", "--score", 0)
    done = subprocess.run(predicted, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "text.jpg" in done.stderr
    assert "Traceback" not in done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"scene one.png", "detections.json"}


def test_figures_that_are_none_are_null_in_the_file(tmp_path, monkeypatch):
    """One scene has not all classes: their AP is no number, and JSON has no word for that."""
    run(tmp_path / "run")
    monkeypatch.setitem(SHAPES_LENGTH, "test", 1)
    report = tmp_path / "report.json"
    words = ["evaluate", "--data", "shapes-plain", "--weights", str(tmp_path / "run"), "--device", "cpu"]
    assert main([*words, "--style", "coco", "--json", str(report)]) == 0
    found = json.loads(report.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert None in found["per_class"].values()


def test_a_download_that_fails_is_said_in_a_line(tmp_path, monkeypatch, capsys):
    def fail(*_):
        raise DownloadError("the server is not there: connect and call again")

    monkeypatch.setattr("frcnn_edu.commands.detector.download", fail)
    assert main(["download", "bccd", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "frcnn_edu download: the server is not there: connect and call again\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "--data", "nowhere", "--out", "run"), "nowhere"),
        (("train", "--data", "shapes", "--out", "run", "--option", "rpn_nms_thresh=2"), "rpn_nms_thresh"),
        (("evaluate", "--data", "shapes", "--weights", "nowhere"), "nowhere"),
        (("train", "--data", "shapes", "--out", "run", "--seed", "-1"), "seed must be 0 or more"),
    ],
)
def test_what_the_user_can_mend_is_said_in_a_line(tmp_path, words, message):
    done = subprocess.run(command(*words), cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr

"""The command line: what it prints and writes, and that whatever goes wrong is one line and loses nothing."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import types
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import torch
from data_folders import labelimg_yolo
from PIL import Image
from torch.utils.data import Dataset
from torchvision.utils import save_image

import frcnn_edu.commands.detector as command_line
from frcnn_edu.__main__ import COMMANDS, main
from frcnn_edu.datasets.download import DownloadError
from frcnn_edu.datasets.shapes import PLAIN, Shapes
from frcnn_edu.training.checkpoints import ModelCard, Recipe, load_model
from frcnn_edu.training.loop import detect, train

SMALL = {"min_size": 96, "max_size": 96, "rpn_pre_nms_top_n_train": 50, "rpn_post_nms_top_n_train": 20}
SMALL_OPTIONS = [word for name, value in SMALL.items() for word in ("--option", f"{name}={value}")]
SCENES = Shapes(4, split="test", config=PLAIN)
NAMES = ("__background__", "US$ 5_$", "$\\frac$", "红细胞", "사진", "_quiet", "%s {x}", "plain")
"""Names for the seven shapes that tools stumble over."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The folder of a run that has hardly learned anything, so that it finds something in every picture."""
    out = tmp_path_factory.mktemp("weights") / "run"
    torch.manual_seed(0)
    card = ModelCard("tiny", NAMES, SMALL)
    train(card.build(), SCENES, Recipe(steps=1, batch_size=1), out, card, progress=False)
    return out


@pytest.fixture(autouse=True)
def _few_scenes(monkeypatch):
    for split in ("train", "val", "test"):
        monkeypatch.setitem(command_line.SHAPES_LENGTH, split, len(SCENES))


@pytest.fixture
def inside(tmp_path, monkeypatch):
    """An empty folder that is the current one."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


class Cells(Dataset):
    """Scenes in which every shape is a cell."""

    class_names = ("__background__", "cell")

    def __len__(self):
        return len(SCENES)

    def __getitem__(self, index):
        image, target = SCENES[index]
        return image, {**target, "labels": torch.ones_like(target["labels"])}


def run(*words, cpu=True):
    """The exit status of a command, and what it printed."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            status = main([*map(str, words), *(("--device", "cpu") if cpu else ())])
        except SystemExit as end:
            status = end.code
    return status, out.getvalue(), err.getvalue()


def tiny_training(*more):
    return ["train", "--data", "shapes-plain", "--steps", 2, "--batch-size", 1, *SMALL_OPTIONS, *more]


# Wrong options


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "--workers", "-1"], "--workers: must be a whole number, 0 or more, got '-1'"),
        (["train", "--steps", "0"], "--steps: must be a whole number, 1 or more"),
        (["train", "--steps", "1e3"], "--steps: must be a whole number"),
        (["train", "--batch-size", "0"], "--batch-size"),
        (["train", "--seed", "-1"], "--seed: must be a whole number, 0 or more"),
        (["train", "--checkpoint-every", "0"], "--checkpoint-every"),
        (["train", "--eval-every", "0"], "--eval-every"),
        (["train", "--learning-rate", "nan"], "--learning-rate: must be a number above 0, got 'nan'"),
        (["train", "--learning-rate", "inf"], "--learning-rate"),
        (["train", "--clip-norm", "0"], "--clip-norm"),
        (["train", "--warmup", "2"], "--warmup: must be a number from 0 to 1"),
        (["train", "--option", "min_size"], "must be NAME=VALUE"),
        (["train", "--option", "=3"], "must be NAME=VALUE"),
        (["train", "--model", "resnet"], "invalid choice: 'resnet'"),
        (["train", "--log", "csv"], "invalid choice: 'csv'"),
        (["train", "--learning_rate", "1"], "there is no option --learning_rate; did you mean --learning-rate?"),
        (["train", "--epochs", "3"], "there is no option --epochs"),
        (["predict", "a.jpg", "--score", "50"], "--score: must be a number from 0 to 1, got '50'"),
        (["predict", "--weights", "run", "--out", "x"], "IMAGE"),
        (["evaluate", "--style", "voc12"], "invalid choice: 'voc12'"),
        (["evaluate"], "required: --data, --weights"),
        (["download", "imagenet"], "invalid choice: 'imagenet'"),
        (["fly"], "invalid choice: 'fly'"),
        ([], "COMMAND"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistyped_option_is_one_sentence_and_nothing_is_written(inside, words, message):
    needed = {"train": ["--data", "shapes", "--out", "run"], "predict": ["--weights", "nowhere", "--out", "found"]}
    known = words[1:] and "--weights" not in words
    status, out, err = run(*words, *(needed.get(words[0], []) if known else []), cpu=False)
    assert status == 2
    assert message in err
    assert err.count("\n") == 1
    assert out == ""
    assert list(inside.iterdir()) == []


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--device", "gpu"], "--device gpu: PyTorch finds no such device here, but"),
        (["--device", "cuda:99"], "--device cuda:99"),
        (["--device", "meta"], "--device meta"),
        (["--option", "min_size=abc"], "min_size must be a whole number or a list, each a whole number, got 'abc'"),
        (["--option", "rpn_nms_thresh=2"], "rpn_nms_thresh must lie in [0, 1]"),
        (["--option", "nms=0.5"], "the model has no option 'nms'; there are"),
        (["--option", "rpn_nms_tresh=0.5"], "did you mean 'rpn_nms_thresh'?"),
        (["--resume"], "run holds no run to resume"),
        (["--split", "nowhere"], "nowhere"),
        (["--eval-every", "1", "--eval-split", "nowhere"], "nowhere"),
        (["--eval-split", "nowhere"], "nowhere"),
        (["--data", "no-such-folder"], "no-such-folder"),
        (
            ["--weights-backbone", "NAME"],
            "needs a --model that has such weights: mobilenet_v2, vgg16",
        ),
        (["--weights-backbone", "NAME", "--model", "mobilenet_v2"], "no weights 'NAME' of mobilenet_v2"),
        (["--option", "image_std=[0, 0, 0]"], "no step was completed, and run is left as it was"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_training_that_cannot_begin_is_refused_in_one_line_and_nothing_is_written(inside, more, message):
    given = ["--device", "cpu", *more]
    status, _, err = run(*tiny_training("--out", "run", *given), cpu=False)
    line = err.splitlines()[-1]
    assert status == 1
    assert line.startswith("frcnn-edu train: ")
    assert message in line
    assert "Traceback" not in err
    assert list(inside.iterdir()) == []


def test_an_out_that_is_a_file_is_named(inside):
    Path("run").write_text("mine")
    status, _, err = run(*tiny_training("--out", "run"))
    assert status == 1
    assert err.splitlines()[-1] == "frcnn-edu train: run: File exists"


def test_the_program_answers_as_a_module_and_with_its_exit_status(inside):
    words = ["-m", "frcnn_edu", "evaluate", "--data", "shapes", "--weights", "nowhere"]
    done = subprocess.run([sys.executable, *words], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "nowhere is not there" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", [*COMMANDS, ""])
def test_help_explains_every_option(command):
    status, out, _ = run(*([command] if command else []), "--help", cpu=False)
    assert status == 0
    options = out.split("options:")[1]
    for entry in re.split(r"\n  (?=-)", options)[1:]:
        assert len(entry.split()) > 3, f"{entry!r} is not explained"
    assert not command or "for example: frcnn-edu" in out


def test_a_download_that_fails_is_said_in_a_line(tmp_path, monkeypatch):
    def fail(*_):
        raise DownloadError("the server is not there: connect and call again")

    monkeypatch.setattr("frcnn_edu.commands.detector.download", fail)
    status, _, err = run("download", "bccd", "--out", tmp_path, cpu=False)
    assert status == 1
    assert err == "frcnn-edu download: the server is not there: connect and call again\n"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(28, "No space left on device", "a.bin"), "a.bin: No space left on device; free some space first"),
        (MemoryError(), "MemoryError; give a smaller --batch-size"),
        (RuntimeError("CUDA out of memory.\nSee the docs"), "CUDA out of memory.; give a smaller --batch-size"),
        (ModuleNotFoundError("No module", name="scipy"), "the package scipy is not installed: pip install scipy"),
        (ValueError("Caught ValueError in worker 0.\nTraceback:\n  a\nValueError: no image\n"), "ValueError: no image"),
        (KeyboardInterrupt(), "stopped by Ctrl-C"),
    ],
    ids=["full disk", "memory", "GPU memory", "package", "worker", "Ctrl-C"],
)
def test_an_error_of_pytorch_or_the_system_becomes_one_line(monkeypatch, error, line):
    def fail(*_):
        raise error

    monkeypatch.setattr("frcnn_edu.commands.detector.download", fail)
    status, _, err = run("download", "bccd", cpu=False)
    assert err.startswith(f"frcnn-edu download: {line}")
    assert err.count("\n") == 1
    assert status == (130 if isinstance(error, KeyboardInterrupt) else 1)


def test_a_fault_of_the_program_shows_its_traceback(monkeypatch):
    monkeypatch.setattr("frcnn_edu.commands.detector.download", lambda *_: {}["key"])
    with pytest.raises(KeyError):
        run("download", "bccd", cpu=False)


# train


def test_training_measures_keeps_the_best_and_draws_the_curves(inside):
    status, out, _ = run(*tiny_training("--out", "run", "--eval-every", 1, "--steps", 3))
    assert status == 0
    lines = out.splitlines()
    assert lines[0] == "4 generated images, 7 classes"
    assert [line.split(":")[0] for line in lines if "mAP" in line][:3] == ["step 1", "step 2", "step 3"]
    assert lines[-2] == "trained 3 steps; the weights are in run"
    best = re.search(r"after step (\d), mAP ([\d.]+); they are in run/best", lines[-1])
    state = json.loads(Path("run/best/state.json").read_text())
    assert state["step"] == int(best[1])
    assert state["measured"][best[1]] == pytest.approx(max(state["measured"].values()))
    load_model("run/best")
    assert Image.open("run/curves.png").size == (576, 512)
    run(*tiny_training("--out", "plain", "--steps", 3))
    assert Image.open("plain/curves.png").size == (576, 320), "no panel for an mAP that nobody measured"


def test_a_split_alone_is_measured_on_at_the_end(inside):
    status, out, err = run(*tiny_training("--out", "run", "--eval-split", "test"))
    assert status == 0
    assert re.findall(r"step (\d+): mAP", out + err) == ["2"]


def test_a_resumed_run_says_so_if_its_augmentation_is_another(inside):
    assert run(*tiny_training("--out", "run", "--augment"))[0] == 0
    status, _, err = run(*tiny_training("--out", "run", "--resume"))
    assert status == 1
    assert "augment 'mirror' (now None)" in err
    assert run(*tiny_training("--out", "run", "--resume", "--augment"))[0] == 0


def test_resume_auto_begins_a_run_where_there_is_none_and_goes_on_where_there_is_one(inside, monkeypatch):
    begun = []
    monkeypatch.setattr(command_line, "_print_measured", lambda done, *_: begun.append(done))
    words = tiny_training("--out", "run", "--resume", "auto", "--checkpoint-every", 1, "--steps", 3)
    Path("run").mkdir()
    Path("run/model.json").write_text("{")  # all that a run leaves that was killed at its very beginning
    assert run(*words)[0] == 0
    assert begun == [1, 2, 3]
    shutil.rmtree("run/step-000003")
    assert run(*words)[0] == 0
    assert begun == [1, 2, 3, 3]


def test_a_compiled_backbone_keeps_the_names_of_its_weights(inside, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda function: function)
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: compiled.append(module))
    assert run(*tiny_training("--out", "run", "--compile"))[0] == 0
    assert [type(module).__name__ for module in compiled] == ["Stack"]
    load_model("run")


def test_without_a_compiler_one_line_says_so_and_nothing_is_written(inside):
    with torch._inductor.config.patch({"cpp.cxx": ("no-such-compiler",)}):
        status, _, err = run(*tiny_training("--out", "run", "--compile"))
    assert status == 1
    assert err.splitlines()[-1].startswith("frcnn-edu train: --compile: PyTorch cannot compile here: ")
    assert "Traceback" not in err
    assert list(inside.iterdir()) == []


def test_tensorboard_gets_what_is_measured(inside, monkeypatch):
    """A stand-in for the writer, which the course does not install."""
    written = []

    class SummaryWriter:
        def __init__(self, folder, purge_step):
            Path(folder).mkdir()
            written.append((str(folder), purge_step))

        def add_scalar(self, tag, value, step):
            written.append((tag, step))

        def flush(self):
            written.append("flushed")

    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    assert run(*tiny_training("--out", "run", "--log", "tensorboard", "--eval-every", 2))[0] == 0
    assert written[0] == (os.path.join("run", "tensorboard"), 1)
    assert ("loss/loss_classifier", 1) in written
    assert [entry for entry in written if entry[0] == "mAP"] == [("mAP", 2)]
    assert written.count("flushed") == 2


def test_without_tensorboard_one_line_says_what_to_install(inside, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    status, _, err = run(*tiny_training("--out", "run", "--log", "tensorboard"))
    assert status == 1
    assert err.splitlines()[-1].endswith("pip install tensorboard")
    assert list(inside.iterdir()) == []


# evaluate


def evaluation(weights, *more):
    return run("evaluate", "--data", "shapes-plain", "--weights", weights, *more)


@pytest.mark.parametrize("style", ["voc", "voc07", "coco"])
def test_evaluate_says_what_each_number_means(weights, tmp_path, style):
    status, out, _ = evaluation(weights, "--style", style, "--json", tmp_path / "new" / "folder" / "report.json")
    assert status == 0
    lines = out.splitlines()
    targets = [SCENES[index][1]["labels"] for index in range(len(SCENES))]
    counts = torch.cat(targets).bincount(minlength=len(NAMES)).tolist()
    assert lines[0] == "shapes-plain, split test"
    assert lines[1] == f"4 images, {sum(counts)} objects to find"
    assert lines[2] == f"style {style}, IoU {'0.50:0.95' if style == 'coco' else '0.50'}"
    for name, count, line in zip(NAMES[1:], counts[1:], lines[4:], strict=False):
        assert re.fullmatch(
            rf"{re.escape(name)} +{count}  ({'[01].[0-9]{4}' if count else 'no objects of this class'})", line
        )
    assert lines[4 + 7].split()[:2] == ["mAP", str(sum(counts))]
    assert 0 in counts[1:], "one of the classes does not occur"
    report = json.loads((tmp_path / "new" / "folder" / "report.json").read_text("utf-8"), parse_constant=pytest.fail)
    assert report["split"] == "test"
    assert report["images"] == 4
    assert report["ground_truths"] == dict(zip(NAMES[1:], counts[1:], strict=True))
    assert [name for name, value in report["per_class"].items() if value is None] == [
        name for name, count in zip(NAMES[1:], counts[1:], strict=True) if count == 0
    ]
    assert ("recall_small" in report) == (style == "coco")


def test_the_twelve_lines_are_those_of_pycocotools(weights, tmp_path):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    _, out, _ = evaluation(weights, "--style", "coco")
    detections, targets = detect(load_model(weights)[0], SCENES, progress=False)
    truth, results = {"images": [], "annotations": [], "categories": [{"id": k} for k in range(1, len(NAMES))]}, []
    for image, (found, target) in enumerate(zip(detections, targets, strict=True)):
        truth["images"].append({"id": image})
        for entry, add in ((target, truth["annotations"].append), (found, results.append)):
            for row, (x1, y1, x2, y2) in enumerate(entry["boxes"].tolist()):
                box = {"image_id": image, "category_id": int(entry["labels"][row]), "bbox": [x1, y1, x2 - x1, y2 - y1]}
                score = {"score": float(entry["scores"][row])} if "scores" in entry else {}
                add(box | score | {"id": len(truth["annotations"]) + 1, "iscrowd": 0, "area": (x2 - x1) * (y2 - y1)})
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    (tmp_path / "results.json").write_text(json.dumps(results))
    with redirect_stdout(io.StringIO()) as printed:
        coco = COCO(tmp_path / "truth.json")
        theirs = COCOeval(coco, coco.loadRes(str(tmp_path / "results.json")), "bbox")
        theirs.evaluate()
        theirs.accumulate()
        theirs.summarize()
    twelve = [line for line in printed.getvalue().splitlines() if line.startswith(" Average")]
    assert len(twelve) == 12
    assert [line for line in out.splitlines() if line.startswith(" Average")] == twelve
    assert "small is up to 32 x 32 pixels" in out
    assert "-1: the images hold no object of that size" in out


def test_weights_of_other_classes_are_refused_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr("frcnn_edu.commands.detector.evaluate", lambda *_: pytest.fail("it has begun to work"))
    card = ModelCard("tiny", ("__background__", "cell"), SMALL)
    train(card.build(), Cells(), Recipe(steps=1, batch_size=1), tmp_path / "run", card, progress=False)
    status, _, err = evaluation(tmp_path / "run")
    assert status == 1
    assert err == "frcnn-edu evaluate: shapes-plain have 7 classes, the weights 1\n"


def test_a_place_for_the_figures_that_cannot_be_is_refused_before_the_work(weights, tmp_path, monkeypatch):
    monkeypatch.setattr("frcnn_edu.commands.detector.evaluate", lambda *_: pytest.fail("it has begun to work"))
    (tmp_path / "file").write_text("")
    for place in (tmp_path, tmp_path / "file" / "report.json"):
        status, _, err = evaluation(weights, "--json", place)
        assert status == 1
        assert str(tmp_path) in err
        assert err.count("\n") == 1


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="this system has no folder in which nobody may write")
def test_a_place_that_takes_no_file_is_named(weights):
    status, _, err = evaluation(weights, "--json", "/proc/r.json")
    assert (status, err.splitlines()[-1][:34]) == (1, "frcnn-edu evaluate: /proc/r.json: ")


def test_the_figures_are_written_before_they_are_printed(weights, tmp_path, monkeypatch):
    """Who pipes the output into a program that ends early still has the file."""

    def broken_pipe(*_, file=None, **__):
        if file is None:
            raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("builtins.print", broken_pipe)
    assert (
        main(["evaluate", "--data", "shapes-plain", "--weights", str(weights), "--json", str(tmp_path / "r.json")]) == 1
    )
    assert json.loads((tmp_path / "r.json").read_text("utf-8"))["images"] == 4


def full_disk(monkeypatch, refused):
    """Files with `refused` in their names can be made, but take no byte."""

    def full(write):
        def write_or_fail(path, *content, **options):
            if refused not in path.name:
                return write(path, *content, **options)
            path.touch()
            raise OSError(28, "No space left on device")

        return write_or_fail

    for method in ("write_text", "write_bytes"):
        monkeypatch.setattr(Path, method, full(getattr(Path, method)))


def test_figures_that_the_disk_does_not_take_are_printed(weights, tmp_path, monkeypatch):
    place = tmp_path / "r.json"
    place.write_text("those of yesterday")
    full_disk(monkeypatch, "r.json")
    status, out, err = evaluation(weights, "--json", place)
    assert status == 1
    assert "\nmAP " in out
    assert err.splitlines()[-1] == f"frcnn-edu evaluate: {place}: No space left on device; free some space first"
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"], "no draft stays"
    assert place.read_text() == "those of yesterday"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("command", ["evaluate", "look"])
def test_figures_go_into_a_pipe_that_stays_one(weights, tmp_path, command):
    """As for --json /dev/stdout."""
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    labelimg_yolo(tmp_path / "set", 2)
    words = {"evaluate": ["--data", "shapes-plain", "--weights", weights], "look": ["--data", tmp_path / "set"]}
    for place in (pipe, link):
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        status, _, err = run(command, *words[command], "--json", place, cpu=command == "evaluate")
        assert (status, json.loads(os.read(reader, 100_000))["images"] > 0) == (0, True), err
        os.close(reader)
    assert pipe.is_fifo()
    assert link.is_symlink()


def test_coco_style_without_pycocotools_is_refused_before_the_work(weights, monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools.coco", None)
    monkeypatch.setattr("frcnn_edu.training.loop.detect", lambda *_: pytest.fail("it has begun to work"))
    status, _, err = evaluation(weights, "--style", "coco")
    assert status == 1
    assert "pip install pycocotools" in err


# predict


def prediction(weights, *pictures, score=0.0):
    status, out, err = run("predict", *pictures, "--weights", weights, "--out", "found", "--score", score)
    return status, out, err, json.loads(Path("found/detections.json").read_bytes().decode())


def save_picture(name, size=(96, 96)):
    torch.manual_seed(1)
    save_image(torch.rand(3, *size), name, format="png")


def test_predict_draws_every_picture_and_writes_what_it_found(weights, inside):
    save_image(SCENES[0][0], "scene one.png")
    (inside / "other").mkdir()
    save_image(SCENES[1][0], "other/scene one.png")
    status, out, err, found = prediction(weights, "scene one.png", "other/scene one.png", "scene one.png")
    assert (status, err) == (0, "")
    assert list(found) == ["scene one.png", "other/scene one.png"]
    assert {path.name for path in Path("found").iterdir()} == {"detections.json", "scene one.png", "scene one-2.png"}
    for name, entry in found.items():
        assert len(entry["boxes"]) == len(entry["scores"]) == len(entry["labels"]) > 0
        assert set(entry["labels"]) <= set(NAMES)
        assert f"{name}: {len(entry['labels'])} found, found" in out


def test_predict_takes_a_folder_for_the_pictures_in_it(weights, inside):
    Path("photos").mkdir()
    for name in ("b.png", "a.png", ".hidden.png", "notes.txt"):
        save_picture(f"photos/{name}") if name.endswith("png") else Path("photos", name).write_text("text")
    status, _, err, found = prediction(weights, "photos", "photos/a.png")
    assert (status, err) == (0, "")
    assert list(found) == ["photos/a.png", "photos/b.png"]


def test_predict_with_weights_that_are_not_there_writes_nothing(inside):
    status, _, err = run("predict", "a.png", "--weights", "nowhere", "--out", "found")
    assert (status, err.count("\n")) == (1, 1)
    assert list(inside.iterdir()) == []


NOT_PICTURES = {
    "text.jpg": (b"no picture", "convert it to PNG or JPEG"),
    "empty.jpg": (b"", "is empty"),
    "phone.heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC, the format of phones; save it as JPEG"),
    "phone.jpg": (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC, the format"),
    "clip.mp4": (b"\0\0\0\x18ftypisom\0\0\0\0isom", "a video; save a frame"),
    "page.png": (b"<!DOCTYPE html><html>", "is text in HTML"),
    "paper.pdf": (b"%PDF-1.7", "a PDF; export its pages"),
    "stored.jpg": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
}


def test_a_file_that_is_no_picture_is_passed_over_with_its_remedy(weights, inside):
    for name, (content, _) in NOT_PICTURES.items():
        Path(name).write_bytes(content)
    save_picture("sound.png")
    Path("without").mkdir()
    status, _, err, found = prediction(weights, *NOT_PICTURES, "missing.jpg", "without", "sound.png")
    assert status == 1
    assert list(found) == ["sound.png"]
    assert err.count("\n") == len(NOT_PICTURES) + 2
    for name, (_, remedy) in NOT_PICTURES.items():
        (line,) = [line for line in err.splitlines() if line.startswith(f"passed over: {name}")]
        assert remedy in line


@pytest.mark.parametrize(
    "size", [(5000, 1), (1, 5000), (7000, 60), (1, 1), (2, 900)], ids=lambda size: f"{size[1]} x {size[0]}"
)
def test_a_strip_is_drawn_within_a_bounded_size(weights, inside, size):
    save_picture("strip.png", size)
    status, _, _, found = prediction(weights, "strip.png")
    assert status == 0
    assert list(found) == ["strip.png"]
    drawing = Image.open("found/strip.png")
    assert 160 <= min(drawing.size) <= max(drawing.size) <= 2000


def test_a_picture_that_fails_to_run_or_to_be_drawn_costs_only_itself(weights, inside, monkeypatch):
    import frcnn_edu.viz.box_plots as box_plots

    draw = box_plots.detections_figure

    def draw_or_fail(image, *rest):
        figure = draw(image, *rest)
        if image.shape[-1] == 50:
            Path("found/50.png").write_bytes(b"half of it")
            raise OverflowError("it is too odd")
        return figure

    def run_or_fail(model, image, score):
        if image.shape[-1] == 60:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory\nmore")
        return detect_one(model, image, score)

    detect_one = command_line._detect
    monkeypatch.setattr("frcnn_edu.commands.detector._detect", run_or_fail)
    monkeypatch.setattr(box_plots, "detections_figure", draw_or_fail)
    for width in (50, 60, 70):
        save_picture(f"{width}.png", (70, width))
    status, out, err, found = prediction(weights, "50.png", "60.png", "70.png")
    assert status == 1
    assert list(found) == ["50.png", "70.png"], "what was found in a picture that cannot be drawn is kept"
    assert re.match(r"passed over 50.png: \d+ found, but not drawn: it is too odd\n", err)
    assert "passed over 60.png: DefaultCPUAllocator: can't allocate memory\n" in err
    assert "70.png: " in out
    assert {path.name for path in Path("found").glob("*.png")} == {"70.png"}, "no half of a drawing stays"


def test_whatever_ends_predict_leaves_what_was_found_before(weights, inside, monkeypatch):
    for name in ("a.png", "b.png"):
        save_picture(name)
    detect_one = command_line._detect

    def interrupted(*arguments):
        json.loads(Path("found/detections.json").read_text("utf-8"))
        if Path("found/a.png").exists():
            raise KeyboardInterrupt
        return detect_one(*arguments)

    monkeypatch.setattr("frcnn_edu.commands.detector._detect", interrupted)
    status, _, err, found = prediction(weights, "a.png", "b.png")
    assert status == 130
    assert err == "frcnn-edu predict: stopped by Ctrl-C\n"
    assert list(found) == ["a.png"]


def test_a_full_disk_leaves_the_detections_whole(tmp_path, monkeypatch):
    """The disk takes half of an entry."""
    results = command_line._GrowingJson(tmp_path / "found.json")
    results.add("a.png", [1, 2])
    write, full = results._write, []

    def half(content):
        if not full:
            full.append(1)
            write(content[: len(content) // 2])
            raise OSError(28, "No space left on device")
        write(content)

    monkeypatch.setattr(results, "_write", half)
    with pytest.raises(OSError, match=r"No space left on device: .*found.json"):
        results.add("b.png", list(range(50)))
    assert json.loads(results.path.read_text()) == {"a.png": [1, 2]}
    results.add("c.png", [3])
    assert json.loads(results.path.read_text()) == {"a.png": [1, 2], "c.png": [3]}


def test_a_disk_that_is_full_leaves_the_detections_of_yesterday(tmp_path, monkeypatch):
    place = tmp_path / "found.json"
    place.write_text('{"a.png": []}')
    full_disk(monkeypatch, "found.json")
    with pytest.raises(OSError, match=r"No space left on device: .*found.json"):
        command_line._GrowingJson(place)
    assert json.loads(place.read_text()) == {"a.png": []}
    assert [path.name for path in tmp_path.iterdir()] == ["found.json"]


def test_a_name_that_is_no_utf8_is_drawn_and_written(weights, inside):
    name = os.fsdecode(b"caf\xe9 \xff.png")
    try:
        save_picture("plain.png")
        os.rename("plain.png", name)
    except OSError:
        pytest.xfail("this file system takes no such name")
    status, _, _, found = prediction(weights, name)
    assert status == 0
    assert list(found) == [name]
    assert Path("found", name).exists()


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_console_that_cannot_print_a_name_gets_question_marks(weights, inside, monkeypatch, encoding):
    """Class names in evaluate, file names in predict, and those of files that cannot be read, on stderr."""
    console = {name: io.TextIOWrapper(io.BytesIO(), encoding=encoding) for name in ("stdout", "stderr")}
    for name, stream in console.items():
        monkeypatch.setattr(sys, name, stream)
    save_picture("细胞 1.png")
    Path("坏.jpg").write_text("no picture")
    words = ["--weights", str(weights), "--device", "cpu"]
    assert main(["evaluate", "--data", "shapes-plain", *words]) == 0
    assert main(["predict", "细胞 1.png", "坏.jpg", os.fsdecode(b"\xff.jpg"), "--out", "found", *words]) == 1
    printed = {}
    for name, stream in console.items():
        stream.flush()
        printed[name] = stream.buffer.getvalue().decode(encoding)
    shown = encoding == "utf-8"
    assert ("红细胞" if shown else "??? ") in printed["stdout"]
    assert ("细胞 1.png: " if shown else "?? 1.png: ") in printed["stdout"]
    assert ("坏.jpg is" if shown else "?.jpg is") in printed["stderr"]
    assert list(json.loads(Path("found/detections.json").read_text("utf-8"))) == ["细胞 1.png"]

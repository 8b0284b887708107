"""Detectors exported to ONNX: each answers in ONNX Runtime what it answers in PyTorch, stage by stage."""

import copy
import io
import json
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from functools import cache
from pathlib import Path

import onnx
import onnx_ir
import pytest
import torch
from torch import nn
from torchvision.ops import FrozenBatchNorm2d
from torchvision.utils import save_image

from frcnn_edu.__main__ import main
from frcnn_edu.config import PAPER_OPTIONS, Config
from frcnn_edu.course.blood_cell_detector import load_blood_cell_detector
from frcnn_edu.course.shipped_detector import load_trained, trained_report
from frcnn_edu.datasets import data_path
from frcnn_edu.datasets.image_files import load_image
from frcnn_edu.datasets.shapes import Shapes
from frcnn_edu.images import batch_images
from frcnn_edu.roi_heads import TwoMLPHead
from frcnn_edu.training import export as exporting
from frcnn_edu.training.checkpoints import CheckpointError, Keeper, ModelCard, Recipe
from frcnn_edu.training.export import OnnxDetector, export, load_detector, stages

pytestmark = pytest.mark.slow

BOXES_WITHIN, SCORES_WITHIN = 1e-2, 1e-4
IMAGES = 50
NAMES = ("__background__", "red cell", "细胞", "platelet")
SMALL = {"min_size": 48, "max_size": 80, "rpn_pre_nms_top_n_test": 200, "rpn_post_nms_top_n_test": 40}
OPTIONS = {
    "vgg16": PAPER_OPTIONS | SMALL,
    "resnet50_fpn": SMALL | {"frozen_backbone": True},
}


def drawn(seed, height, width):
    """Colours that change slowly: where they jump, the last bit of a coordinate counts in resizing."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 2 + height // 20, 2 + width // 20, generator=generator)
    return nn.functional.interpolate(coarse, (height, width), mode="bilinear")[0]


def drawn_images(count=IMAGES):
    """Of many sizes, among them strips that are resized to a few rows or columns."""
    sizes = [(64, 64), (64, 96), (7, 120), (150, 9), (300, 200), (1, 1), (33, 46)]
    generator = torch.Generator().manual_seed(0)
    sizes += [tuple(torch.randint(20, 160, (2,), generator=generator).tolist()) for _ in range(count - len(sizes))]
    return [drawn(seed, *size) for seed, size in enumerate(sizes)]


def built(name):
    """The detector of a builder, without the blocks that repeat the one before, and with a smaller second stage."""
    torch.manual_seed(0)
    card, head = ModelCard(name, NAMES, OPTIONS[name]), TwoMLPHead
    channels = {"vgg16": 512, "resnet50_fpn": 256}[name]
    model = card.build(box_head=head(channels * 49, 32)).eval()
    if name == "resnet50_fpn":
        for stage in ("layer1", "layer2", "layer3", "layer4"):
            model.backbone.body[stage] = model.backbone.body[stage][:1]
    return spread(model), card


@torch.no_grad()
def spread(model):
    """Let an untrained detector's answers differ as those of a trained one do.

    Batch norms get the statistics of what passes them, and the last layers answers of these deviations around 0.
    """
    predictor, images = model.roi_heads.box_predictor, drawn_images(20)[7:]
    deviations = {model.rpn.head.cls_logits: 1, model.rpn.head.bbox_pred: 0.2, predictor.cls_score: 1}
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d | FrozenBatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(take_statistics) for norm in norms]
    model.backbone(drawn(0, 320, 320)[None] * 4 - 2)
    for hook in hooks:
        hook.remove()
    for layer, deviation in {**deviations, predictor.bbox_pred: 0.5}.items():
        seen = []
        hook = layer.register_forward_hook(lambda _, __, out, seen=seen: seen.append(out.movedim(1, -1).flatten(0, -2)))
        model.trace(images, detail=False)
        hook.remove()
        answers = torch.cat(seen)  # (N, C)
        scale = deviation / answers.std(dim=0)  # (C,)
        layer.weight.mul_(scale.view(-1, *[1] * (layer.weight.ndim - 1)))
        layer.bias.sub_(answers.mean(dim=0)).mul_(scale)
    return model


def take_statistics(norm, inputs):
    norm.running_var, norm.running_mean = torch.var_mean(inputs[0], dim=(0, 2, 3))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("exported")


@pytest.fixture(scope="module")
def run_folder(folder):
    """The shipped detector as a run."""
    card = ModelCard("tiny", tuple(trained_report()["class_names"]))
    model = load_trained()
    keeper = Keeper(folder / "run", card, Recipe(), 1)
    keeper.start(model, torch.optim.SGD(model.parameters()), resume=False)
    keeper.close()
    return folder / "run"


@pytest.fixture(scope="module")
def tiny(folder, run_folder):
    """The shipped detector, exported by the command."""
    status, out, err = run("export", "--weights", run_folder, "--out", folder / "new" / "tiny.onnx")
    assert (status, err) == (0, "")
    assert "tiny.onnx: 3.8 MB, 7 classes" in out
    return load_trained(), load_detector(folder / "new" / "tiny.onnx")[0]


@pytest.fixture(scope="module")
def exported(folder):
    """Exports the detector of a builder, once."""

    @cache
    def of(name):
        model, card = built(name)
        export(model, card, folder / f"{name}.onnx")
        detector, read = load_detector(folder / f"{name}.onnx")
        assert read == ModelCard(name, list(NAMES), json.loads(json.dumps(card.options)))
        return model, detector

    return of


@pytest.fixture(scope="module")
def all_ties(folder, exported):
    """Every anchor and class with the same score, under the paper's options."""
    model, graph = copy.deepcopy(exported("vgg16")[0]), onnx_ir.load(folder / "vgg16.onnx")
    for part in ("rpn.head.cls_logits", "roi_heads.box_predictor.cls_score"):
        for name in (f"{part}.weight", f"{part}.bias"):
            nn.init.zeros_(model.get_parameter(name))
            change(graph, f"model.{name}", lambda weights: weights * 0)
    onnx_ir.save(graph, folder / "ties.onnx")
    return model, OnnxDetector(folder / "ties.onnx")


def change(graph, name, how):
    initializer = graph.graph.initializers[name]
    initializer.const_value = onnx_ir.tensor(how(initializer.const_value.numpy().copy()), name=name)


def run(*words):
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            status = main([str(word) for word in words])
        except SystemExit as end:
            status = end.code
    return status, out.getvalue(), err.getvalue()


def assert_same(expected, found, what):
    """As many detections, each with its counterpart; which of two near-equal scores comes first is left open."""
    assert {name: values.dtype for name, values in found.items()} == {n: v.dtype for n, v in expected.items()}, what
    assert len(found["boxes"]) == len(expected["boxes"]), what
    alike = expected["labels"][:, None] == found["labels"]
    alike &= (expected["scores"][:, None] - found["scores"]).abs() <= SCORES_WITHIN
    alike &= ((expected["boxes"][:, None] - found["boxes"]).abs() <= BOXES_WITHIN).all(dim=-1)
    assert alike.any(dim=0).all(), what
    assert alike.any(dim=1).all(), what


@torch.no_grad()
def traced(model, image):
    """The stages of one pass of PyTorch's, sizes as tensors."""
    trace = model.trace([image])
    sizes = [[torch.tensor(one) for one in part] for part in (trace.batch.sizes, trace.batch.original_sizes)]
    return stages(replace(trace, batch=replace(trace.batch, sizes=sizes[0], original_sizes=sizes[1])))


def assert_same_stages(model, detector, image):
    expected, found = traced(model, image), detector.stages(image)
    assert list(found) == list(expected)
    for name, values in expected.items():
        assert found[name].dtype == values.dtype, name
        torch.testing.assert_close(
            found[name], values, rtol=1e-4, atol=1e-3, msg=lambda text, name=name: f"{name}: {text}"
        )


# Equal to PyTorch


@torch.no_grad()
def test_the_shipped_detector_answers_the_same_on_scenes_and_on_images_of_other_sizes(tiny):
    model, detector = tiny
    scenes = Shapes(IMAGES // 2, split="test")
    images = [scenes[index][0] for index in range(len(scenes))] + drawn_images(IMAGES - len(scenes))
    count = 0
    for index, image in enumerate(images):
        (expected,), (found,) = model([image]), detector([image])
        assert_same(expected, found, f"image {index}")
        count += len(expected["boxes"])
    assert count > 60
    assert_same_stages(model, detector, scenes[0][0])


@torch.no_grad()
def test_the_detector_of_blood_cells_answers_the_same_on_photographs(exported_blood_cells):
    model, card = load_blood_cell_detector()
    detector, read = load_detector(exported_blood_cells)
    assert read == replace(card, class_names=list(card.class_names))
    count, photographs = 0, sorted(data_path("blood_cells").glob("*.jpg"))
    for path in photographs:
        image = load_image(path)
        (expected,), (found,) = model([image]), detector([image])
        assert_same(expected, found, path.name)
        count += len(expected["boxes"])
    assert count > 10 * len(photographs)
    assert list(detector.stages(image)) == list(traced(model, image))


@torch.no_grad()
@pytest.mark.parametrize("name", OPTIONS)
def test_every_builder_answers_the_same_on_images_of_any_size(exported, name):
    """In one image of 50 an untrained network may turn the last bit of a resized pixel into another choice in NMS."""
    model, detector = exported(name)
    count, others = 0, []
    for index, image in enumerate(drawn_images()):
        (expected,), (found,) = model([image]), detector([image])
        try:
            assert_same(expected, found, f"image {index}")
        except AssertionError as error:
            others.append(error)
        count += len(expected["boxes"])
    assert len(others) <= 1, others
    assert count > 4 * IMAGES
    assert_same_stages(model, detector, drawn_images(1)[0])


@torch.no_grad()
def test_equal_scores_come_in_the_same_order(all_ties):
    """Of equal logits the earlier anchor is taken, of equal candidates the earlier suppresses the later."""
    count, (model, detector) = 0, all_ties
    for image in drawn_images(12):
        expected, found = traced(model, image), detector.stages(image)
        assert len(expected["rpn.logits"].unique()) == 1
        for stage, values in expected.items():
            torch.testing.assert_close(
                found[stage], values, rtol=1e-4, atol=1e-3, msg=lambda text, s=stage: f"{s}: {text}"
            )
        count += len(expected["boxes"])
    assert count > 50


@torch.no_grad()
def test_nothing_found_is_an_empty_answer(tiny, exported):
    (nothing,) = tiny[1]([torch.zeros(3, 100, 100)])
    assert (nothing["boxes"].shape, len(nothing["scores"]), nothing["labels"].dtype) == ((0, 4), 0, torch.int64)
    model, detector = exported("vgg16")
    strip = drawn(0, 10, 200)
    assert detector.stages(strip)["roi.pooled"].shape == (0, 512, 7, 7), "the paper drops proposals below 16 pixels"
    assert_same_stages(model, detector, strip)


def test_images_get_the_size_that_python_gives_them(tiny):
    _, detector = tiny
    generator = torch.Generator().manual_seed(0)
    config = Config(min_size=256, max_size=512)
    for _ in range(100):
        height, width = torch.randint(1, 600, (2,), generator=generator).tolist()
        image = torch.zeros(1, height, width).expand(3, -1, -1)
        (found,) = detector.session.run(["batch.sizes"], {"image": image.numpy()}, detector.run_options)
        assert tuple(found.tolist()) == batch_images([image], config).sizes[0], (height, width)


# The file


def test_the_file_holds_standard_operators_and_whatever_a_reader_needs(tiny, folder):
    model, _ = tiny
    proto = onnx.load(folder / "new" / "tiny.onnx")
    onnx.checker.check_model(proto, full_check=True)
    assert {node.domain for node in proto.graph.node} == {""}
    assert {"Resize", "TopK", "NonMaxSuppression", "RoiAlign"} <= {node.op_type for node in proto.graph.node}
    assert [value.name for value in proto.graph.input] == ["image"]
    assert [value.name for value in proto.graph.output][:3] == ["boxes", "labels", "scores"]
    assert "site-packages" not in str(proto.graph.node)
    assert "site-packages" not in str(proto.metadata_props)
    noted = {entry.key: json.loads(entry.value, parse_constant=pytest.fail) for entry in proto.metadata_props}
    assert noted["class_names"] == list(trained_report()["class_names"])
    assert noted["config"]["image_mean"] == list(model.config.image_mean)
    assert (noted["config"]["min_size"], noted["config"]["max_size"]) == (256, 512)
    assert noted["anchors_per_cell"] == [9]


def test_what_is_infinite_is_null_in_the_metadata(all_ties):
    """JSON has no infinity, and a browser's parser would end there."""
    _, detector = all_ties
    noted = detector.session.get_modelmeta().custom_metadata_map["config"]
    assert json.loads(noted, parse_constant=pytest.fail)["log_scale_limit"] is None


@pytest.fixture
def quick(tiny, folder, monkeypatch):
    """`export` takes the graph of the shipped detector as it has been made already."""
    monkeypatch.setattr(exporting, "_graph", lambda _: onnx_ir.load(folder / "new" / "tiny.onnx"))


@torch.no_grad()
def test_half_precision_halves_the_file_and_keeps_the_answers(tiny, quick, run_folder, folder):
    """The shipped weights were half precision before, so nothing moves; of others scores and boxes do."""
    status, _, _ = run("export", "--weights", run_folder, "--out", folder / "half.onnx", "--half")
    assert status == 0
    assert (folder / "half.onnx").stat().st_size < 0.52 * (folder / "new" / "tiny.onnx").stat().st_size
    detector = OnnxDetector(folder / "half.onnx")
    for image, _ in (Shapes(5, split="test")[index] for index in range(5)):
        assert_same(tiny[0]([image])[0], detector([image])[0], "half")


def test_weights_beyond_half_precision_stay_in_single(tiny, quick, folder, monkeypatch):
    model, graph = tiny[0], onnx_ir.load(folder / "new" / "tiny.onnx")
    name = "model.roi_heads.box_head.fc7.weight"
    change(graph, name, lambda weights: weights + 1e6)
    monkeypatch.setattr(exporting, "_graph", lambda _: graph)
    export(model, ModelCard("tiny", NAMES), folder / "large.onnx", half=True)
    stored = {one.name: one.data_type for one in onnx.load(folder / "large.onnx").graph.initializer}
    assert stored[name] == onnx.TensorProto.FLOAT
    assert "model.roi_heads.box_head.fc6.weight.half" in stored


@torch.no_grad()
def test_the_detector_is_as_it_was_after_its_export(tiny):
    """Nothing of what stood in for its operators stays."""
    image = Shapes(1, split="test")[0][0]
    model = load_trained()
    with pytest.raises(ValueError, match="hold values in"):
        model([image * 255])
    assert len(model([image])[0]["boxes"]) > 0
    assert model.trace([image]).batch.sizes == [(256, 256)]


# Used in place of a folder


def test_predict_evaluate_and_the_page_take_the_file_for_the_folder(tiny, run_folder, folder, tmp_path, monkeypatch):
    from frcnn_edu.commands import detector as command_line
    from frcnn_edu.course.photograph_page import _detector

    monkeypatch.setitem(command_line.SHAPES_LENGTH, "test", 4)
    monkeypatch.chdir(tmp_path)
    save_image(Shapes(1, split="test")[0][0], "scene.png")
    said = {}
    for weights in (run_folder, folder / "new" / "tiny.onnx"):
        assert run("predict", "scene.png", "--weights", weights, "--out", "found", "--device", "cpu")[0] == 0
        status, figures, _ = run("evaluate", "--data", "shapes", "--weights", weights, "--device", "cpu")
        found = json.loads(Path("found/detections.json").read_text("utf-8"))["scene.png"]
        said[weights] = found["labels"], figures, list(_detector(str(weights))[1])
        assert status == 0
        assert len(found["labels"]) > 0
    first, second = said.values()
    assert first == second


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no model",
        onnx.helper.make_model(
            onnx.parser.parse_graph("g (float[1] x) => (float[1] y) { y = Identity(x) }"),
            ir_version=8,
            opset_imports=[onnx.helper.make_opsetid("", 18)],
        ).SerializeToString(),
    ],
    ids=["empty", "text", "another model"],
)
def test_a_file_that_export_did_not_write_is_one_line(tmp_path, content):
    (tmp_path / "other.onnx").write_bytes(content)
    status, _, err = run("predict", "a.png", "--weights", tmp_path / "other.onnx", "--out", tmp_path / "found")
    assert (status, err.count("\n")) == (1, 1)
    assert "other.onnx is no detector that export wrote" in err
    assert not (tmp_path / "found").exists()
    with pytest.raises(CheckpointError, match=r"missing\.onnx is not there"):
        load_detector(tmp_path / "missing.onnx")


def test_an_exported_detector_checks_its_images(tiny):
    _, detector = tiny
    with pytest.raises(ValueError, match=r"images\[0\] must hold values in \[0, 1\]"):
        detector([torch.full((3, 8, 8), 255.0)])


# Errors, before anything is written


@pytest.mark.parametrize(
    ("name", "message"),
    [("a.pt", "a.pt must end in .onnx"), ("folder.onnx", "this is a folder"), ("file/a.onnx", "file")],
)
def test_a_place_that_cannot_be_is_one_line(run_folder, tmp_path, monkeypatch, name, message):
    monkeypatch.setattr(exporting, "_graph", lambda _: pytest.fail("it has begun to work"))
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "file").write_text("")
    before = sorted(tmp_path.rglob("*"))
    status, _, err = run("export", "--weights", run_folder, "--out", tmp_path / name)
    assert (status, err.count("\n")) == (1, 1)
    assert message in err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("weights", ["nowhere", "COCO_V1"])
def test_weights_that_are_not_there_are_one_line(tmp_path, monkeypatch, weights):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *_, **__: (_ for _ in ()).throw(OSError("offline")))
    status, _, err = run("export", "--weights", weights, "--out", tmp_path / "new" / "a.onnx")
    assert (status, err.count("\n")) == (1, 1), err
    assert weights in err
    assert not (tmp_path / "new").exists()


def test_whatever_ends_the_export_leaves_the_older_file(run_folder, tmp_path, monkeypatch):
    def ends(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(exporting, "_graph", ends)
    (tmp_path / "a.onnx").write_text("older")
    assert run("export", "--weights", run_folder, "--out", tmp_path / "a.onnx")[0] == 130
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.onnx", "older")]


def test_weights_that_are_not_finite_are_named(tmp_path):
    model = load_trained()
    model.rpn.head.cls_logits.bias.data[3] = torch.nan
    with pytest.raises(ValueError, match=r"rpn\.head\.cls_logits\.bias hold NaN"):
        export(model, ModelCard("tiny", NAMES), tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_without_a_package_one_line_says_what_to_install(tiny, run_folder, folder, tmp_path, monkeypatch, package):
    monkeypatch.setattr(exporting, "find_spec", lambda name: None if name == package else name)
    words = ["export", "--weights", run_folder, "--out", tmp_path / "a.onnx"]
    if package == "onnxruntime":
        words = ["predict", "a.png", "--weights", folder / "new" / "tiny.onnx", "--out", tmp_path / "found"]
    status, _, err = run(*words)
    assert status == 1
    assert err == f'frcnn-edu {words[0]}: {package} is not installed: pip install "frcnn-edu[export]"\n'
    assert list(tmp_path.iterdir()) == []

"""The ablation: variants that differ in one part, and a file that is continued."""

import json
from dataclasses import replace
from functools import partial

import pytest
import torch
import torchvision
from test_folders_end_to_end import make_voc
from torchvision.ops import FrozenBatchNorm2d

from benchmarks import bccd_steps
from frcnn_edu.course.blood_cells import VARIANTS, load_ablation
from frcnn_edu.faster_rcnn import fasterrcnn_tiny


@pytest.fixture
def random_weights(monkeypatch):
    drawn = torchvision.models.mobilenet_v2(weights=None).state_dict()
    monkeypatch.setattr(torchvision.models.MobileNet_V2_Weights, "get_state_dict", lambda *_, **__: drawn)
    return drawn


def test_each_variant_differs_from_the_full_recipe_in_one_part(random_weights):
    assert set(bccd_steps.BUILD) == set(VARIANTS)
    models = {name: build(4) for name, build in bccd_steps.BUILD.items()}
    assert len({str(model.config) for model in models.values()}) == 1
    pools = {name: model.roi_heads.box_roi_pool.operator for name, model in models.items()}
    assert pools == {"full": "align", "roi_pool": "pool", "one_level": "align", "random": "align"}
    sizes = {name: bccd_steps.pyramid_sizes(model) for name, model in models.items()}
    assert len(set(sizes.values())) == 1, "all have the same anchor sizes"
    levels = {name: len(model.rpn.anchor_generator.sizes) for name, model in models.items()}
    assert levels == {"full": 4, "roi_pool": 4, "one_level": 1, "random": 4}
    for name, model in models.items():
        learned = torch.equal(model.backbone.body["0"][0].weight, random_weights["features.0.0.weight"])
        frozen = any(isinstance(module, FrozenBatchNorm2d) for module in model.modules())
        assert learned == frozen == (name != "random")


def test_one_level_has_stride_16_and_every_anchor_on_it(random_weights):
    model = bccd_steps.one_level(4).eval()
    with torch.no_grad():
        rpn = model.trace([torch.rand(3, 480, 640)]).rpn
    assert rpn.level_sizes == [(24, 30, 40)]
    later = {"14", "15", "16", "17"}
    assert not later & set(model.backbone.body), "nothing beyond stride 16 is computed"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    make_voc(tmp_path / "data")
    small = partial(fasterrcnn_tiny, min_size=64, max_size=96)
    build = {"full": small, "random": partial(small, rpn_post_nms_top_n_train=20)}
    monkeypatch.setattr(bccd_steps, "BUILD", build)
    monkeypatch.setattr(bccd_steps, "OPTIONS", {"min_size": 64, "max_size": 96})
    return tmp_path


def words(folder, *more):
    common = ["--data", folder / "data", "--out", folder / "steps.json", "--steps", 2, "--only", "full", "random"]
    return list(map(str, [*common, *more]))


def test_a_second_call_measures_only_what_is_missing(folder, monkeypatch, capsys):
    bccd_steps.main(words(folder, "--seeds", 0))
    first = json.loads((folder / "steps.json").read_text("utf-8"))
    done = []
    real = bccd_steps.measure
    monkeypatch.setattr(
        bccd_steps, "measure", lambda name, recipe, *more: done.append((name, recipe.seed)) or real(name, recipe, *more)
    )
    bccd_steps.main(words(folder, "--seeds", 0, 1))
    assert done == [("full", 1), ("random", 1)]
    second = json.loads((folder / "steps.json").read_text("utf-8"))
    assert second["runs"][:2] == first["runs"]
    measured = load_ablation(folder / "steps.json")
    assert [(run.name, run.seed) for run in measured.runs] == [("full", 0), ("random", 0), ("full", 1), ("random", 1)]
    assert len(measured.run("full").found()) == len(measured.splits["test"].targets()) == 5
    assert measured.run("full", 1).detections is None, "kept for one seed only"
    assert "| 2 |" in capsys.readouterr().out


def test_runs_that_another_process_writes_meanwhile_are_kept(folder, monkeypatch):
    bccd_steps.main(words(folder, "--seeds", 0))
    path, real = folder / "steps.json", bccd_steps.measure

    def measure(name, recipe, *more):
        content = json.loads(path.read_text("utf-8"))
        content["runs"].append({**content["runs"][0], "name": "one_level", "seed": recipe.seed})
        path.write_text(json.dumps(content), "utf-8")
        return real(name, recipe, *more)

    monkeypatch.setattr(bccd_steps, "measure", measure)
    bccd_steps.main(words(folder, "--seeds", 5))
    runs = [(run.name, run.seed) for run in load_ablation(path).runs]
    assert sorted(runs[2:]) == [("full", 5), ("one_level", 5), ("one_level", 5), ("random", 5)]


def test_other_conditions_raise(folder):
    bccd_steps.main(words(folder, "--seeds", 0))
    with pytest.raises(ValueError, match="name another file"):
        bccd_steps.main(words(folder, "--seeds", 1, "--images", 1))


def test_a_run_is_reproducible(folder):
    recipe = bccd_steps.Recipe(2, 2, seed=3)
    first, second = (bccd_steps.measure("full", recipe, folder / "data") for _ in range(2))
    assert replace(first, cpu_seconds=0) == replace(second, cpu_seconds=0)

"""``python tests/mutants.py``: mutation testing of the detector's modules.

A mutant of a module has one comparison, sign, number, condition or name changed (but not zip's `strict`, which guards
against mistakes of ours); the module's tests run on it in a forked process. A mutant on which no test fails has
survived and is printed: either a test is missing, or the change makes no difference.

``python tests/mutants.py losses --every 3`` tests every third mutant of one module.
"""

import argparse
import ast
import copy
import importlib.machinery
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = {
    "boxes": ("tests/unit/test_boxes.py", "tests/unit/test_nms.py", "tests/unit/test_traps.py"),
    "matching": ("tests/unit/test_matching.py", "tests/unit/test_traps.py"),
    "losses": ("tests/unit/test_losses.py",),
    "roi_pool": ("tests/unit/test_roi_pool.py",),
    "anchors": ("tests/unit/test_anchors.py",),
    "rpn": ("tests/unit/test_rpn.py", "tests/unit/test_trace.py", "tests/unit/test_faster_rcnn.py"),
    "roi_heads": ("tests/unit/test_roi_heads.py", "tests/unit/test_trace.py", "tests/unit/test_faster_rcnn.py"),
}
"""The tests of each module."""

SECONDS = 100
"""Time limit; a mutant that exceeds it counts as noticed."""

SWAPPED_OPERATORS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
SWAPPED_NAMES = {
    one: other
    for pair in (
        ("min", "max"),
        ("minimum", "maximum"),
        ("amin", "amax"),
        ("argmin", "argmax"),
        ("floor", "ceil"),
        ("any", "all"),
        ("sum", "mean"),
        ("exp", "log"),
        ("zeros", "ones"),
        ("zeros_like", "ones_like"),
        ("unsqueeze", "squeeze"),
    )
    for one, other in (pair, pair[::-1])
}


@dataclass(frozen=True)
class Mutant:
    """A module with one change."""

    line: int
    change: str
    tree: ast.Module


def main() -> int:
    """Test the mutants of the named modules; print the survivors and the share that was noticed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", default=list(TESTS), choices=[[], *TESTS], help="default: all")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="test only every Nth mutant")
    options = parser.parse_args()
    _load_libraries()
    killed = total = 0
    for module in options.modules:
        mutants = list(_mutants(ROOT / "frcnn_edu" / f"{module}.py"))[:: options.every]
        unchanged = Mutant(0, "unchanged", ast.parse((ROOT / "frcnn_edu" / f"{module}.py").read_text(encoding="utf-8")))
        if _noticed(module, unchanged):
            sys.exit(f"the tests of {module} fail without a mutation: run {' '.join(TESTS[module])} first")
        survivors = 0
        for mutant in mutants:
            if not _noticed(module, mutant):
                survivors += 1
                print(f"  survived: {module}.py:{mutant.line}: {mutant.change}", flush=True)
        killed, total = killed + len(mutants) - survivors, total + len(mutants)
        print(f"{module}: {len(mutants) - survivors} of {len(mutants)} noticed", flush=True)
    print(f"all: {killed} of {total} noticed, {killed / total:.1%}")
    return 0


def _load_libraries() -> None:
    """Import what every test needs before the first fork, but nothing of the package."""
    for library in ("hypothesis", "pytest", "torchvision"):
        importlib.import_module(library)
    importlib.import_module("torch").set_num_threads(1)
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))


def _mutants(path: Path) -> Iterator[Mutant]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    strict = {id(word.value) for word in ast.walk(tree) if isinstance(word, ast.keyword) and word.arg == "strict"}
    nodes = [node for node in ast.walk(tree) if not _is_in_annotation(tree, node) and id(node) not in strict]
    positions = {id(node): index for index, node in enumerate(ast.walk(tree))}
    for node in nodes:
        for number, _ in enumerate(_changes(copy.deepcopy(node))):
            changed = copy.deepcopy(tree)
            twin = list(ast.walk(changed))[positions[id(node)]]
            before = ast.unparse(twin)
            make = _changes(twin)[number]
            make()
            yield Mutant(node.lineno, f"{_short(before)}  ->  {_short(ast.unparse(twin))}", changed)


def _changes(node: ast.AST) -> list:
    """The possible mutations of this node, as functions that apply them in place."""
    if isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in SWAPPED_OPERATORS:
        return [lambda: setattr(node, "op", SWAPPED_OPERATORS[type(node.op)]())]
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPPED_OPERATORS:
        return [lambda: node.ops.__setitem__(0, SWAPPED_OPERATORS[type(node.ops[0])]())]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not | ast.Invert):
        return [lambda: setattr(node, "op", ast.UAdd() if isinstance(node.op, ast.USub) else _nothing(node))]
    if isinstance(node, ast.If | ast.IfExp):
        return [lambda: setattr(node, "test", ast.UnaryOp(ast.Not(), node.test))]
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        return [lambda: setattr(node, "value", not node.value)]
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return [lambda: setattr(node, "value", node.value + 1)]
    if isinstance(node, ast.Attribute) and node.attr in SWAPPED_NAMES:
        return [lambda: setattr(node, "attr", SWAPPED_NAMES[node.attr])]
    if isinstance(node, ast.Name) and node.id in SWAPPED_NAMES:
        return [lambda: setattr(node, "id", SWAPPED_NAMES[node.id])]
    return []


def _nothing(node: ast.UnaryOp) -> ast.unaryop:
    """`not x` becomes `not not x`, and `~x` becomes `~~x`."""
    node.operand = ast.UnaryOp(copy.copy(node.op), node.operand)
    return node.op


def _is_in_annotation(tree: ast.Module, node: ast.AST) -> bool:
    if not hasattr(tree, "annotated"):
        annotations = [
            part
            for one in ast.walk(tree)
            for part in (getattr(one, "annotation", None), getattr(one, "returns", None))
            if part is not None
        ]
        tree.annotated = {id(inner) for part in annotations for inner in ast.walk(part)}
    return id(node) in tree.annotated


def _noticed(module: str, mutant: Mutant) -> bool:
    """Whether the module's tests fail or time out on the mutant."""
    child = os.fork()
    if child == 0:
        os._exit(_run_tests(module, mutant))
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) != 0
        time.sleep(0.02)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return True


def _run_tests(module: str, mutant: Mutant) -> int:
    import hypothesis
    import pytest

    # A failure is enough: nobody reads the smallest example, which takes most of the time to find.
    hypothesis.settings.register_profile("mutants", phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate))
    hypothesis.settings.load_profile("mutants")
    path = str(ROOT / "frcnn_edu" / f"{module}.py")
    ast.fix_missing_locations(mutant.tree)
    real = importlib.machinery.SourceFileLoader.get_code

    def get_code(loader: importlib.machinery.SourceFileLoader, name: str) -> object:
        return compile(mutant.tree, path, "exec") if loader.path == path else real(loader, name)

    importlib.machinery.SourceFileLoader.get_code = get_code
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    return int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *TESTS[module]]))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:57] + "..."


if __name__ == "__main__":
    sys.exit(main())

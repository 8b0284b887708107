"""The names that a cell of a lesson reads from other cells, and those that it gives to others."""

import ast
import builtins
from collections.abc import Iterable


class CellNames(ast.NodeVisitor):
    """`read`: names used before the cell itself assigns them. `given`: names that the cell assigns or imports."""

    def __init__(self, source: str) -> None:
        self.read: set[str] = set()
        self.given: set[str] = set()
        self._local: list[set[str]] = []
        lines = ("pass" if line.startswith(("%", "!")) else line for line in source.splitlines())
        self.visit(ast.parse("\n".join(lines)))

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Store):
            (self._local[-1] if self._local else self.given).add(node.id)
        elif not any(node.id in names for names in [self.given, *self._local]) and not hasattr(builtins, node.id):
            self.read.add(node.id)

    def visit_Assign(self, node: ast.Assign) -> None:
        self._visit([node.value, *node.targets])

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self.visit(ast.Name(node.target.id, ast.Load()))
        self._visit([node.value, node.target])

    def visit_For(self, node: ast.For) -> None:
        self._visit([node.iter, node.target, *node.body, *node.orelse])

    def visit_alias(self, node: ast.alias) -> None:
        self.given.add((node.asname or node.name).split(".")[0])

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._visit([*node.decorator_list, node.args])
        self.given.add(node.name)
        self._within({argument.arg for argument in ast.walk(node.args) if isinstance(argument, ast.arg)}, node.body)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._visit(node.bases)
        self.given.add(node.name)
        self._within(set(), node.body)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._within({argument.arg for argument in ast.walk(node.args) if isinstance(argument, ast.arg)}, [node.body])

    def visit_ListComp(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp) -> None:
        self._within(set(), [*node.generators, node.elt])

    def visit_SetComp(self, node: ast.SetComp) -> None:
        self.visit_ListComp(node)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> None:
        self.visit_ListComp(node)

    def visit_DictComp(self, node: ast.DictComp) -> None:
        self._within(set(), [*node.generators, node.key, node.value])

    def visit_comprehension(self, node: ast.comprehension) -> None:
        self._visit([node.iter, node.target, *node.ifs])

    def _within(self, names: set[str], nodes: Iterable[ast.AST]) -> None:
        self._local.append(names)
        self._visit(nodes)
        self._local.pop()

    def _visit(self, nodes: Iterable[ast.AST]) -> None:
        for node in nodes:
            self.visit(node)


def given_twice(sources: dict[str, str]) -> dict[str, list[str]]:
    """Names that two or more cells assign while another cell reads them: which one it gets depends on the order."""
    cells = {name: CellNames(source) for name, source in sources.items()}
    read = set().union(*(cell.read for cell in cells.values()))
    givers = {name: [key for key, cell in cells.items() if name in cell.given] for name in read}
    return {name: keys for name, keys in givers.items() if len(keys) > 1}

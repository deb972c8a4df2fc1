"""What can be broken in a module, one thing at a time. Pure: reads a source, returns its mutants.

Words for people are left alone, and so is logging: no test should depend on them. So are annotations and decorators.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile

from tests.mutation import sql

_BOUNDARY: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
}
_NEGATED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE,
    ast.LtE: ast.Gt,
    ast.Gt: ast.LtE,
    ast.GtE: ast.Lt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_OPPOSITES = {"min": "max", "max": "min", "any": "all", "all": "any"}
_LOGS = ("log", "_log")
"""A call of a method of the first, or of the second, is logging; so is all that the second does."""
_CLEAR = 16
"""An expression shorter than this is shown with what is around it."""
_LONGEST = 160
_AROUND = 40

Replacement = ast.AST | list[ast.stmt]
"""What comes in the place of a node; a list in the place of a statement."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one module.

    Attributes:
        module: Its dotted name.
        function: The function's qualified name, or `<module>`.
        before: The code that is changed, with enough around it to be recognised.
        after: What comes in its place.
        line: Where it is.
        seen_at: The lines of the changed statement's own expressions, or those that use the changed constant. A test
            that runs none of them cannot see it; empty where every test may.
        place: The number of the changed node.
        replacement: What comes in its place.
    """

    module: str
    function: str
    before: str
    after: str
    line: int
    seen_at: frozenset[int]
    place: int
    replacement: Replacement

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What names it, also after lines were moved."""
        return self.module, self.function, self.before, self.after

    def __str__(self) -> str:
        return f"{self.module}:{self.line} {self.function}: {self.before}  ->  {self.after}"


def optional_names(sources: Collection[str]) -> dict[str, frozenset[str]]:
    """Return by function or class name the keyword arguments that may be left out: only those are worth removing."""
    found: dict[str, set[str]] = {}
    for node in (each for source in sources for each in ast.walk(ast.parse(source))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            plain = [*node.args.posonlyargs, *node.args.args]
            names = [each.arg for each in plain[len(plain) - len(node.args.defaults) :]]
            keywords = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            names += [each.arg for each, default in keywords if default is not None]
            found.setdefault(node.name, set()).update(names)
        elif isinstance(node, ast.ClassDef):
            fields = [each for each in node.body if isinstance(each, ast.AnnAssign) and each.value is not None]
            names = [each.target.id for each in fields if isinstance(each.target, ast.Name)]
            init = next((each for each in node.body if getattr(each, "name", "") == "__init__"), None)
            if isinstance(init, ast.FunctionDef):
                names += [a.arg for a, d in zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True) if d]
            found.setdefault(node.name, set()).update(names)
    return {name: frozenset(names) for name, names in found.items()}


def mutants_of(module: str, source: str, optional: Mapping[str, frozenset[str]]) -> list[Mutant]:
    """Return every mutant of a module, in the order of its text."""
    tree = ast.parse(source)
    walk = _Walk(module, optional, tree)
    walk.visit(tree)
    return walk.found


def mutated(source: str, mutant: Mutant) -> ast.Module:
    """Return the module with the mutant's change, ready to be compiled."""
    tree = _Replace(mutant.place, mutant.replacement).visit(ast.parse(source))
    return ast.fix_missing_locations(tree)


def _numbered(tree: ast.AST) -> dict[int, int]:
    return {id(node): number for number, node in enumerate(ast.walk(tree))}


class _Replace(ast.NodeTransformer):
    def __init__(self, place: int, replacement: Replacement) -> None:
        self._place = place
        self._replacement = replacement
        self._numbers: dict[int, int] = {}

    def visit(self, node: ast.AST) -> ast.AST | list[ast.stmt]:
        self._numbers = self._numbers or _numbered(node)
        if self._numbers[id(node)] != self._place:
            return self.generic_visit(node)
        return copy.deepcopy(self._replacement)


class _Walk:
    """Goes through a tree with the way that led to each node."""

    def __init__(self, module: str, optional: Mapping[str, frozenset[str]], tree: ast.Module) -> None:
        self.found: list[Mutant] = []
        self._module = module
        self._optional = optional
        self._tree = tree
        self._way: list[ast.AST] = []
        self._numbers = _numbered(tree)

    def visit(self, node: ast.AST) -> None:
        self._way.append(node)
        for replacement in _variants(node, self._way, self._optional):
            self._note(node, replacement)
        for child in _children(node):
            self.visit(child)
        self._way.pop()

    def _note(self, node: ast.AST, replacement: Replacement) -> None:
        statement = next(each for each in reversed(self._way) if isinstance(each, ast.stmt))
        shown = list(reversed(self._way[self._way.index(statement) :]))
        around = next((each for each in shown if not _is_part(each) and len(_text(each)) >= _CLEAR), shown[-1])
        after = (
            replacement
            if around is node
            else _Replace(_numbered(around)[id(node)], replacement).visit(copy.deepcopy(around))
        )
        names = [
            each.name for each in self._way if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        ]
        is_code = any(isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)) for each in self._way[:-1])
        function = ".".join(names) if is_code and not _is_default(self._way) else "<module>"
        texts = _cut(_text(around), _text(after))
        seen_at = _uses(self._tree, statement) if function == "<module>" else _own_lines(statement)
        place = self._numbers[id(node)]
        self.found.append(Mutant(self._module, function, *texts, statement.lineno, seen_at, place, replacement))


def _children(node: ast.AST) -> Iterator[ast.AST]:
    skipped = {"annotation", "returns", "decorator_list", "type_params"}
    if isinstance(node, (ast.Import, ast.ImportFrom, ast.JoinedStr)) and not _is_sql(node):
        return
    if isinstance(node, ast.AnnAssign) and "TypeAlias" in ast.unparse(node.annotation):
        return
    if _is_logging(node):
        return
    for name, value in ast.iter_fields(node):
        if name in skipped:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_docstring(child):
                yield child


def _variants(node: ast.AST, way: list[ast.AST], optional: Mapping[str, frozenset[str]]) -> Iterator[Replacement]:
    match node:
        case ast.Compare():
            yield from _comparisons(node)
        case ast.BoolOp(op=op, values=values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
            for number in range(len(values)):
                rest = values[:number] + values[number + 1 :]
                yield rest[0] if len(rest) == 1 else ast.BoolOp(op, rest)
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield operand
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC and not _joins_texts(node):
            yield ast.BinOp(left, _ARITHMETIC[type(op)](), right)
        case ast.AugAssign(target=target, op=op, value=value):
            if type(op) in _ARITHMETIC and not _joins_texts(node):
                yield ast.AugAssign(target, _ARITHMETIC[type(op)](), value)
            yield [ast.Pass()]
        case ast.Constant(value=value):
            yield from _constants(value, way[-2])
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords) if name in _OPPOSITES:
            yield ast.Call(ast.Name(_OPPOSITES[name], ast.Load()), args, keywords)
        case ast.Call():
            yield from _shorter_calls(node, optional)
        case ast.Return(value=value) if value is not None and not _is_falsy(value):
            yield ast.Return(ast.Constant(None))
        case ast.Return() | ast.Continue() | ast.Break() | ast.Delete() | ast.Nonlocal():
            if not isinstance(node, ast.Nonlocal):
                yield [ast.Pass()]
        case ast.Raise(exc=error):
            yield [ast.Pass()]
            if error is not None:
                yield ast.Raise(ast.Call(ast.Name("RuntimeError", ast.Load()), [ast.Constant("mutated")], []))
        case ast.Expr(value=value) if isinstance(value, (ast.Call, ast.Await)) and not _is_logging(value):
            yield [ast.Pass()]
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield [ast.Pass()]
        case ast.ExceptHandler(type=kinds) if kinds is not None:
            yield from _narrower(node)
        case ast.With(items=items, body=body) | ast.AsyncWith(items=items, body=body):
            if all(item.optional_vars is None for item in items):
                yield body
        case _:
            pass
    if _is_condition(node, way) and not isinstance(node, (ast.Compare, ast.UnaryOp, ast.BoolOp, ast.Constant)):
        yield ast.UnaryOp(ast.Not(), node)


def _comparisons(node: ast.Compare) -> Iterator[ast.AST]:
    for number, op in enumerate(node.ops):
        for table in (_BOUNDARY, _NEGATED):
            if type(op) in table:
                ops = [*node.ops[:number], table[type(op)](), *node.ops[number + 1 :]]
                yield ast.Compare(node.left, ops, node.comparators)


def _constants(value: object, around: ast.AST) -> Iterator[ast.AST]:
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, (int, float)):
        yield ast.Constant(value + 1)
        if value == 1:
            yield ast.Constant(0)
    elif isinstance(value, str):
        if sql.is_sql(value):
            yield from map(ast.Constant, sql.variants(value))
        elif " " not in value and not isinstance(around, ast.Subscript) and not _is_number(value):
            yield ast.Constant(value + "?")


def _shorter_calls(node: ast.Call, optional: Mapping[str, frozenset[str]]) -> Iterator[ast.AST]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    for number, keyword in enumerate(node.keywords):
        is_default = keyword.arg in optional.get(name, ()) and not _is_empty(keyword.value)
        if keyword.arg is not None and (name == "replace" or is_default):
            yield ast.Call(node.func, node.args, node.keywords[:number] + node.keywords[number + 1 :])


def _narrower(node: ast.ExceptHandler) -> Iterator[ast.AST]:
    kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
    for number in range(len(kinds)):
        rest = [each for each in kinds[:number] + kinds[number + 1 :] if each is not None]
        yield ast.ExceptHandler(ast.Tuple(rest, ast.Load()), node.name, node.body)


def _is_condition(node: ast.AST, way: list[ast.AST]) -> bool:
    around = way[-2] if len(way) > 1 else None
    if isinstance(around, (ast.If, ast.While, ast.IfExp)):
        return around.test is node
    return isinstance(around, ast.comprehension) and node in around.ifs


def _is_default(way: list[ast.AST]) -> bool:
    """Say whether a node is part of a parameter's default, which is made when the module is imported."""
    functions = [each for each in way if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef))]
    return len(functions) == 1 and any(isinstance(each, ast.arguments) for each in way)


def _is_part(node: ast.AST) -> bool:
    return isinstance(node, (ast.arguments, ast.comprehension, ast.keyword, ast.withitem, ast.FormattedValue))


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_logging(node: ast.AST) -> bool:
    if isinstance(node, ast.FunctionDef):
        return node.name in _LOGS
    function = node.func if isinstance(node, ast.Call) else None
    if not isinstance(function, ast.Attribute):
        return False
    return function.attr in _LOGS or (isinstance(function.value, ast.Name) and function.value.id in _LOGS)


def _is_falsy(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and not node.value


def _is_number(text: str) -> bool:
    return text[:1].isdigit()


def _is_empty(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value in (None, "", 0, False)


def _is_sql(node: ast.AST) -> bool:
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return any(isinstance(each, ast.Constant) and sql.is_sql(str(each.value)) for each in parts)


def _joins_texts(node: ast.BinOp | ast.AugAssign) -> bool:
    sides = [node.left, node.right] if isinstance(node, ast.BinOp) else [node.value]
    return any(
        isinstance(s, ast.JoinedStr) or (isinstance(s, ast.Constant) and isinstance(s.value, str)) for s in sides
    )


def _own_lines(node: ast.stmt) -> frozenset[int]:
    body = getattr(node, "body", None)
    last = max(node.lineno, body[0].lineno - 1) if isinstance(body, list) and body else node.end_lineno or node.lineno
    return frozenset(range(node.lineno, last + 1))


def _uses(tree: ast.Module, node: ast.stmt) -> frozenset[int]:
    """Return the lines of functions that use a constant."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    names = {each.id for each in targets if isinstance(each, ast.Name)}
    functions = [each for each in ast.walk(tree) if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef))]
    inside = [each for function in functions for each in ast.walk(function)]
    return frozenset(each.lineno for each in inside if isinstance(each, ast.Name) and each.id in names)


def _text(code: Replacement) -> str:
    nodes = code if isinstance(code, list) else [code]
    return "; ".join(" ".join(ast.unparse(ast.fix_missing_locations(copy.deepcopy(each))).split()) for each in nodes)


def _cut(before: str, after: str) -> tuple[str, str]:
    """Return two long texts as far as they differ, with some of what is around."""
    if max(len(before), len(after)) <= _LONGEST:
        return before, after
    if after == "pass":
        return before[:_LONGEST] + "...", after
    start = _shared(before, after)
    end = _shared(before[start:][::-1], after[start:][::-1])
    first = max(0, start - _AROUND)
    texts = (text[first : len(text) - max(0, end - _AROUND)] for text in (before, after))
    one, other = ("..." * bool(first) + text[: 2 * _LONGEST] + "..." * (end > _AROUND) for text in texts)
    return one, other


def _shared(one: str, other: str) -> int:
    """Return how many characters two texts have in common at their beginning."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))

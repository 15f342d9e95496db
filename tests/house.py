"""The rules of the house: which room imports which, how large modules and rooms are."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

# A room imports itself and these, whatever stands above it does not.
BELOW = {
    "common": set(),
    "models": set(),
    "data": {"common"},
    "deca": {"common", "data"},
    "synthetic": {"common", "data", "deca"},
    "loso": {"common", "data", "models"},
    "report": {"common", "data", "deca", "models", "loso", "synthetic"},
}
ROOMS = set(BELOW)
ENTRIES = {"tools", "benchmarks"}  # started by people, as the scripts are: nothing imports them
LONGEST = 300  # lines of a module; more with a reason at its head
REASON = "Long because"


def modules(root: Path) -> dict[str, Path]:
    """Every module of the product by its dotted name: rooms, tools, benchmarks, scripts."""
    folders = sorted(ROOMS | ENTRIES)
    paths = [*root.glob("*.py"), *(p for folder in folders for p in root.glob(f"{folder}/**/*.py"))]
    return {_name(path.relative_to(root)): path for path in paths}


def _name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def imports(name: str, path: Path, known: dict[str, Path], types: bool = True) -> set[str]:
    """The product's modules that one imports, at its head or inside of functions.

    types: those too that it imports for type checkers alone.
    """
    found = set()
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    tree = ast.parse(path.read_text())
    for_types = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if not types and id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                base = ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [base])])
            # from package import module, or from module import name
            found |= {
                both if (both := f"{base}.{alias.name}") in known else base for alias in node.names
            }
    return {module for module in found if module in known}


def room(name: str) -> str:
    """The room or entry that a module belongs to; a script is its own."""
    return name.partition(".")[0]


def upward(root: Path) -> list[str]:
    """A line for each import that the house does not have."""
    known = modules(root)
    wrong = []
    for name, path in known.items():
        here = room(name)
        allowed = BELOW.get(here, ROOMS) | ({here} if here in ROOMS | ENTRIES else set())
        wrong += [
            f"{name} imports {other}"
            for other in sorted(imports(name, path, known))
            if room(other) not in allowed
        ]
    return wrong


def circle(root: Path) -> list[str]:
    """Modules that import each other in a circle when they run, in its order; empty for none."""
    known = modules(root)
    graph = {name: imports(name, path, known, types=False) - {name} for name, path in known.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def too_long(root: Path) -> list[str]:
    """Modules of more than LONGEST lines whose docstring does not say why."""
    wrong = []
    for name, path in modules(root).items():
        text = path.read_text()
        lines = len(text.splitlines())
        head = ast.get_docstring(ast.parse(text)) or ""
        if lines > LONGEST and not any(line.startswith(REASON) for line in head.splitlines()):
            wrong.append(f"{name}: {lines} lines")
    return wrong


def shares(root: Path) -> dict[str, float]:
    """Each folder's share of the rooms', scripts' and tools' lines, without the folders in it."""
    lines: dict[str, int] = {}
    for name, path in modules(root).items():
        if room(name) != "benchmarks":
            folder = path.parent.relative_to(root).as_posix()
            lines[folder] = lines.get(folder, 0) + len(path.read_text().splitlines())
    total = sum(lines.values())
    return {folder: count / total for folder, count in lines.items()}

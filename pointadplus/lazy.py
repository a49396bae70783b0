"""Parts of large libraries that are imported only when something of them is asked for.

`import open_clip` brings all models of torchvision and timm and torch's compiler, `import torch_geometric` all its data
sets; scoring needs none of them. What is declared lazy here is found by `import` as ever, but its `__init__` is run
when a name of it is first asked for, or a submodule is imported that was not declared to do without. Nobody is left
with half a library: whoever uses one later, here or elsewhere in the process, gets all of it.

(`importlib.util.LazyLoader` does that for modules; of a package it runs the body as soon as a submodule is imported.)
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from threading import RLock
from types import ModuleType
from typing import Any

_independent: dict[str, tuple[str, ...]] = {}  # of each lazy package: the submodules that do without its body
_lock = RLock()


def import_lazily(packages: Mapping[str, str]) -> None:
    """Declare packages lazy from now on; one that was imported already stays as it is.

    Args:
        packages: for each name, with dots, the submodules that do without the package's own body; spaces between.
    """
    _independent.update({name: tuple(f"{name}.{part}" for part in parts.split()) for name, parts in packages.items()})
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _LazyPackage(ModuleType):
    """A package whose body has not run yet, or runs now; afterwards it is a plain module."""

    def __getattr__(self, name: str) -> Any:
        if f"{self.__name__}.{name}" in _independent[self.__name__]:
            return import_module(f"{self.__name__}.{name}")
        # Whoever looks through all modules, as unittest does for `__warningregistry__`, asks none for what it is for.
        if not (name.startswith("__") and name != "__all__" and name != "__version__"):
            with _lock:  # another thread may run the body: wait for it
                if _run(self) and name in self.__dict__:
                    return self.__dict__[name]
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        _run(self)
        return sorted(self.__dict__)


def _run(package: ModuleType) -> bool:
    """Run a package's body, those of lazy packages around it first; False while it runs, below us on the stack."""
    with _lock:
        if not isinstance(package, _LazyPackage):
            return True
        if package.__dict__.get("__running__"):
            return False
        package.__dict__["__running__"] = True
        try:
            if (outer := sys.modules.get(package.__name__.rpartition(".")[0])) is not None:
                _run(outer)
            assert package.__spec__ is not None and package.__spec__.loader is not None
            package.__spec__.loader.exec_module(package)
            package.__class__ = ModuleType  # type: ignore[assignment] - a plain module from now on
        finally:
            package.__dict__.pop("__running__", None)
        return True


class _Finder(MetaPathFinder):
    """Finds lazy packages, and sees to it that other submodules of theirs find the body run."""

    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        outer = sys.modules.get(name.rpartition(".")[0])
        if isinstance(outer, _LazyPackage) and name not in _independent[outer.__name__]:
            # Without waiting: who runs the body in another thread may need the lock of the import that we are in.
            if _lock.acquire(blocking=False):
                try:
                    _run(outer)
                finally:
                    _lock.release()
            if (found := sys.modules.get(name)) is not None and found.__spec__ is not None:
                # By that body, and not a second time: importlib prefers the spec of a module that came meanwhile.
                found.__dict__["__spec__"] = spec = ModuleSpec(name, _Imported(found, found.__spec__))
                return spec
        spec = PathFinder.find_spec(name, path, target) if name in _independent else None
        if spec is not None and spec.loader is not None:
            spec.loader = _LazyLoader(spec.loader)
        return spec


class _LazyLoader(Loader):
    """Leaves the body for later, and the module with the loader that it would have had."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self.loader
        module.__class__ = _LazyPackage


class _Imported(Loader):
    """Gives a module that is there already, as it was."""

    def __init__(self, module: ModuleType, spec: ModuleSpec) -> None:
        self.module, self.spec = module, spec

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__spec__"] = self.spec  # some modules allow no attribute to be set

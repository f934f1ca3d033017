"""Every public function and method has annotated arguments and an annotated return."""

import importlib
import inspect

import pytest

PUBLIC = ("rladder_keras", "zoo", "zoo.data", "zoo.show", "zoo.weights")
SPECIAL = ("__init__", "__call__", "__getitem__", "__len__", "__iter__")


def functions(module, name):
    """Yield the functions of a public name: the function, or the methods of a class."""
    value = getattr(importlib.import_module(module), name)
    value = getattr(value, "func", value)  # of a `functools.partial`
    if inspect.isfunction(value):
        yield f"{module}.{name}", value
    if inspect.ismodule(value):
        for key, member in vars(value).items():
            if getattr(member, "__module__", None) == value.__name__:
                yield from functions(value.__name__, key)
    if not inspect.isclass(value):
        return
    for base in value.__mro__:
        if base.__module__.split(".")[0] not in ("rladder_keras", "zoo"):
            continue
        for key, method in vars(base).items():
            if key.startswith("_") and key not in SPECIAL:
                continue
            method = getattr(method, "fget", getattr(method, "__func__", method))
            # Methods of a named tuple are generated.
            if inspect.isfunction(method) and method.__module__ == base.__module__:
                yield f"{module}.{name}.{key}", method


NAMES = [
    (module, name)
    for module in PUBLIC
    for name in importlib.import_module(module).__all__
]


def without_annotations(function):
    """Yield the arguments of a function without annotation, and `return`."""
    signature = inspect.signature(function)
    for i, (name, argument) in enumerate(signature.parameters.items()):
        if i == 0 and name in ("self", "cls") or name == "_":
            continue
        if argument.annotation is inspect.Parameter.empty:
            yield name
    if signature.return_annotation is inspect.Signature.empty:
        yield "return"


@pytest.mark.once
@pytest.mark.parametrize(
    "module, name", NAMES, ids=[f"{module}.{name}" for module, name in NAMES]
)
def test_public_signatures_are_annotated(module, name):
    missing = {
        path: lacking
        for path, function in functions(module, name)
        if (lacking := list(without_annotations(function)))
    }
    assert not missing

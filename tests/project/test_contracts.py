"""Every variant fulfils the protocol of its folder, member by member."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import torch

from graftc.compiler.contracts import _former as contracts
from graftc.compiler.diagnostics import Diagnostic

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {
    "compiler/backbones": contracts.Family,
    "compiler/methods": contracts.Method,
}
NAMES = {**vars(contracts), "np": np, "torch": torch, "Diagnostic": Diagnostic}
VARIANTS = [
    (folder, file.stem)
    for folder in FOLDERS
    for file in sorted((ROOT / folder).glob("*.py"))
    if not file.stem.startswith("_")
]


def members(protocol: type) -> dict[str, Any]:
    return get_type_hints(protocol, globalns=NAMES)


def wrong(module: ModuleType, name: str, kind: Any) -> str:
    """What is wrong with a member, empty if nothing."""
    if not hasattr(module, name):
        return "is missing"
    value = getattr(module, name)
    if get_origin(kind) is Callable:
        return _call(value, len(get_args(kind)[0]))
    if get_origin(kind) is type:
        parent = get_args(kind)[0]
        return "" if isinstance(value, type) and (parent is Any or issubclass(value, parent)) else "is not its kind"
    return "" if _is(value, kind) else f"is {value!r}"


def _call(value: Any, arguments: int) -> str:
    if not callable(value):
        return "can't be called"
    try:
        inspect.signature(value).bind(*range(arguments))
    except TypeError as error:
        return f"does not take {arguments} arguments: {error}"
    return ""


def _is(value: Any, kind: Any) -> bool:
    if kind is Any:
        return True
    if isinstance(kind, UnionType):
        return any(_is(value, one) for one in get_args(kind))
    origin, inner = get_origin(kind) or kind, get_args(kind)
    if not isinstance(value, origin):
        return False
    if origin in (tuple, frozenset) and inner:
        kinds = [inner[0]] * len(value) if origin is frozenset or inner[-1] is ... else inner
        return len(kinds) == len(value) and all(map(_is, value, kinds))
    if issubclass(origin, Mapping) and inner:
        return all(_is(key, inner[0]) and _is(item, inner[1]) for key, item in value.items())
    return True


@pytest.mark.parametrize(("folder", "name"), VARIANTS)
def test_a_variant_has_every_member_of_its_protocol(folder: str, name: str) -> None:
    module = import_module(f"graftc.{folder.replace('/', '.')}.{name}")
    found = {member: wrong(module, member, kind) for member, kind in members(FOLDERS[folder]).items()}
    assert {member: mistake for member, mistake in found.items() if mistake} == {}


def test_methods_that_add_tensors_reload_them() -> None:
    methods = [
        import_module(f"graftc.compiler.methods.{name}") for folder, name in VARIANTS if folder.endswith("methods")
    ]
    assert {method.ADDS for method in methods} == {True, False}
    for method in methods:
        assert not method.ADDS or _call(method.reload, 2) == ""


def test_families_that_provide_a_pooled_feature_pool() -> None:
    names = [name for folder, name in VARIANTS if folder.endswith("backbones")]
    families = [import_module(f"graftc.compiler.backbones.{name}") for name in names]
    assert any("pooled" in family.PROVIDES for family in families)
    for family in families:
        assert "pooled" not in family.PROVIDES or _call(family.pooled, 1) == ""


def test_every_protocol_has_a_folder_and_members() -> None:
    assert {protocol.__name__ for protocol in FOLDERS.values()} == set(contracts.__all__)
    assert {folder for folder, _ in VARIANTS} == set(FOLDERS)
    assert all(len(members(protocol)) >= 2 for protocol in FOLDERS.values())


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("ADDS", "yes"),
        ("NEEDS", {"biases"}),
        ("USUAL", (1.0,)),
        ("LEARNING_RATE", None),
        ("plain", lambda: ""),
        ("Options", int),
    ],
)
def test_a_member_of_another_kind_is_seen(member: str, value: Any) -> None:
    """Else the tests above could not fail."""
    module = ModuleType("method")
    vars(module).update(vars(import_module("graftc.compiler.methods.full")))
    kinds = members(contracts.Method)
    assert not any(wrong(module, name, kind) for name, kind in kinds.items())
    setattr(module, member, value)
    assert [name for name, kind in kinds.items() if wrong(module, name, kind)] == [member]
    delattr(module, member)
    assert wrong(module, member, kinds[member]) == "is missing"

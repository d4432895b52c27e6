"""Dataclasses that are made in a tenth of the time.

`dataclasses.dataclass(frozen=True, slots=True)` compiles six methods, a third of a millisecond for one class. A
command loads up to two hundred classes and makes objects of a quarter of them: that was a third of a small command.
Here the one method that has to be compiled, `__init__`, is compiled for the second object; the others are closures.
What the standard library does with dataclasses it does with these: `fields`, `replace`, `asdict`, `match`, pickling.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, FrozenInstanceError
from reprlib import recursive_repr
from types import MemberDescriptorType
from typing import Any, NoReturn, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(field_specifiers=(dataclasses.field,))
def dataclass(*, frozen: bool = False, slots: bool = False, eq: bool = True,
              order: bool = False) -> Callable[[type[T]], type[T]]:
    """What `dataclasses.dataclass` makes of a class, with the same meaning of every argument.

    One that inherits from another dataclass is made by that. Until the second object is made, the signature of a class
    is not known to `inspect`.
    """
    def made(cls: type[T]) -> type[T]:
        if dataclasses.is_dataclass(cls):
            return dataclasses.dataclass(frozen=frozen, slots=slots, eq=eq, order=order)(cls)
        # Where there is no docstring, the standard library writes one out of the signature, which takes longer than
        # all the rest.
        cls.__doc__ = cls.__doc__ or cls.__name__
        dataclasses.dataclass(init=False, repr=False, eq=False)(cls)
        # Whoever inherits from it is held to the same.
        cls.__dataclass_params__.frozen = frozen  # type: ignore[attr-defined]
        owner: list[type[T]] = []
        methods = _methods(cls, owner, frozen=frozen, slots=slots, eq=eq, order=order)
        if slots:
            owner.append(_slotted(cls, methods))
            return owner[0]
        owner.append(cls)
        for name, method in methods.items():
            setattr(cls, name, method)
        return cls
    return made


def _slotted(cls: type[T], methods: Mapping[str, Any]) -> type[T]:
    """The class once more, with a slot for each field: slots can only be said when a class is made."""
    names = tuple(one.name for one in _fields(cls))
    left_out = {*names, "__dict__", "__weakref__"}
    namespace = {name: value for name, value in vars(cls).items() if name not in left_out}
    metaclass: Callable[..., type[T]] = type(cls)
    made = metaclass(cls.__name__, cls.__bases__, {**namespace, **methods, "__slots__": names})
    made.__qualname__ = cls.__qualname__
    return made


def _methods(cls: type, owner: Sequence[type], *, frozen: bool, slots: bool, eq: bool,
             order: bool) -> dict[str, Any]:
    """Every method that the class does not have of itself.

    Args:
        owner: what they belong to, once it is made.
    """
    given = vars(cls)
    compared = _values([one.name for one in _fields(cls) if one.compare])
    found: dict[str, Any] = {"__init__": _starting(owner), "__repr__": _repr}
    if eq:
        found["__eq__"] = _comparison(operator.eq, compared)
        found["__hash__"] = _hash(compared) if frozen else None
    if order:
        found |= {f"__{sign.__name__}__": _comparison(sign, compared)
                  for sign in (operator.lt, operator.le, operator.gt, operator.ge)}
    if frozen:
        found |= {"__setattr__": _refuse_to_set, "__delattr__": _refuse_to_delete}
    if frozen and slots:
        found |= {"__getstate__": _state, "__setstate__": _take_state}
    # Python puts None for the hash into a class that says what equal means; that is not of the class itself.
    return {name: method for name, method in found.items()
            if name not in given or (name == "__hash__" and "__eq__" in given and given[name] is None)}


def _fields(cls: type) -> tuple[Field[Any], ...]:
    found: tuple[Field[Any], ...] = dataclasses.fields(cls)
    for one in found:
        assert one.init, "every field is a parameter"
        assert not one.kw_only, "every parameter can be given by its place"
        assert one.hash is None, "what is compared is hashed"
    return found


# -- the methods --------------------------------------------------------------------------------------------------


def _starting(owner: Sequence[type]) -> Callable[..., None]:
    """In the place of `__init__` for the first object: many classes make one, and a loop is sooner done than compiled.

    Of several threads that make the first and the second at once, each does the same.
    """
    begun = False

    def init(self: Any, *args: Any, **named: Any) -> None:
        nonlocal begun
        cls, = owner
        # Of a wrong call Python says best what is wrong.
        values = None if begun else _bound(_fields(cls), args, named)
        begun = True
        if values is None:
            cls.__init__ = written = _written(cls)  # type: ignore[misc]
            written(self, *args, **named)
            return
        for name, value in values.items():
            object.__setattr__(self, name, value)
        if hasattr(cls, "__post_init__"):
            self.__post_init__()
    return init


def _bound(fields: Sequence[Field[Any]], args: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any] | None:
    """The value of every field, None where the call is wrong."""
    values = {**named, **{one.name: value for one, value in zip(fields, args, strict=False)}}
    if len(values) < len(args) + len(named):
        return None
    for one in fields:
        if one.name not in values:
            if one.default is not MISSING:
                values[one.name] = one.default
            elif one.default_factory is not MISSING:
                values[one.name] = one.default_factory()
            else:
                return None
    return values if len(values) == len(fields) else None


def _written(cls: type) -> Callable[..., None]:
    known: dict[str, Any] = {"_set": object.__setattr__, "_left_out": MISSING}
    parameters, lines = ["self"], []
    fields = _fields(cls)
    for one in fields:
        name = value = one.name
        if one.default_factory is not MISSING:
            known[f"_make_{name}"] = one.default_factory
            value = f"_make_{name}() if {name} is _left_out else {name}"
            parameters.append(f"{name}=_left_out")
        elif one.default is not MISSING:
            known[f"_default_{name}"] = one.default
            parameters.append(f"{name}=_default_{name}")
        else:
            parameters.append(name)
        slot = vars(cls).get(name)
        if isinstance(slot, MemberDescriptorType):
            # What a slot sets itself need not be looked for by its name: a third of what making an object takes.
            known[f"_set_{name}"] = slot.__set__
            lines.append(f"_set_{name}(self, {value})")
        else:
            lines.append(f"_set(self, {name!r}, {value})")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    exec(f"def __init__({', '.join(parameters)}):\n " + "\n ".join(lines or ["pass"]), known)  # noqa: S102  (as there)
    init: Callable[..., None] = known["__init__"]
    init.__qualname__, init.__module__ = f"{cls.__qualname__}.__init__", cls.__module__
    init.__annotations__ = {**{one.name: one.type for one in fields}, "return": None}
    return init


@recursive_repr()
def _repr(self: Any) -> str:
    said = ", ".join(f"{one.name}={getattr(self, one.name)!r}" for one in dataclasses.fields(self) if one.repr)
    return f"{type(self).__qualname__}({said})"


def _values(names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    if len(names) > 1:
        return operator.attrgetter(*names)
    return lambda one: tuple(getattr(one, name) for name in names)


def _comparison(sign: Callable[[Any, Any], bool], compared: Callable[[Any], tuple[Any, ...]]) -> Callable[..., bool]:
    def comparison(self: Any, other: object) -> bool:
        return sign(compared(self), compared(other)) if other.__class__ is self.__class__ else NotImplemented
    return comparison


def _hash(hashed: Callable[[Any], tuple[Any, ...]]) -> Callable[[Any], int]:
    return lambda self: hash(hashed(self))


def _refuse_to_set(_self: object, name: str, _value: object) -> NoReturn:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(_self: object, name: str) -> NoReturn:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[Any]:
    return [getattr(self, one.name) for one in dataclasses.fields(self)]


def _take_state(self: Any, state: Sequence[Any]) -> None:
    for one, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, one.name, value)

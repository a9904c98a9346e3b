"""Whether a value has an Avro type, for stores that do not check it themselves."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from schemas.avro.schema import Array, Enum, Primitive, Record, Type, Union

_TYPES: Final[Mapping[str, tuple[type, ...]]] = MappingProxyType(
    {
        "boolean": (bool,),
        "int": (int,),
        "long": (int,),
        "float": (int, float),
        "double": (int, float),
        "bytes": (bytes,),
        "string": (str,),
    }
)


def fits(kind: Type, value: object) -> bool:
    """Whether a value is of this type. A field of a record may always be None.

    >>> fits(Primitive("long"), 1), fits(Primitive("long"), "1"), fits(Enum("E", ("a",)), "b")
    (True, False, False)
    """
    match kind:
        case Primitive(name):
            return isinstance(value, _TYPES.get(name, ()))
        case Enum(_, symbols):
            return value in symbols
        case Array(items):
            return isinstance(value, list) and all(fits(items, item) for item in value)
        case Record(_, fields):
            types = {field.name: field.type for field in fields}
            return isinstance(value, Mapping) and all(
                name in types and (part is None or fits(types[name], part))
                for name, part in value.items()
            )
        case Union(branches):
            return any(fits(branch, value) for branch in branches)
    return False

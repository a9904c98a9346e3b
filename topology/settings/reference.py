"""Generates `docs/settings.md` from the settings types and the text under each of their fields.

python -m topology.settings.reference > docs/settings.md
"""

import ast
import dataclasses
import inspect
import itertools
import sys
import textwrap
import typing
from collections.abc import Collection, Iterator
from enum import StrEnum
from typing import Final

from schemas.secrets import Secret
from topology.settings.installation import Settings
from topology.settings.sources import group_of, variants_of

HEAD: Final = """# Settings

Generated from the source by `python -m topology.settings.reference`; do not edit.

One YAML file, given by `--config FILE` or `SENTINEL_CONFIG`, holds sections with keys:

```yaml
broker:
  bootstrap_servers: kafka-1:9093,kafka-2:9093
  tls: true
  username: sentinel
  password_file: /run/secrets/kafka    # every secret may come from a file: its key with _file
alerting:
  receivers:
    - name: on-call
      kind: webhook
      url: https://example.org/hook
      secret_file: /run/secrets/hook
```

Environment variables override the file: `SENTINEL_<SECTION>__<KEY>`, such as
`SENTINEL_BROKER__TLS=true`; lists are given as JSON, and `null` means none. An unknown key is an
error, and so is a number that is not finite (`.nan`, `.inf`); `null` stands for an endless span
where one is allowed. `sentinel settings show` prints every value with its origin;
`sentinel settings validate FILE` checks a file.
"""


class Undocumented(LookupError):
    """Raised for a settings field without a text."""


def reference() -> str:
    """The whole page. Raises Undocumented for a field that has no text under it."""
    parts = [HEAD]
    for section in dataclasses.fields(Settings):
        kind = typing.get_type_hints(Settings)[section.name]
        parts += _section(section.name, kind, level=2)
    return "\n".join(parts)


def _variants(path: str, variants: dict[str, type], level: int) -> Iterator[str]:
    """The keys that all kinds have, which are those of their common base, then each kind's own."""
    kinds = list(variants.values())
    shared = next(
        above
        for above in reversed(kinds[0].__mro__)
        if dataclasses.is_dataclass(above) and all(issubclass(kind, above) for kind in kinds)
    )
    yield from _section(path, shared, level)
    names = {item.name for item in dataclasses.fields(shared)}
    for name, kind in variants.items():
        yield from _section(f"{path}, kind: {name}", kind, level + 1, without=names)


def _section(path: str, kind: type, level: int, without: Collection[str] = ()) -> Iterator[str]:
    yield f"{'#' * level} {path}\n"
    # Not at hyphens: a name in backticks must stay whole.
    yield textwrap.fill(_paragraph(inspect.getdoc(kind) or ""), 100, break_on_hyphens=False) + "\n"
    yield "| key | type | default | meaning |\n|---|---|---|---|"
    texts, hints = field_texts(kind), typing.get_type_hints(kind)
    for item in dataclasses.fields(kind):
        if item.name in without:
            continue
        cells = (f"`{item.name}`", _type(hints[item.name]), _default(item), texts[item.name])
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    yield ""
    for item in dataclasses.fields(kind):
        if (group := group_of(hints[item.name])) is not None:
            many = typing.get_origin(hints[item.name]) in (tuple, list)
            below = f"{path}.{item.name}{'[]' if many else ''}"
            if variants := variants_of(hints[item.name]):
                yield from _variants(below, variants, level + 1)
            else:
                yield from _section(below, group, level + 1)


def field_texts(kind: type) -> dict[str, str]:
    """The text under each field of a settings type or of its bases, as one paragraph. Raises
    Undocumented.
    """
    texts = {}
    # A type's own texts replace those of its bases.
    for owner in reversed([above for above in kind.__mro__ if dataclasses.is_dataclass(above)]):
        tree = ast.parse(textwrap.dedent(inspect.getsource(owner)))
        body = typing.cast("ast.ClassDef", tree.body[0]).body
        # Python keeps no docstring of a field: it is read from the source.
        for line, below in itertools.pairwise(body):
            match line, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(
                    value=ast.Constant(value=str(text))
                ):
                    texts[name] = _paragraph(text)
    if bare := [item.name for item in dataclasses.fields(kind) if item.name not in texts]:
        raise Undocumented(f"{kind.__name__}: no text under {', '.join(bare)}")
    return texts


def _paragraph(text: str) -> str:
    # A table cell is one line.
    return " ".join(text.split())


def _type(kind: object) -> str:
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return ", ".join(f"`{member.value}`" for member in kind)
    if kind is Secret:
        return "secret"
    if group_of(kind) is not None:
        return "list" if typing.get_origin(kind) in (tuple, list) else "section"
    if typing.get_origin(kind) in (tuple, list):
        return "list"
    names = [getattr(part, "__name__", str(part)) for part in typing.get_args(kind)] or [
        getattr(kind, "__name__", str(kind))
    ]
    words = {
        "str": "text",
        "int": "integer",
        "float": "number",
        "bool": "true, false",
        "NoneType": "none",
    }
    return " or ".join(words.get(name, name) for name in names)


def _default(item: "dataclasses.Field[object]") -> str:
    if item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
        return "required"
    value = item.default if item.default_factory is dataclasses.MISSING else item.default_factory()
    match value:
        case None:
            return "none"
        case bool():
            return f"`{str(value).lower()}`"
        case Secret() | "" | ():
            return "(empty)"
        case str() | int() | float():
            return f"`{value}`"
        case _:
            return "see meaning" if isinstance(value, tuple | list) else "below"


def main() -> None:
    """Print the page."""
    sys.stdout.write(reference())


if __name__ == "__main__":
    main()

"""Loads settings from one YAML file and the environment, checks them, and keeps their origins.

The environment overrides the file, and is read once, by `load`.
"""

import dataclasses
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from agents.correlation.settings import CorrelationSettings
from agents.detectors.settings import DetectionSettings
from agents.sinking.settings import SinkSettings
from connectors.store.settings import StoreSettings
from schemas.errors import UserError
from schemas.redacting import redacted_address
from schemas.secrets import Secret
from streams.settings import Broker, Lanes
from topology.api.settings import ApiSettings
from topology.settings.installation import Settings, WorkerSettings
from topology.settings.limits import beyond_limits, leaves
from topology.settings.receivers import AlertingSettings
from topology.settings.rules import contradictions, hints
from topology.settings.sources import (
    Fault,
    Source,
    Tree,
    dotted,
    from_environment,
    from_yaml,
    merged,
    nearest,
    nearest_origin,
    variants_of,
)

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_RECEIVER_KINDS: Final = variants_of(typing.get_type_hints(AlertingSettings)["receivers"])


class SettingsRefused(UserError, ValueError):
    """Raised for settings that cannot be used; `faults` has one line for each thing to change."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Row:
    """A value as `sentinel settings show` prints it."""

    path: str
    value: str
    unit: str
    origin: str
    """`default`, `FILE:LINE`, or `env NAME`."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and the origin of every given path, such as `alerting.receivers[0].url`."""

    settings: Settings
    origins: Mapping[str, str]

    def rows(self) -> Iterator[Row]:
        """Every value with its unit and origin, in the order of the sections."""
        for leaf in leaves(self.settings):
            yield Row(leaf.path, _shown(leaf.value), unit(leaf.path), self._origin(leaf.path))

    def hints(self) -> list[Fault]:
        """Warnings: settings that work and are probably not intended."""
        return list(hints(self.settings, self.origins))

    def origin(self, path: str) -> str:
        """Origin of this path, or of the list or section around it; `settings` for a default."""
        while path:
            if path in self.origins:
                return self.origins[path]
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return "settings"

    def _origin(self, path: str) -> str:
        if path in self.origins:
            return self.origins[path]
        # One variable may give a whole list or section. In the file each key has a line of its own,
        # so a section that is there says nothing of keys that are not.
        while path := path[: max(path.rfind("."), path.rfind("["), 0)]:
            if self.origins.get(path, "").startswith("env "):
                return self.origins[path]
        return "default"


_UNITS: Final = {
    "_s": "s",
    "_ms": "ms",
    "_us": "µs",
    "_bytes": "bytes",
    "_share": "of one CPU",
    "_mb": "MB",
    "_days": "days",
}


def unit(path: str) -> str:
    """Unit of a setting, from the end of its name; empty for counts, names and switches.

    >>> unit("lanes.lateness_s"), unit("lanes.partitions")
    ('s', '')
    """
    return next((unit for ending, unit in _UNITS.items() if path.endswith(ending)), "")


def load(path: Path | None = None) -> Loaded:
    """Read the file (None: only the environment), then the overrides of the environment,
    `SENTINEL_<SECTION>__<KEY>`.

    Raises SettingsRefused with one line for each unknown key, wrong value, unreadable secret file,
    or contradiction.
    """
    environment = from_environment(Settings)
    file = from_yaml(path, Settings) if path is not None else Source()
    origins = {**file.origins, **environment.origins}
    if faults := [*environment.faults, *file.faults]:
        raise SettingsRefused(faults)
    model = _validated(merged(file.tree, environment.tree), origins)
    settings = Settings(
        **{section.name: getattr(model, section.name) for section in dataclasses.fields(Settings)}
    )
    # Limits come first: NaN compares with nothing, so the rules would report nonsense.
    if wrong := list(beyond_limits(settings, origins)) or list(contradictions(settings, origins)):
        raise SettingsRefused(wrong)
    return Loaded(settings, origins)


class _Model(BaseModel):
    """The sections of `Settings`, as pydantic validates them."""

    model_config = ConfigDict(
        extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True
    )

    broker: Broker = Broker()
    lanes: Lanes = Lanes()
    detection: DetectionSettings = DetectionSettings()
    correlation: CorrelationSettings = CorrelationSettings()
    alerting: AlertingSettings = AlertingSettings()
    sink: SinkSettings = SinkSettings()
    store: StoreSettings = StoreSettings()
    api: ApiSettings = ApiSettings()
    worker: WorkerSettings = WorkerSettings()


def _validated(tree: Tree, origins: Mapping[str, str]) -> _Model:
    # Pydantic's own message would print the input, which may hold a secret.
    try:
        return _Model.model_validate(tree)
    except ValidationError as refused:
        raise SettingsRefused(
            [
                _fault(error, origins)
                for error in refused.errors(include_url=False, include_input=False)
            ]
        ) from None


def _fault(error: "ErrorDetails", origins: Mapping[str, str]) -> Fault:
    loc, message = error["loc"], error["msg"].removeprefix("Value error, ")
    if error["type"] == "union_tag_invalid":
        kind = error["ctx"]["tag"]
        loc, message = (*loc, "kind"), f"unknown kind {kind!r}{nearest(kind, _RECEIVER_KINDS)}"
    elif len(loc) > 3 and loc[3] in _RECEIVER_KINDS:
        # Pydantic adds the kind after a receiver's index; the path that people write has none.
        loc = (*loc[:3], *loc[4:])
    return Fault(nearest_origin(origins, loc), dotted(loc), redacted_address(message))


def _shown(value: object) -> str:
    match value:
        case None:
            return "none"
        case Secret():
            return "***" if value else "(empty)"
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:g}"
        case tuple() | list():
            return ", ".join(_shown(item) for item in value) or "(none)"
        case str():
            return redacted_address(value)
        case _:
            return str(value)

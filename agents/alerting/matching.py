"""Conditions on an incident, as people write them: `application=checkout`, `model!=gpt-4o`,
`severity<=medium`.
"""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

from schemas.records.anomalies import Severity
from schemas.records.incidents import Incident

_FORM: Final = re.compile(r"([a-z]+)(!=|<=|>=|=|<|>)(.*)", re.DOTALL)
_MAX_CHARS: Final = 500
_RANK: Final = {severity: rank for rank, severity in enumerate(Severity)}
_COMPARED: Final[dict[str, Callable[[int, int], bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_TENANT: Final = "tenant"
_LISTED: Final[dict[str, Callable[[Incident], tuple[str, ...]]]] = {
    _TENANT: lambda incident: (incident.tenant,),
    "application": lambda incident: (incident.application,),
    "incident": lambda incident: (incident.id,),
    "model": lambda incident: incident.models,
    "user": lambda incident: incident.users,
    "metric": lambda incident: incident.metrics,
    "detector": lambda incident: incident.detectors,
}


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition. Fields are application, incident, model, user, metric, detector and severity;
    for receivers also tenant, which a silence has anyway. A severity can be compared.

    For an incident that names several values of a field, silences and receivers read a condition
    differently, so that in doubt a message is sent: see `matches` and `concerns`.
    """

    field: str
    operator: str
    value: str

    @classmethod
    def parse(cls, text: str, *, knows_tenant: bool = False) -> Self:
        """Raises ValueError, whose text says what to write.

        >>> str(Matcher.parse("severity<=medium"))
        'severity<=medium'
        """
        form = _FORM.fullmatch(text) if len(text) <= _MAX_CHARS else None
        if form is None:
            raise ValueError(
                f"{text[:80]!r} is not a condition; write FIELD=VALUE or FIELD!=VALUE, for"
                " severity also <= and >="
            )
        field, sign, value = form.groups()
        if field == "severity":
            if value not in list(Severity):
                raise ValueError(f"{text!r}: a severity is one of {', '.join(Severity)}")
        elif field not in _LISTED or (field == _TENANT and not knows_tenant):
            known = [name for name in (*_LISTED, "severity") if knows_tenant or name != _TENANT]
            raise ValueError(f"{text!r}: unknown field {field!r}; use one of {', '.join(known)}")
        elif sign not in ("=", "!="):
            # Names have no order.
            raise ValueError(f"{text!r}: only severity can be compared with {sign}")
        elif not value:
            raise ValueError(f"{text!r} has no value")
        return cls(field, sign, value)

    def matches(self, incident: Incident) -> bool:
        """Whether a silence with it hides the incident as it is now.

        `=` holds where the incident names this value and no other: a silence for one model hides no
        trouble of a second one. `!=` holds where it does not name the value at all.
        """
        if self.field == "severity":
            return self._compares(incident)
        named = _LISTED[self.field](incident)
        return set(named) == {self.value} if self.operator == "=" else self.value not in named

    def concerns(self, incident: Incident) -> bool:
        """Whether a receiver with it gets the incident as it is now.

        `=` holds where the incident names this value, among others or not; `!=` where it names
        another one, or none.
        """
        if self.field == "severity":
            return self._compares(incident)
        named = _LISTED[self.field](incident)
        return self.value in named if self.operator == "=" else set(named) != {self.value}

    def _compares(self, incident: Incident) -> bool:
        return _COMPARED[self.operator](_RANK[incident.severity], _RANK[Severity(self.value)])

    def __str__(self) -> str:
        return f"{self.field}{self.operator}{self.value}"

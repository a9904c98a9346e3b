"""Silences and acknowledgements through the API: signed commands on the topic, of whom may
say so.
"""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import Producer

from agents.alerting.auditing import Asked, audit
from connectors.store.sqlite.store import EmbeddedStore
from schemas.documents import Kind
from schemas.records.control import AuditOutcome, CommandKind
from schemas.records.incidents import IncidentState
from schemas.secrets import Secret
from streams.client.brokers import producer_config
from streams.control.command_log import arrived, lane_command
from streams.settings import Broker
from streams.topic_names import TopicNames
from tests.api.conftest import KEY
from tests.harness.store_documents import incident, of
from topology.api import commands as api_commands
from topology.api.settings import TenantToken
from topology.control import commanding
from topology.control.reading import whole

OPERATOR, ACME = "o" * 32, "a" * 32
AS_OPERATOR = {"Authorization": f"Bearer {OPERATOR}"}
AS_ACME = {"Authorization": f"Bearer {ACME}"}
TOKENS = {"token": Secret(OPERATOR), "tenant_tokens": (TenantToken("acme", Secret(ACME)),)}
INCIDENT = f"{1:032x}"
SILENCE = {
    "tenant": "acme",
    "matchers": ["application=shop", "severity<=medium"],
    "for_s": 60,
    "author": "ann",
}


def commands(broker: Broker) -> list[Any]:
    """What stands on the topic, as `alert` takes it: unsigned ones are none."""
    topic = TopicNames(broker.topic_prefix).commands
    return [arrived(topic, KEY, one.partition, one).command for one in whole(broker, [topic])]


async def test_a_silence_is_made_listed_and_ended(served: Any, broker: Broker) -> None:
    """Each by a signed command with its author."""
    ask = await served(**TOKENS)
    status, made = await ask(
        "/api/v1/silences?times=us", "POST", {**SILENCE, "comment": "deploying"}, **AS_OPERATOR
    )
    assert (status, made["matchers"], made["author"]) == (
        201,
        ["application=shop", "severity<=medium"],
        "ann (api:operator)",
    )
    assert made["ends_at"] - made["starts_at"] == 60_000_000
    (command,) = commands(broker)
    assert (command.id, command.tenant, command.comment) == (made["id"], "acme", "deploying")
    assert (await ask("/api/v1/silences?times=us", **AS_ACME))[1]["items"] == [made]
    assert (await ask("/api/v1/silences?tenant=other", **AS_OPERATOR))[1]["items"] == []
    ending = f"/api/v1/silences/{made['id']}"
    assert (await ask(f"{ending}?tenant=other", "DELETE", {}, **AS_OPERATOR))[0] == 404
    assert (await ask(ending, "DELETE", {"author": "bob"}, **AS_ACME))[0] == 202
    assert [
        one["expired_by"] for one in (await ask("/api/v1/silences", **AS_ACME))[1]["items"]
    ] == ["bob (api:acme)"]
    assert (await ask(ending, "DELETE", {}, **AS_ACME))[0] == 404


async def test_an_incident_is_acknowledged_as_long_as_it_is_open(
    served: Any, broker: Broker, store: EmbeddedStore
) -> None:
    """In the name of the token, unless another name is given."""
    ask = await served(**TOKENS)
    path = f"/api/v1/incidents/{INCIDENT}/acknowledge"
    status, accepted = await ask(f"{path}?times=us", "POST", {"comment": "looking"}, **AS_ACME)
    (command,) = commands(broker)
    assert (status, accepted) == (202, {"command_id": command.id, "asked_at": command.at})
    assert (command.kind, command.target, command.author) == (
        CommandKind.ACKNOWLEDGE,
        INCIDENT,
        "api:acme",
    )
    _, told = await ask("/api/v1/acknowledgements?times=us", **AS_ACME)
    own = {
        "tenant": "acme",
        "incident_id": INCIDENT,
        "author": "api:acme",
        "comment": "looking",
        "at": command.at,
    }
    assert told["items"] == [own]
    assert (await ask("/api/v1/acknowledgements?tenant=other", **AS_OPERATOR))[1]["items"] == []
    assert (await ask("/api/v1/incidents/none/acknowledge", "POST", {}, **AS_ACME))[0] == 404
    await store.write([of(Kind.INCIDENT, incident(1, 2, state=IncidentState.RESOLVED))])
    assert (await ask(path, "POST", {}, **AS_ACME))[0] == 409
    assert len(commands(broker)) == 1


async def test_an_incident_is_closed_by_a_signed_record_in_its_lane(
    served: Any, broker: Broker, store: EmbeddedStore
) -> None:
    """Not on `commands`: correlate obeys at its place among the lane's records."""
    ask = await served(**TOKENS)
    path = f"/api/v1/incidents/{INCIDENT}/close"
    status, accepted = await ask(f"{path}?times=us", "POST", {"comment": "retired"}, **AS_ACME)
    assert commands(broker) == []
    topic = TopicNames(broker.topic_prefix).anomalies
    found = [lane_command(topic, KEY, record) for record in whole(broker, [topic])]
    (command,) = [one for one in found if one is not None]
    assert (command.kind, command.target, command.author) == (
        CommandKind.CLOSE,
        INCIDENT,
        "api:acme",
    )
    assert (status, accepted) == (202, {"command_id": command.id, "asked_at": command.at})
    await store.write([of(Kind.INCIDENT, incident(1, 2, state=IncidentState.RESOLVED))])
    assert (await ask(path, "POST", {}, **AS_ACME))[0] == 409


async def test_what_came_of_a_command_is_told_to_who_may_see_it(
    served: Any, broker: Broker
) -> None:
    """By the ids that its answer has; the newest first, of one incident or of all, and of the own
    tenant.
    """
    ask = await served(**TOKENS)
    path = f"/api/v1/incidents/{INCIDENT}/close"
    _, accepted = await ask(path, "POST", {"comment": "retired"}, **AS_ACME)
    assert (await ask(f"/api/v1/audit?target={INCIDENT}", **AS_ACME))[1] == {
        "items": [],
        "next": None,
    }
    topic = TopicNames(broker.topic_prefix).anomalies
    (closing,) = [
        one
        for one in (lane_command(topic, KEY, record) for record in whole(broker, [topic]))
        if one
    ]
    producer = Producer(producer_config(broker))
    for number, (tenant, outcome) in enumerate(
        (("acme", AuditOutcome.REFUSED), ("other", AuditOutcome.APPLIED))
    ):
        asked = Asked(replace(closing, tenant=tenant), 0, number, is_answered_here=True)
        record = audit(asked, outcome, f"because {number}", closing.at + number)
        producer.produce(TopicNames(broker.topic_prefix).audit, record.to_bytes(), tenant.encode())
    assert producer.flush(120) == 0
    await asyncio.sleep(api_commands.KEPT_S)
    (own,) = (await ask(f"/api/v1/audit?target={INCIDENT}", **AS_ACME))[1]["items"]
    assert accepted == {"command_id": own["command_id"], "asked_at": own["asked_at"]}
    assert (own["outcome"], own["detail"], own["action"]) == ("refused", "because 0", "close")
    both = (await ask("/api/v1/audit", **AS_OPERATOR))[1]["items"]
    assert [one["tenant"] for one in both] == ["other", "acme"]
    assert (await ask("/api/v1/audit?target=none", **AS_OPERATOR))[1]["items"] == []
    assert (await ask("/api/v1/audit?tenant=other", **AS_ACME))[0] == 403


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({**SILENCE, "matchers": []}, "everything"),
        ({**SILENCE, "matchers": ["colour=red"]}, "unknown field 'colour'"),
        ({**SILENCE, "matchers": ["shop"]}, "not a condition"),
        ({**SILENCE, "for_s": 0}, "for_s"),
        ({**SILENCE, "for_s": 1e300}, "for_s"),
        ({**SILENCE, "until": 5}, "until"),
        ({**SILENCE, "comment": "x" * 2001}, "comment"),
        ({**SILENCE, "author": "ann\u0000"}, "U+0000"),
        ({**SILENCE, "author": "ann\nbob"}, "author"),
        ({**SILENCE, "author": "\u202eann"}, "U+202E"),
        ({**SILENCE, "comment": "\x1b[31m"}, "comment"),
        ({**SILENCE, "tenant": "t" * 65_000}, "tenant"),
        ({**SILENCE, "tenant": 5}, "tenant"),
        ({**SILENCE, "matchers": ["application=" + "x" * 500]}, "matchers"),
        ({**SILENCE, "for_s": "60"}, "for_s"),
        ({**SILENCE, "everything": "yes"}, "everything"),
        ([1], "object"),
    ],
)
async def test_a_silence_that_makes_no_sense_is_told_so(
    served: Any, broker: Broker, body: object, word: str
) -> None:
    """With the field; nothing is written."""
    ask = await served(**TOKENS)
    status, problem = await ask("/api/v1/silences", "POST", body, **AS_OPERATOR)
    assert (status, word in problem["detail"]) == (400, True)
    assert commands(broker) == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/silences"),
        ("POST", f"/api/v1/incidents/{INCIDENT}/acknowledge"),
        ("DELETE", f"/api/v1/silences/{INCIDENT}"),
    ],
)
async def test_a_parameter_that_is_not_known_is_refused_everywhere(
    served: Any, broker: Broker, method: str, path: str
) -> None:
    """In the address, where reading refuses it too, and in the body; what is given twice too."""
    ask = await served(**TOKENS)
    for query in ("dry_run=1", "tenant=acme&tenant=acme"):
        status, problem = await ask(f"{path}?{query}", method, {}, **AS_ACME)
        assert (status, problem["errors"][0]["parameter"]) == (400, query.partition("=")[0])
    status, problem = await ask(path, method, {"dry_run": True}, **AS_ACME)
    assert (status, "dry_run" in str(problem["errors"])) == (400, True)
    assert commands(broker) == []


async def test_who_may_only_read_changes_nothing(served: Any, broker: Broker) -> None:
    """On loopback without a token, as another tenant, or with an API that cannot sign; `me` says it
    before.
    """
    reader = await served()
    assert (await reader("/api/v1/silences", "POST", SILENCE))[0] == 401
    assert (await reader(f"/api/v1/incidents/{INCIDENT}/acknowledge?tenant=acme", "POST", {}))[
        0
    ] == 401
    _, me = await reader("/api/v1/me")
    assert (me["can_act"], "token" in me["why_not"]) == (False, True)
    ask = await served(**TOKENS)
    assert (await ask("/api/v1/silences", "POST", {**SILENCE, "tenant": "other"}, **AS_ACME))[
        0
    ] == 403
    assert (await ask("/api/v1/silences", "POST", SILENCE, Authorization="Bearer forged"))[0] == 401
    assert (
        await ask("/api/v1/silences", "POST", SILENCE, Origin="https://evil.example", **AS_ACME)
    )[0] == 403
    allowed = {"tenant": "acme", "can_act": True, "why_not": "", "trace_url": None}
    assert await ask("/api/v1/me", **AS_ACME) == (200, allowed)
    mute = await served(key=Secret(""), **TOKENS)
    status, problem = await mute("/api/v1/silences", "POST", SILENCE, **AS_OPERATOR)
    assert (status, "control_key" in problem["detail"]) == (403, True)
    assert commands(broker) == []


async def test_the_topic_is_read_once_for_all_who_ask_at_a_time(
    served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each sees its own; what is said here is seen at once."""
    reads: list[object] = []
    read = commanding.requests

    def counted(*given: Any) -> Any:
        reads.append(given)
        return read(*given)

    monkeypatch.setattr(commanding, "requests", counted)
    monkeypatch.setattr(api_commands, "KEPT_S", 3600.0)
    ask = await served(**TOKENS)
    await asyncio.gather(
        *[
            ask(f"/api/v1/silences?tenant={tenant}", **AS_OPERATOR)
            for tenant in ("acme", "other") * 9
        ]
    )
    assert len(reads) == 1
    _, made = await ask("/api/v1/silences", "POST", SILENCE, **AS_OPERATOR)
    assert (await ask("/api/v1/silences", **AS_ACME))[1]["items"] == [made]
    assert (await ask("/api/v1/silences?tenant=other", **AS_OPERATOR))[1]["items"] == []
    assert len(reads) == 2

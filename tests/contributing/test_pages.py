"""Each page of docs/contributing can be followed, and what it adds works: in a copy of the
repository, with the commands that the page names.
"""

from pathlib import Path

import pytest

from tests.contributing.doing import PAGES, PageIsWrong, copied, follow, run
from tests.docs.pages import blocks

_DELIVERS = """
import asyncio, sys
from pathlib import Path
from tests.harness.webhook_server import answers, receiving
from tests.schemas.test_messages import BODIES
from topology.settings.loading import load
from topology.stages.receivers import receivers_of

async def main():
    async with receiving(answers(200)) as server:
        Path("s.yaml").write_text(
            "alerting: {receivers: [{name: on-call, kind: ntfy, url: '%s', allow_private: true}]}"
            % server.url
        )
        settings = load(Path("s.yaml")).settings.alerting
        (receiver,) = receivers_of(settings).values()
        for body in map(str.encode, BODIES.values()):
            assert (await receiver.deliver("id", body, 0)).status == 200, body
        await receiver.close()
        print([post.headers["title"] for post in server.received])

asyncio.run(main())
"""

_JUDGES = """
from pathlib import Path
from agents.detection.served import detectors_of
from topology.settings.loading import load

Path("s.yaml").write_text("detection: {empty_answers: {enabled: true, least_buckets: 5}}")
for detection in (load(Path("s.yaml")).settings.detection, load().settings.detection):
    print("empty_answers" in [one.name for one in detectors_of(detection).at_close])
"""

_ANSWERS = """
import asyncio
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from connectors.store.sqlite.store import EmbeddedStore
from schemas.documents import Kind
from tests.harness.store_documents import incident, notification, of
from topology.api.openapi import description
from topology.api.permissions import Access
from topology.api.queries import OfTenant
from topology.api.reading import STORE
from topology.api.table import ROUTES

PATH = "/api/v1/incidents/{id}/notifications"

async def main():
    (route,) = [route for route in ROUTES if route.path == PATH]
    assert route.access is Access.READ
    assert PATH in description(ROUTES)["paths"]
    store = EmbeddedStore("s.db", 1.0)
    await store.start()
    opened, other = incident(1, 1), incident(2, 1)
    await store.write([of(Kind.INCIDENT, one) for one in (opened, other)])
    await store.write([
        of(Kind.NOTIFICATION, notification(number, incident_id=one.id))
        for number, one in enumerate([opened, other, opened])
    ])
    app = web.Application()
    app[STORE] = store
    request = make_mocked_request("GET", "/", app=app, match_info={"id": opened.id})
    answer = await route.answer(request, OfTenant(tenant="acme"))
    print([one["incident_id"] == opened.id for one in answer["items"]])
    await store.close()

asyncio.run(main())
"""

_READS = """
from schemas.avro import packaged
from schemas.records.control import Audit, AuditOutcome
from schemas.avro.framing import prefix

given = dict(
    id="0" * 32, tenant="acme", command_id="c", action="silence", author="ann", asked_at=1, at=2,
    target="t", outcome=AuditOutcome.APPLIED, detail="",
)
new = Audit(**given, client="page")
assert Audit.from_bytes(new.to_bytes()) == new
old = packaged.ids_of("Audit") - {packaged.newest("Audit")}
body = Audit(**given).to_bytes()[5:].removesuffix(bytes(1))
print([Audit.from_bytes(prefix(schema_id) + body).client for schema_id in old])
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the repository."""
    copied(tmp_path)
    return tmp_path


def test_a_detector_is_added_as_the_page_says(copy: Path) -> None:
    """Three files, one of them the example of docs/detectors.md: then settings switch it on."""
    example = next(one.text for one in blocks("docs/detectors.md") if one.language == "python")
    (copy / "agents" / "detectors" / "empty_answers.py").write_text(example)
    assert len(follow("add-a-detector.md", copy)) == 2
    assert "detection.empty_answers" in run(copy, "-m", "topology.settings.reference")
    assert run(copy, "-c", _JUDGES) == "True\nFalse\n"


def test_a_receiver_is_added_as_the_page_says(copy: Path) -> None:
    """Four files: then settings have the kind, and every message reaches its service."""
    assert len(follow("add-a-receiver.md", copy)) == 4
    assert "topic of ntfy" in run(copy, "-m", "topology.settings.reference")
    assert "'chat-api', 'acme'" in run(copy, "-c", _DELIVERS)


def test_a_route_is_added_as_the_page_says(copy: Path) -> None:
    """Two files: then the API answers, describes and guards it."""
    assert len(follow("add-a-route.md", copy)) == 2
    assert run(copy, "-c", _ANSWERS) == "[True, True]\n"


def test_a_field_is_added_as_the_page_says(copy: Path) -> None:
    """Three files: then it is on the wire, and records of before are read with its default."""
    assert len(follow("add-a-field.md", copy)) == 3
    assert run(copy, "-c", _READS) == "[None]\n"
    tests = ("tests/schemas/test_records.py", "tests/schemas/test_evolution.py")
    run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)


def test_a_page_that_does_not_fit_the_code_is_found(copy: Path) -> None:
    """A line that an edit names and that is not there, and a file that is there already."""
    table = copy / "topology" / "api" / "table.py"
    table.write_text(table.read_text().replace('f"{_V1}/anomalies",', 'f"{_V1}/findings",'))
    with pytest.raises(PageIsWrong, match=r"table\.py has this 0 times"):
        follow("add-a-route.md", copy)
    with pytest.raises(PageIsWrong, match="is not new"):
        [follow("add-a-receiver.md", copy) for _ in range(2)]


def test_every_page_has_a_test() -> None:
    """A page that nothing follows would rot."""
    tests = Path(__file__).read_text()
    assert [page.name for page in PAGES.glob("*.md") if f'follow("{page.name}"' not in tests] == []

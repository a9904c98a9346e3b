"""The label of a metric is in one file: changed there, it is what everything says."""

from pathlib import Path

from tests.contributing.doing import copied, run

_SAYS = """
import asyncio
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from agents.correlation.titles import sentence, title
from schemas.units import quantity
from tests.harness.store_documents import anomaly
from topology.api.static import add_page

async def served():
    app = web.Application()
    add_page(app)
    async with TestClient(TestServer(app)) as client:
        return await (await client.get("/static/measures.js")).text()

print(sentence(anomaly(1, metric="time_to_first_token", observed=2e6, expected=None)))
print(title("x", ["time_to_first_token", "queue_time"]))
print(quantity("time_to_first_token", 2e6))
print(asyncio.run(served()))
"""


def test_a_label_is_changed_in_one_place(tmp_path: Path) -> None:
    """Titles of incidents and what the page is given have it; names and values stay."""
    copied(tmp_path)
    measures = tmp_path / "schemas" / "measures.py"
    declared = '        name="time_to_first_token",\n'
    text = measures.read_text()
    assert text.count(declared) == 1
    measures.write_text(text.replace(declared, f'{declared}        label="first answer",\n'))
    said, also, value, given = run(tmp_path, "-c", _SAYS).strip().split("\n")
    assert said.startswith("first answer of ")
    assert (also, value) == ("x; also first answer, queue time", "2 s")
    assert '"name": "time_to_first_token", "label": "first answer"' in given

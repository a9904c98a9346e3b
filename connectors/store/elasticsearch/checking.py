"""Checks that templates and indices let documents be found, before anything is written to them.

A foreign template, or an index that was made by dynamic mapping, accepts documents and never finds
them again: it is reported instead.
"""

from elasticsearch import AsyncElasticsearch

from connectors.store.elasticsearch.mappings import missing, winner, wrong
from connectors.store.elasticsearch.templates import PRIORITY, properties, template, template_name
from connectors.store.port import VERSION
from schemas.documents import Kind, StoreRefused


async def prepare(client: AsyncElasticsearch, prefix: str, kind: Kind, replicas: int) -> None:
    """Make a kind's template, or grow one that lacks fields. Raises StoreRefused for one of another
    version.
    """
    name = template_name(prefix, kind)
    found = (await client.options(ignore_status=404).indices.get_index_template(name=name)).body
    for each in found.get("index_templates", ()):
        version = each["index_template"].get("_meta", {}).get("version")
        if version != VERSION:
            raise StoreRefused(
                f"the index template {name} has version {version}, this program keeps version"
                f" {VERSION}; give another store.index_prefix, or the program that wrote it"
            )
        there = each["index_template"].get("template", {}).get("mappings", {}).get("properties", {})
        if not missing(properties(kind), there):
            return
        # An older program's: records have grown by fields since.
    await client.indices.put_index_template(name=name, body=template(prefix, kind, replicas))


async def check_indices(client: AsyncElasticsearch, kind: Kind, index: str) -> frozenset[str]:
    """Add the fields that indices lack; answer with the names of the indices that exist. `index`
    may be a pattern. Raises StoreRefused when a field has another type: the index was made before
    the template.
    """
    found = (await client.options(ignore_status=404).indices.get_mapping(index=index)).body
    wanted = properties(kind)
    for name, found_index in sorted(found.items() if "error" not in found else ()):
        there = found_index["mappings"].get("properties", {})
        if (why := wrong(wanted, there)) is not None:
            raise StoreRefused(
                f"the index {name} is not as Sentinel makes it: {why}. Something wrote to it"
                " before Sentinel's template was there: delete it, or give another"
                " store.index_prefix"
            )
        if absent := missing(wanted, there):
            await client.indices.put_mapping(index=name, properties=absent)
    return frozenset() if "error" in found else frozenset(found)


async def check_future_index(client: AsyncElasticsearch, kind: Kind, index: str) -> None:
    """Raises StoreRefused when an index of this name would be made by a foreign template in a way
    that documents are not found, and names the template.
    """
    made = (await client.indices.simulate_index_template(name=index)).body
    wanted = properties(kind)
    there = made.get("template", {}).get("mappings", {}).get("properties", {})
    why = wrong(wanted, there) or next(
        (f"it has no field {name}" for name in missing(wanted, there)), None
    )
    if why is not None:
        known = (await client.indices.get_index_template()).body["index_templates"]
        raise StoreRefused(
            f"the index template {winner(index, known)} would make {index} otherwise than"
            f" Sentinel needs it ({why}), so that nothing would be found; give it narrower"
            f" patterns or a priority below {PRIORITY}"
        )

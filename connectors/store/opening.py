"""From settings to a store."""

from connectors.store.port import Store
from connectors.store.settings import StoreKind, StoreSettings
from connectors.store.sqlite.store import EmbeddedStore


def store_of(settings: StoreSettings) -> Store | None:
    """The store that is configured, not started; None for none."""
    match settings.kind:
        case StoreKind.EMBEDDED:
            return EmbeddedStore(settings.path, settings.deadline_s, settings.timeout_s)
        case StoreKind.ELASTICSEARCH:
            # Not with the embedded store: its client takes half a second to import.
            from connectors.store.elasticsearch.store import ElasticStore

            return ElasticStore(settings)
    return None

"""Checks everything that an installation needs, and says what to do. Changes nothing."""

from collections.abc import Iterator

from topology.doctor.findings import Finding, failed, ok, warning
from topology.doctor.kafka import check_kafka
from topology.doctor.store import check_page, check_store
from topology.settings.installation import Settings
from topology.settings.loading import Loaded


def checked(loaded: Loaded) -> Iterator[Finding]:
    """Every check, in the order in which things depend on each other."""
    yield from _settings(loaded)
    yield from _receivers(loaded.settings)
    yield from check_kafka(loaded.settings)
    yield from check_store(loaded.settings)
    yield check_page(loaded.settings)


def _settings(loaded: Loaded) -> Iterator[Finding]:
    hints = loaded.hints()
    for hint in hints:
        yield warning("settings", str(hint), "change it unless it is intended")
    if not hints:
        yield ok("settings", f"{len(loaded.origins)} values given")
    if not loaded.settings.worker.control_key:
        yield warning(
            "settings",
            "worker.control_key is not set, so nobody can silence or acknowledge",
            "set worker.control_key_file, the same for every worker: openssl rand -hex 32",
        )


def _receivers(settings: Settings) -> Iterator[Finding]:
    # Builds every connector, as `alert` does; slow to import, so not before it is needed.
    from topology.stages.receivers import check_receivers

    faults, hints = check_receivers(settings.alerting)
    for fault in faults:
        yield failed("receivers", fault, "correct it; `alert` refuses to start with it")
    for hint in hints:
        yield warning("receivers", hint, "change it unless it is intended")
    # Reported as OK only where nothing else was reported of receivers.
    names = [receiver.name for receiver in settings.alerting.receivers]
    if names and not faults and not hints:
        yield ok("receivers", f"{', '.join(names)}; to test one: sentinel notify-test NAME")

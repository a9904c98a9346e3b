"""`sentinel topics`: make the topics, and check that they are as the lanes need them."""

from typing import TYPE_CHECKING, Annotated

import typer

from topology.commands.options import Config, settings_from, show_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.admin.topics import TopicFact

topics = typer.Typer(
    no_args_is_help=True, help="Create the topics, and check that they are as the lanes need them."
)


@topics.command(epilog="Example: sentinel topics create --config sentinel.yaml --dry-run")
def create(
    config: Config = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Ask the cluster whether it would create them; change nothing."
        ),
    ] = False,
) -> None:
    """Create the missing topics: none if one exists with another number of partitions."""
    from streams.admin.topics import create as create_topics
    from streams.admin.topics import specs, wake
    from streams.client.brokers import reach
    from streams.topic_names import TopicNames

    settings = settings_from(config)
    admin, _ = reach(settings.broker)
    wanted = specs(TopicNames(settings.broker.topic_prefix), settings.lanes)
    if settings.broker.embedded and not dry_run:
        _show(wake(admin, wanted))
    else:
        _show(create_topics(admin, wanted, dry_run=dry_run))


@topics.command(epilog="Example: sentinel topics check --config sentinel.yaml")
def check(config: Config = None) -> None:
    """Compare the topics with what the lanes need, and change nothing. The exit status is 1 when
    workers must not run on them.
    """
    from streams.admin.topics import check as check_topics
    from streams.admin.topics import specs
    from streams.client.brokers import reach
    from streams.topic_names import TopicNames

    settings = settings_from(config)
    admin, _ = reach(settings.broker)
    _show(check_topics(admin, specs(TopicNames(settings.broker.topic_prefix), settings.lanes)))


def _show(facts: "Sequence[TopicFact]") -> None:
    show_table(
        ("topic", "partitions", "outcome", "detail"),
        [(fact.name, str(fact.partitions), fact.outcome.value, fact.detail) for fact in facts],
    )
    if not all(fact.good for fact in facts):
        raise typer.Exit(1)

"""The names of the topics."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TopicNames:
    """Names of our topics under one prefix."""

    prefix: str

    @property
    def telemetry(self) -> str:
        """One call of a model per record."""
        return f"{self.prefix}telemetry"

    @property
    def anomalies(self) -> str:
        """Verdicts that something is wrong, and each lane's watermark."""
        return f"{self.prefix}anomalies"

    @property
    def aggregates(self) -> str:
        """One record per closed bucket and subject."""
        return f"{self.prefix}aggregates"

    @property
    def incidents(self) -> str:
        """Every new state of an incident."""
        return f"{self.prefix}incidents"

    @property
    def notifications(self) -> str:
        """What was decided to be sent, and how delivery went."""
        return f"{self.prefix}notifications"

    @property
    def commands(self) -> str:
        """What people and programs ask for."""
        return f"{self.prefix}commands"

    @property
    def settings(self) -> str:
        """Immutable configuration versions."""
        return f"{self.prefix}settings"

    @property
    def audit(self) -> str:
        """Who did what, when, with which outcome."""
        return f"{self.prefix}audit"

    @property
    def dead_letters(self) -> str:
        """Records that could not be processed, byte for byte."""
        return f"{self.prefix}dead-letters"

    def state(self, stage: str) -> str:
        """The lane state of one of `STAGES`."""
        return f"{self.prefix}{stage}-state"

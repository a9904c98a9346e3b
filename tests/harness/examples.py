"""How many examples a property has, by the profile: quick, ci or nightly."""

from typing import Final

from hypothesis import settings

ON_CI: Final = 60
"""Examples of a property that asks for no number of its own, with the profile `ci`."""


def register_profiles() -> None:
    """Profiles of Hypothesis, for `--hypothesis-profile`; `ci` is in effect without one."""
    # No deadline: machines are shared, and a slow example is not a wrong one.
    settings.register_profile("quick", deadline=None, max_examples=ON_CI // 4)
    settings.register_profile("ci", deadline=None, max_examples=ON_CI)
    settings.register_profile("nightly", deadline=None, max_examples=ON_CI * 10)
    settings.load_profile("ci")


def examples(on_ci: int) -> int:
    """As many examples as the profile has for what takes `on_ci` of them on CI."""
    return max(1, on_ci * settings.default.max_examples // ON_CI)  # type: ignore[union-attr]

"""The stated model of what the traces lack: applications, models with prices and speed, users.

All of it is invented, and all its numbers are here or in `faults.py`. The traces give
arrival, prompt tokens and completion tokens of each request; this gives to each its application and
model, its user, its time and its cost.
"""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from schemas.records.telemetry import Operation

TENANT: Final = "demo"
USERS_PER_APPLICATION: Final = 400
"""Users of each application. The one of rank r (from 0) asks in proportion to 1 / (r + 10): the
busiest 2.7 % of all.
"""

ERROR_SHARE: Final = 0.005
"""Share of requests that fail on an ordinary day."""

TIMEOUT_SHARE: Final = 0.0003
"""Share of requests that meet `TIMEOUT_US` on an ordinary day."""

TIMEOUT_US: Final = 60_000_000
"""What callers wait for a whole answer, µs; a request that would take longer counts as timed out
then.
"""

CACHED_SHARE: Final = 0.3
"""Share of requests with half the prompt in the provider's cache; those tokens cost half."""

SESSION_US: Final = 900_000_000
"""Length of a user's session, µs."""

FIRST_TOKEN_SPREAD: Final = 0.25
"""Standard deviation of the natural logarithm of the time to first token, around what the tokens
explain.
"""

OUTPUT_TOKEN_SPREAD: Final = 0.1
"""The same for the time per output token."""


@dataclass(frozen=True, slots=True)
class Model:
    """How a model is priced and how fast it is.

    A request of p prompt and c completion tokens takes `first_token_us + p * prompt_token_us` to
    its first token and `output_token_us` for each token after it, each times log-normal noise; its
    latency is their sum.
    """

    name: str
    version: str
    provider: str
    first_token_us: int
    """Time to first token of an empty prompt, µs."""
    prompt_token_us: int
    """What each token of the prompt adds to it, µs."""
    output_token_us: int
    """Time per token of the answer, µs."""
    prompt_nano: int
    """Price of a prompt token, 1e-9 USD: a thousandth of what 1,000 tokens cost."""
    completion_nano: int
    """Price of a completion token, 1e-9 USD."""


@dataclass(frozen=True, slots=True)
class Series:
    """One application's use of one model."""

    application: str
    model: Model
    operation: Operation
    trace: str
    """The trace that its requests come from: `code` or `conv`."""
    share: float
    """Its share of that trace's requests; the shares of one trace sum to 1."""
    region: str


HERON_LARGE: Final = Model("heron-large", "2026-03", "heronai", 250_000, 120, 22_000, 600, 2_400)
HERON_SMALL: Final = Model("heron-small", "2026-05", "heronai", 90_000, 40, 9_000, 50, 200)
KESTREL_CODE: Final = Model("kestrel-code", "1.4", "self-hosted", 60_000, 30, 8_000, 40, 120)
KESTREL_REVIEW: Final = Model("kestrel-review", "1.1", "self-hosted", 140_000, 70, 14_000, 300, 900)

SERIES: Final = (
    Series("chat-assistant", HERON_LARGE, Operation.CHAT, "conv", 0.26, "eu-west"),
    Series("chat-assistant", HERON_SMALL, Operation.CHAT, "conv", 0.18, "eu-west"),
    Series("support-bot", HERON_SMALL, Operation.CHAT, "conv", 0.22, "us-east"),
    Series("support-bot", HERON_LARGE, Operation.CHAT, "conv", 0.12, "us-east"),
    Series("search-summary", HERON_SMALL, Operation.COMPLETION, "conv", 0.22, "eu-west"),
    Series("code-completion", KESTREL_CODE, Operation.COMPLETION, "code", 0.65, "eu-west"),
    Series("code-review", KESTREL_REVIEW, Operation.AGENT, "code", 0.35, "us-east"),
)
"""Seven series, few on purpose: each sees about a request a second (0.7 to 1.6), so that a bucket
of 10 s holds enough to judge. The two of the code trace are as bursty as that trace is: whole
minutes without a request are its normal traffic.
"""


def user_id(application: str, rank: int) -> str:
    """The pseudonym of an application's user of this rank, from 0 for the busiest; the same for
    every seed.

    >>> user_id("support-bot", 6)
    'u-cf8d0fe63c'
    """
    return "u-" + blake2b(f"{application}/{rank}".encode(), digest_size=5).hexdigest()

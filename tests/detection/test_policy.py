"""The policies of a settings version are asked by tenant."""

from dataclasses import dataclass, replace
from typing import cast

from agents.detection.policy import PolicySet, TenantPolicy, policies_of
from agents.detectors.settings import Comparison, DetectionSettings, Profile, Rule
from schemas.records.anomalies import SignalChange, SignalStatus
from streams.control.records import SIGNAL
from tests.detection.lanes import LIMITS, NAMES, RunLane
from tests.harness.telemetry_log import Rec, good

RULES = (Rule("slow", "latency_us", Comparison.ABOVE, 2_000_000),)
SETTINGS = DetectionSettings(rules=RULES, profile=Profile(enabled=False))


def test_every_tenant_has_the_policy_of_the_installation() -> None:
    """There are no settings of a tenant's own yet."""
    policies = policies_of("v", DetectionSettings(no_data_buckets=7, give_up_buckets=99))
    assert policies.of("acme") == policies.of("other") == TenantPolicy(7, 99)


@dataclass(frozen=True)
class _ByTenant:
    """Policies of which one tenant has its own."""

    shared: PolicySet

    def __getattr__(self, name: str) -> object:
        return getattr(self.shared, name)

    def of(self, tenant: str) -> TenantPolicy:
        """Tenant `brief` forgets after 60 buckets, everyone else after days."""
        return TenantPolicy(18, 60) if tenant == "brief" else self.shared.of(tenant)


def test_a_lane_gives_up_the_signals_of_each_tenant_by_that_tenants_policy() -> None:
    """The lane asks for the policy by tenant, wherever it decides about one subject."""
    lane = RunLane({"0": SETTINGS}, replace(LIMITS, subject_expiry_s=600))
    shared = policies_of("0", SETTINGS)
    lane.lane._adopt(cast("PolicySet", _ByTenant(shared)))
    lane.takes(
        [good(n, 0, tenant=tenant, latency_us=3_000_000) for n, tenant in enumerate(("brief", "z"))]
    )
    lane.takes([_later(n) for n in range(2, 200)])
    signals = [dict(sent.headers).get(SIGNAL) for sent in lane.sent[NAMES.anomalies]]
    changes = [SignalChange.from_bytes(one) for one in signals if one is not None]
    assert {one.tenant for one in changes if one.status is SignalStatus.GIVEN_UP} == {"brief"}


def _later(number: int) -> Rec:
    """An event of another tenant a minute after the one before."""
    return good(number, number * 60.0, tenant="busy")

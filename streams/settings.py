"""What a worker's streams need to know: the broker, and the limits of a lane."""

from dataclasses import dataclass, field

from schemas.secrets import Secret


@dataclass(frozen=True, slots=True)
class Broker:
    """How to reach Kafka."""

    bootstrap_servers: str = "127.0.0.1:9092"
    """Comma-separated `host:port` list of brokers to start from."""

    topic_prefix: str = "sentinel."
    """Put before every topic, consumer group and transactional id, so that several installations
    share a cluster.
    """

    embedded: bool = False
    """True when the broker is the embedded one (librdkafka's mock): it keeps nothing, neither
    compacts nor fences, and stamps no append time. Set by `sentinel standalone --embedded` and
    `sentinel demo`; never for a real broker.
    """

    tls: bool = False
    """Encrypt the connection. Needed as soon as a user name is given: credentials in plain text are
    refused.
    """

    tls_ca_file: str | None = None
    """PEM file of the authorities to trust. None means the system's."""

    tls_certificate_file: str | None = None
    """PEM file of the client certificate for mutual TLS. None means that the client shows none."""

    tls_key_file: str | None = None
    """PEM file of the client certificate's key. None means that it is in the certificate file."""

    sasl_mechanism: str = "SCRAM-SHA-512"
    """PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; used when `username` is given."""

    username: str | None = None
    """SASL user name. None means no authentication."""

    password: Secret = field(default_factory=lambda: Secret(""))
    """SASL password."""

    session_timeout_s: float = 6.0
    """Seconds without a heartbeat after which the group gives a worker's lanes to others. Short,
    since it is most of the time between a kill and the next verdict; the broker's
    `group.min.session.timeout.ms` (6 s) is its floor.
    """

    heartbeat_interval_s: float = 1.0
    """Seconds between heartbeats; at most a third of the session timeout."""

    request_timeout_s: float = 15.0
    """Seconds a request to the broker may take before the fault counts as temporary and is retried."""

    connect_timeout_s: float = 8.0
    """Seconds to reach a first broker at the start before the worker ends with a line that says so."""

    group_instance_id: str | None = None
    """Static membership name of this worker. None (the default) means dynamic: two workers under
    one name fence each other.
    """


@dataclass(frozen=True, slots=True)
class Lanes:
    """Limits and rhythm of a lane. Bucket width and lateness are fixed for a lane: changing them
    restarts learning.
    """

    partitions: int = 12
    """Partitions of every topic that we create; more workers than this stand idle. It cannot grow
    later.
    """

    replication_factor: int = 1
    """Replicas of every topic that we create; 3 on a cluster that must survive a broker."""

    bucket_s: int = 10
    """Width of the base window of event time, seconds. Narrower finds faster and costs more rows."""

    lateness_s: float = 5.0
    """Seconds of event time that a lane waits for records that come late, before it closes a
    bucket.
    """

    max_ahead_s: float = 300.0
    """Events more than this many seconds ahead of their append time go to dead-letters."""

    fault_records: int = 20
    """Records by which an application's bad ones must outnumber its good ones before somebody is
    told, and its good ones the bad ones before it is over; the same for late events and for events
    ahead of the clock. A count begins where the other kind last was ahead. Fewer tells of single
    mistakes; more overlooks tenants that send little.
    """

    measured_series: int = 100
    """Most series (application and model), applications, and groups of open incidents of a lane
    that `/metrics` has values of, each: traffic, errors and latency, when an application was last
    seen, what is open. The busiest series, the applications seen last and the largest groups. A
    series makes seven time series in Prometheus, so 100 make 700 for each lane. 0 for none.
    """

    tick_after_s: float = 1.0
    """Seconds (wall clock) of quiet after which the owner appends a tick, so that an idle lane
    closes its buckets.
    """

    flush_min_s: float = 1.0
    """Least seconds between two flushes of a lane's state."""

    flush_max_s: float = 10.0
    """Most seconds between two flushes; also the most that a successor has to compute again."""

    flush_cpu_share: float = 0.1
    """Share of the worker's CPU that flushing may cost before the interval stretches towards
    `flush_max_s`.
    """

    subjects_per_tenant: int = 1_000_000
    """Budget of series (application and model) of one tenant in one lane; what exceeds it counts
    into one overflow subject.
    """

    users_per_tenant: int = 1_000_000
    """Budget of user profiles of one tenant in one lane; users beyond it count into one overflow
    profile.
    """

    subject_expiry_s: int = 86_400
    """Seconds of event time without an event after which a subject and what was learnt of it are
    forgotten.
    """

    max_record_bytes: int = 262_144
    """Largest telemetry record that is decoded, bytes; larger ones go to dead-letters."""

    max_batch_bytes: int = 33_554_432
    """Most bytes that a producer's batch is decompressed to, 32 MiB; a larger one is one dead
    letter. A worker needs memory for two of them. Batches that are not compressed are bounded by
    the broker's `message.max.bytes` alone.
    """

    linger_s: float = 0.035
    """Seconds that a worker lets pass, after a fetch brought a few records, before it fetches from
    that broker again: what comes meanwhile makes larger steps, which cost less. A record that comes
    after a pause does not wait. 0: never rest.
    """

    max_fetch_bytes: int = 2_097_152
    """Most bytes fetched from one partition at once. Larger means more records per step and more
    memory.
    """


def listening_s(bucket_s: int) -> int:
    """Seconds of event time for which a lane of detect tells a partition of `anomalies` its
    watermark after the last anomaly or change that it wrote there: an hour, or 360 buckets if these
    are longer.

    Correlate ends an incident when the watermark is `correlation.quiet_s` past these, which
    therefore may not be longer.

    >>> listening_s(10), listening_s(60)
    (3600, 21600)
    """
    return max(3600, 360 * bucket_s)

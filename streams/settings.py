"""Settings of the streams: how to reach the broker, and the limits of a lane."""

from dataclasses import dataclass, field

from schemas.secrets import Secret


@dataclass(frozen=True, slots=True)
class Broker:
    """How to reach Kafka."""

    bootstrap_servers: str = "127.0.0.1:9092"
    """Comma-separated `host:port` list of brokers to start from."""

    topic_prefix: str = "sentinel."
    """Prefix of every topic, consumer group and transactional id, so that several installations can
    share a cluster.
    """

    embedded: bool = False
    """True for the embedded broker (librdkafka's mock), which keeps nothing, neither compacts nor
    fences, and stamps no append time. Set by `sentinel standalone --embedded` and
    `sentinel demo`; never for a real broker.
    """

    tls: bool = False
    """Encrypt the connection. Required with a user name: credentials in plain text are refused."""

    tls_ca_file: str | None = None
    """PEM file of the certificate authorities to trust. None means the system's."""

    tls_certificate_file: str | None = None
    """PEM file of the client certificate for mutual TLS. None means no client certificate."""

    tls_key_file: str | None = None
    """PEM file of the client certificate's key. None means that it is in the certificate file."""

    sasl_mechanism: str = "SCRAM-SHA-512"
    """PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; used when `username` is given."""

    username: str | None = None
    """SASL user name. None means no authentication."""

    password: Secret = field(default_factory=lambda: Secret(""))
    """SASL password."""

    session_timeout_s: float = 6.0
    """Seconds without a heartbeat after which the group reassigns a worker's lanes. Short, since it
    is most of the time between a kill and the next verdict; the broker's
    `group.min.session.timeout.ms` (6 s by default) is the minimum.
    """

    heartbeat_interval_s: float = 1.0
    """Seconds between heartbeats; at most a third of the session timeout."""

    request_timeout_s: float = 15.0
    """Seconds that a request to the broker may take before it fails and is retried."""

    connect_timeout_s: float = 8.0
    """Seconds to reach the first broker at startup; then the worker exits with an error."""

    group_instance_id: str | None = None
    """Static membership name of this worker. None (the default) means dynamic membership. Two
    workers with the same name fence each other.
    """


@dataclass(frozen=True, slots=True)
class Lanes:
    """Limits and intervals of a lane. Bucket width and lateness are fixed for a lane: changing them
    restarts learning.
    """

    partitions: int = 12
    """Partitions of every topic that Sentinel creates; additional workers are idle. It cannot be
    changed later.
    """

    replication_factor: int = 1
    """Replicas of every topic that Sentinel creates; 3 on a cluster that must survive the loss of a
    broker.
    """

    bucket_s: int = 10
    """Width of the base window of event time, seconds. A narrower one finds faster and costs more
    rows.
    """

    lateness_s: float = 5.0
    """Seconds of event time that a lane waits for late records before it closes a bucket."""

    max_ahead_s: float = 300.0
    """Events more than this many seconds ahead of their append time go to dead-letters."""

    fault_records: int = 20
    """Records by which an application's bad records must outnumber its good ones before an anomaly
    reports them, and the good ones the bad ones before it ends; the same for late events and for
    events ahead of the clock. The count restarts whenever the other kind leads. A lower number
    reports single mistakes; a higher one overlooks tenants that send little.
    """

    measured_series: int = 100
    """Maximum of series (application and model), of applications, and of groups of open incidents
    that a lane shows on `/metrics`: traffic, errors and latency; when an application was last seen;
    what is open. The busiest series, the applications seen last and the largest groups are chosen.
    A series makes seven time series in Prometheus, so 100 make 700 for each lane. 0 means none.
    """

    tick_after_s: float = 1.0
    """Seconds (wall clock) without records after which a partition's owner appends a tick, so that
    an idle lane closes its buckets.
    """

    flush_min_s: float = 1.0
    """Minimum seconds between two flushes of a lane's state."""

    flush_max_s: float = 10.0
    """Maximum seconds between two flushes; also the most that a successor has to process again."""

    flush_cpu_share: float = 0.1
    """Share of the worker's CPU that flushing may use before the interval grows towards
    `flush_max_s`.
    """

    subjects_per_tenant: int = 1_000_000
    """Budget of series (application and model) of one tenant in one lane; those beyond it count as
    one overflow subject.
    """

    users_per_tenant: int = 1_000_000
    """Budget of user profiles of one tenant in one lane; users beyond it count as one overflow
    profile.
    """

    subject_expiry_s: int = 86_400
    """Seconds of event time without an event after which a subject and its state are deleted."""

    max_record_bytes: int = 262_144
    """Largest telemetry record that is decoded, bytes; larger ones go to dead-letters."""

    max_batch_bytes: int = 33_554_432
    """Maximum bytes of a producer's batch after decompression, 32 MiB; a larger batch becomes one
    dead letter. A worker needs memory for two of them. Uncompressed batches are bounded only by the
    broker's `message.max.bytes`.
    """

    linger_s: float = 0.035
    """Seconds that a worker waits, after a fetch brought few records, before it fetches from that
    broker again: records gather to larger steps, which cost less. A record that comes after a pause
    is not delayed. 0 means no wait.
    """

    max_fetch_bytes: int = 2_097_152
    """Maximum bytes of one fetch from one partition. Larger means more records per step and more
    memory.
    """


def listening_s(bucket_s: int) -> int:
    """Seconds of event time for which a lane of detect sends its watermark to a partition of
    `anomalies` after the last anomaly or change that it wrote there: an hour, or 360 buckets if
    these are longer.

    Correlate ends an incident when the watermark is `correlation.quiet_s` past these, so that
    setting may not be longer.

    >>> listening_s(10), listening_s(60)
    (3600, 21600)
    """
    return max(3600, 360 * bucket_s)

"""The smallest inputs that once did harm, by name: batches as a broker gives them."""

from collections.abc import Mapping

from tests.fuzz.batches import CODECS, Rec, batch
from tests.harness.telemetry_log import good

EVENT = good(0, 0).value or b""
_LYING = EVENT[:-2] + b"\x80\x80\x80\x80\x80\x40" + bytes(200)

CORPUS: Mapping[str, bytes] = {
    "an offset of its own": batch([Rec(EVENT, delta=2**31 - 1)]),
    "offsets that fall": batch([Rec(EVENT, delta=1), Rec(EVENT, delta=0)]),
    "attributes of a record": batch([Rec(EVENT, attributes=0x80)]),
    "attributes of a batch": batch([Rec(EVENT)], attributes=0x80),
    "a control bit": batch([Rec(EVENT)], attributes=0x20),
    "a transaction that nobody began": batch([Rec(EVENT)], attributes=0x10, producer=7),
    "a name in Latin-1": batch([Rec(EVENT, headers=[(b"x-us\xe9r", b"1")])]),
    "a name of ff fe": batch([Rec(EVENT, headers=[(b"\xff\xfe", b"1")])]),
    "a name of ours, almost": batch([Rec(EVENT, headers=[(b"sentinel-\xff", b"1")])]),
    "headers without end": batch([Rec(EVENT, headers_count=2**40)]),
    "a thousand headers and one": batch(
        [Rec(EVENT, headers=[(b"", None)] * count) for count in (1_000, 1_001)]
    ),
    "a thousand headers and one, one of ours": batch(
        [Rec(EVENT, headers=[(b"sentinel-x", None)] * 1_001), Rec(EVENT)]
    ),
    "millions of headers": batch(
        [Rec(EVENT, headers_count=3_000_000, tail=b"\0\1" * 3_000_000)] * 2, codec="zstd"
    ),
    "many headers each": batch(
        [Rec(EVENT, headers_count=1_000, tail=b"\0\1" * 1_000)] * 501, codec="zstd"
    ),
    "as many headers as are read": batch(
        [Rec(EVENT, headers_count=999, tail=b"\0\1" * 999)] * 500, codec="zstd"
    ),
    "a list without end": batch([Rec(_LYING)] * 4, codec="zstd"),
    "a list of a negative count": batch(
        [Rec(EVENT[:-1] + b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02" + bytes(20))]
    ),
    "zeros": batch([Rec(bytes(40_000_000))], codec="zstd"),
    "zeros, gzip": batch([Rec(bytes(40_000_000))], codec="gzip"),
    "a size that zstd claims": batch(
        [Rec(EVENT)], codec="zstd", packed=b"\x28\xb5\x2f\xfd\xe0" + b"\xff" * 8
    ),
    "a size that snappy claims": batch(
        [Rec(EVENT)], codec="snappy", packed=b"\xff\xff\xff\xff\x0f\x00a"
    ),
    "a codec that there is not": batch([Rec(EVENT)], attributes=6),
    "more records than offsets": batch([Rec(EVENT)] * 3, last=0),
    "no records, many offsets": batch([], last=2**31 - 1),
    "fewer than none": batch([Rec(EVENT)], count=-(2**31), last=-(2**31)),
    "a time beyond all": batch([Rec(EVENT, time=2**63 - 1)]),
    "an append time beyond all": batch([Rec(EVENT)], attributes=8, max_time=-(2**63)),
    "an old format": batch([Rec(EVENT)], magic=0),
    "a length that is none": batch([Rec(EVENT)], length=-1),
    **{
        f"ordinary, {codec}": batch([Rec(EVENT)] * 5 + [Rec(None)], codec=codec) for codec in CODECS
    },
}

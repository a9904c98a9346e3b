"""Avro's binary encoding of the few types that are written without fastavro."""


def long_bytes(number: int) -> bytes:
    """A long (or int): zigzag, then seven bits a byte, the lowest first.

    >>> long_bytes(-3), long_bytes(64)
    (b'\\x05', b'\\x80\\x01')
    """
    # Zigzag maps small negative numbers to small positive ones, which take few bytes.
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def string_bytes(text: str) -> bytes:
    """A string: its length in bytes of UTF-8, then these."""
    raw = text.encode()
    return long_bytes(len(raw)) + raw

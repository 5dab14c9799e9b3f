"""A target with a native histogram: Prometheus takes those in its protobuf format only, which is small enough to write.

Messages and field numbers: https://github.com/prometheus/client_model/blob/master/io/prometheus/client/metrics.proto
"""

import struct

KIND = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"


def varint(number):
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def zigzag(number):
    return number << 1 if number >= 0 else (-number << 1) - 1


def whole(field, number):
    return varint(field << 3) + varint(number)


def double(field, value):
    return varint(field << 3 | 1) + struct.pack("<d", value)


def nested(field, body):
    body = body.encode() if isinstance(body, str) else body
    return varint(field << 3 | 2) + varint(len(body)) + body


def histogram(counts, total, schema=3):
    """`counts` by bucket index, all of them above zero: bucket i ends at 2 ** (i * 2 ** -schema)."""
    indexes = sorted(counts)
    body = whole(1, sum(counts.values())) + double(2, total) + whole(5, zigzag(schema)) + double(6, 1e-9) + whole(7, 0)
    offset = indexes[0]
    span = whole(1, zigzag(offset)) + whole(2, indexes[-1] - offset + 1)
    body += nested(12, span)
    before = 0
    for index in range(offset, indexes[-1] + 1):
        count = counts.get(index, 0)
        body += whole(13, zigzag(count - before))
        before = count
    return body


def page(name, labels, counts, total):
    """What a scrape reads: one family with one histogram."""
    pairs = b"".join(nested(1, nested(1, key) + nested(2, value)) for key, value in labels.items())
    family = nested(1, name) + nested(2, "help") + whole(3, 4) + nested(4, pairs + nested(7, histogram(counts, total)))
    return varint(len(family)) + family

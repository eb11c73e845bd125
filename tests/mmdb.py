"""Writes MaxMind DB files, so that tests need none of anybody else's.

Source: https://maxmind.github.io/MaxMind-DB/
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any, NamedTuple

_METADATA_BEGINS = b"\xab\xcd\xefMaxMind.com"
_BITS = 128
_MAP, _UINT16, _UINT32, _UINT64, _ARRAY, _TEXT = 7, 5, 6, 9, 11, 2


class _Number(NamedTuple):
    kind: int
    value: int


_Node = list[Any]
"""What follows a zero and a one: another node, the place of a record, or None."""


def write_database(
    path: Path, records: Mapping[str, object], *, kind: str = "Test-City", built: int = 1_790_000_000
) -> Path:
    """Write a file that has these records, and return its path.

    Args:
        path: of the file; it is put in place in one step, as an updater does.
        records: by network, such as `203.0.113.0/24`; of those that overlap, the smaller ones last.
        kind: its type, which the file says of itself.
        built: seconds since the epoch, which it says too.
    """
    root: _Node = [None, None]
    data = bytearray()
    for network, record in records.items():
        _insert(root, network, len(data))
        data += _encode(record)
    nodes = _numbered(root)
    metadata = _encode(
        {
            "binary_format_major_version": _Number(_UINT16, 2),
            "binary_format_minor_version": _Number(_UINT16, 0),
            "build_epoch": _Number(_UINT64, built),
            "database_type": kind,
            "description": {"en": "made by a test"},
            "ip_version": _Number(_UINT16, 6),
            "languages": ["en"],
            "node_count": _Number(_UINT32, len(nodes)),
            "record_size": _Number(_UINT16, 32),
        }
    )
    beside = path.with_name(path.name + ".new")
    beside.write_bytes(_tree(nodes) + bytes(16) + bytes(data) + _METADATA_BEGINS + metadata)
    return beside.replace(path)


def _insert(root: _Node, network: str, place: int) -> None:
    parsed = ip_network(network)
    shift = _BITS - parsed.max_prefixlen
    # IPv4 stands in the last 32 bits of the tree, below 96 zeros.
    number, length = int(parsed.network_address), parsed.prefixlen + shift
    node = root
    for depth in range(length - 1):
        bit = number >> (_BITS - 1 - depth) & 1
        if not isinstance(node[bit], list):
            node[bit] = [node[bit], node[bit]]
        node = node[bit]
    node[number >> (_BITS - length) & 1] = place


def _numbered(root: _Node) -> list[_Node]:
    nodes = [root]
    for node in nodes:  # grows on the way
        nodes += [child for child in node if isinstance(child, list)]
    return nodes


def _tree(nodes: list[_Node]) -> bytes:
    number_by_node = {id(node): number for number, node in enumerate(nodes)}

    def pointer(child: Any) -> int:
        if child is None:
            return len(nodes)
        return number_by_node[id(child)] if isinstance(child, list) else len(nodes) + 16 + int(child)

    return b"".join(struct.pack(">II", *map(pointer, node)) for node in nodes)


def _encode(value: object) -> bytes:
    if isinstance(value, str):
        text = value.encode()
        return _control(_TEXT, len(text)) + text
    if isinstance(value, _Number):
        digits = value.value.to_bytes((value.value.bit_length() + 7) // 8, "big")
        return _control(value.kind, len(digits)) + digits
    if isinstance(value, Mapping):
        pairs = b"".join(_encode(key) + _encode(part) for key, part in value.items())
        return _control(_MAP, len(value)) + pairs
    if isinstance(value, list):
        return _control(_ARRAY, len(value)) + b"".join(map(_encode, value))
    raise TypeError(f"{type(value).__name__} is not a type that these tests write")


def _control(kind: int, size: int) -> bytes:
    length, more = (size, b"") if size < 29 else (29, bytes([size - 29]))
    if size >= 29 + 256:
        raise ValueError(f"{size} bytes are more than these tests write in one value")
    if kind > 7:  # an extended type: its number less 7 comes next
        return bytes([length, kind - 7]) + more
    return bytes([kind << 5 | length]) + more

"""Request bodies in, response bodies out: encodings, with a bound on every size.

A body is bounded as it arrives and again while it is unpacked, so a small request cannot become a large one.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable

import lz4.block
import lz4.frame
import zstandard
from clickhouse_cityhash.cityhash import CityHash128

_STEP = 1 << 20
_BLOCK_HEADER = 25
_LZ4_BLOCK, _ZSTD_BLOCK, _PLAIN_BLOCK = 0x82, 0x90, 0x02
_LOWER_HALF = (1 << 64) - 1
_ZSTD_WINDOW = 1 << 27
_ZSTD_STEP = 1024
"""Bytes fed at once; 4 of them can unpack to 128 KiB."""
_IDLE_SECONDS = 60.0


class BodyError(Exception):
    """A body cannot be taken.

    Attributes:
        status: the HTTP status that says why.
        code: the ClickHouse error code that says why.
    """

    def __init__(self, message: str, status: int, code: int) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class BodyReader:
    """Reads request bodies; those in flight together are bounded as well.

    Args:
        max_bytes: longest body, as it arrives and unpacked.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._free = 2 * max_bytes

    async def read(self, chunks: AsyncIterator[bytes], announced: str | None) -> bytes:
        """Return the body as it arrives.

        Args:
            chunks: of the request.
            announced: its Content-Length header.

        Raises:
            BodyError: it is too long, stands still, or too many bytes are in flight.
        """
        body = bytearray()
        iterator = chunks.__aiter__()
        try:
            if announced is not None and announced.isdigit() and int(announced) > self.max_bytes:
                await self._drain(iterator)
                raise self.too_long()
            while (chunk := await _next(iterator)) is not None:
                self._free -= len(chunk)
                body += chunk
                if len(body) > self.max_bytes:
                    await self._drain(iterator)
                    raise self.too_long()
                if self._free < 0:
                    raise BodyError("Too many bytes are in flight, try again later", 503, 202)
            return bytes(body)
        finally:
            self._free += len(body)

    async def _drain(self, iterator: AsyncIterator[bytes]) -> None:
        """Pass over the rest of a body, up to the limit once more.

        A client that is still sending when the connection closes sees a broken connection instead of the answer, and
        would try again.
        """
        left = self.max_bytes
        while left > 0 and (chunk := await _next(iterator)) is not None:
            left -= len(chunk)

    def too_long(self) -> BodyError:
        """Return the error for a body over the limit."""
        return BodyError(f"The body has more than {self.max_bytes} bytes. Send it in parts", 413, 307)

    def unpack(self, body: bytes, encoding: str, *, native_blocks: bool = False) -> bytes:
        """Return the body without its encoding.

        Args:
            body: as it arrived.
            encoding: the Content-Encoding header: identity, gzip, deflate, zstd or lz4.
            native_blocks: the body is, inside of that, ClickHouse's own compressed blocks (`decompress=1`).

        Raises:
            BodyError: unknown encoding (415), damaged (400), or longer than the limit (413).
        """
        name = encoding.strip().lower()
        if name not in ("", "identity"):
            unpacker = _UNPACKERS.get(name)
            if unpacker is None:
                message = (
                    f"Content-Encoding {name[:50]!a} is unknown, expected one of: {', '.join(_UNPACKERS)}"
                )
                raise BodyError(message, 415, 89)
            body = self._bounded(unpacker, body, name)
        return self._bounded(_unpack_blocks, body, "decompress=1") if native_blocks else body

    def _bounded(self, unpacker: Callable[[bytes, int], bytes], body: bytes, name: str) -> bytes:
        try:
            return unpacker(body, self.max_bytes)
        except _TooLong:
            raise self.too_long() from None
        except (
            EOFError,
            RuntimeError,
            ValueError,
            zlib.error,
            zstandard.ZstdError,
            lz4.block.LZ4BlockError,
        ) as error:
            message = f"The body is not valid {name}: {str(error)[:200] or 'it ends too early'}"
            raise BodyError(message, 400, 271) from None


async def _next(iterator: AsyncIterator[bytes]) -> bytes | None:
    try:
        return await asyncio.wait_for(iterator.__anext__(), _IDLE_SECONDS)
    except StopAsyncIteration:
        return None
    except asyncio.TimeoutError:
        raise BodyError(f"The body stood still for {_IDLE_SECONDS:.0f} seconds", 408, 209) from None


class _TooLong(Exception):
    pass


def _unpack_zlib(body: bytes, limit: int) -> bytes:
    result = bytearray()
    while body:
        unpacker = zlib.decompressobj(wbits=47)  # reads gzip and zlib headers
        while not unpacker.eof:
            result += unpacker.decompress(body, min(_STEP, limit + 1 - len(result)))
            if len(result) > limit:
                raise _TooLong
            if not unpacker.unconsumed_tail and not unpacker.eof:
                result += unpacker.flush()
                if not unpacker.eof:
                    raise EOFError
            body = unpacker.unconsumed_tail
        body = unpacker.unused_data
    return bytes(result)


def _unpack_zstd(body: bytes, limit: int) -> bytes:
    unpacker = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    result = bytearray()
    while body:
        # An object per frame, because only it says whether the frame is complete; fed in small steps, because
        # it returns all that one step unpacks to.
        frame = unpacker.decompressobj()
        position = 0
        while position < len(body) and not frame.eof:
            result += frame.decompress(body[position : position + _ZSTD_STEP])
            position += _ZSTD_STEP
            if len(result) > limit:
                raise _TooLong
        if not frame.eof:
            raise EOFError
        body = frame.unused_data + body[position:]
    return bytes(result)


def _unpack_lz4(body: bytes, limit: int) -> bytes:
    result = bytearray()
    while body:
        frame = lz4.frame.LZ4FrameDecompressor()
        while not frame.eof:
            part = frame.decompress(body, min(_STEP, limit + 1 - len(result)))
            result += part
            body = b""
            if len(result) > limit:
                raise _TooLong
            if not part and frame.needs_input and not frame.eof:
                raise EOFError
        body = frame.unused_data or b""
    return bytes(result)


def _unpack_blocks(body: bytes, limit: int) -> bytes:
    """Unpack ClickHouse's blocks: a CityHash128, method, packed and unpacked size, data.

    The hash is passed over: it guards against damage on disks and long ways, and this body came over loopback TCP.
    """
    result = bytearray()
    position = 0
    while position < len(body):
        header = body[position + 16 : position + _BLOCK_HEADER]
        packed_size = int.from_bytes(header[1:5], "little")
        unpacked_size = int.from_bytes(header[5:9], "little")
        data = body[position + _BLOCK_HEADER : position + 16 + packed_size]
        if len(header) < 9 or packed_size < 9 or len(data) != packed_size - 9:
            raise EOFError
        if len(result) + unpacked_size > limit:
            raise _TooLong
        result += _unpack_block(header[0], data, unpacked_size)
        position += 16 + packed_size
    return bytes(result)


def _unpack_block(method: int, data: bytes, unpacked_size: int) -> bytes:
    if method == _LZ4_BLOCK:
        return bytes(lz4.block.decompress(data, uncompressed_size=unpacked_size))
    if method == _ZSTD_BLOCK:
        return zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompress(data, unpacked_size)
    if method == _PLAIN_BLOCK:
        return data
    raise ValueError(f"unknown block method {method:#x}")


_UNPACKERS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _unpack_zlib,
    "deflate": _unpack_zlib,
    "zstd": _unpack_zstd,
    "lz4": _unpack_lz4,
}


def _pack_gzip(body: bytes) -> bytes:
    packer = zlib.compressobj(level=1, wbits=31)
    return packer.compress(body) + packer.flush()


_PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "lz4": lambda body: bytes(lz4.frame.compress(body)),
    "zstd": lambda body: zstandard.ZstdCompressor(level=1).compress(body),
    "gzip": _pack_gzip,
}


def pack(body: bytes, accepted: str) -> tuple[bytes, str]:
    """Return the body in the cheapest encoding that the client takes, and the name of that encoding.

    Args:
        body: of the response.
        accepted: the Accept-Encoding header.
    """
    offered = {part.partition(";")[0].strip().lower() for part in accepted.split(",")}
    for name, packer in _PACKERS.items():
        if name in offered:
            return packer(body), name
    return body, ""


def pack_blocks(body: bytes) -> bytes:
    """Return the body as ClickHouse's own compressed blocks (`compress=1`), with LZ4 as a server does.

    Each is a CityHash128 of version 1.0.2 over all that follows it, the method, both sizes, and the data.
    """
    return b"".join(_pack_block(body[start : start + _STEP]) for start in range(0, len(body), _STEP))


def _pack_block(data: bytes) -> bytes:
    packed: bytes = lz4.block.compress(data, store_size=False)
    sizes = (len(packed) + _BLOCK_HEADER - 16).to_bytes(4, "little") + len(data).to_bytes(4, "little")
    block = bytes([_LZ4_BLOCK]) + sizes + packed
    checksum: int = CityHash128(block)
    # Its first half is the upper one of the number, and each half has its lowest byte first.
    return (checksum >> 64).to_bytes(8, "little") + (checksum & _LOWER_HALF).to_bytes(8, "little") + block

"""Lines of access logs with good defaults, so that a test says only what matters to it."""

from __future__ import annotations

from pathlib import Path

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


def combined(
    path: str = "/",
    at: str = "10/Mar/2026:12:00:00 +0000",
    *,
    address: str = "192.0.2.1",
    user: str = "-",
    status: int = 200,
    size: str = "512",
    referrer: str = "-",
    agent: str = FIREFOX,
    method: str = "GET",
) -> str:
    """Return one line in combined format."""
    return f'{address} - {user} [{at}] "{method} {path} HTTP/1.1" {status} {size} "{referrer}" "{agent}"'


def common(path: str = "/", at: str = "10/Mar/2026:12:00:00 +0000", size: str = "512") -> str:
    """Return one line in common format."""
    return f'192.0.2.1 - - [{at}] "GET {path} HTTP/1.1" 200 {size}'


def write_log(path: Path, lines: list[str] | list[bytes]) -> Path:
    """Write the lines, each with its end."""
    encoded = [line.encode("latin-1") if isinstance(line, str) else line for line in lines]
    path.write_bytes(b"".join(line + b"\n" for line in encoded))
    return path


def many(count: int, first: int = 0) -> list[str]:
    """Return lines that differ, one a second, some of them twice."""
    lines = []
    for number in range(first, first + count):
        second = number % 86_400
        at = f"{10 + number // 86_400:02}/Mar/2026:{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02} +0000"
        lines.append(combined(f"/p/{number % 97}", at, address=f"198.51.100.{number % 251}"))
        if number % 10 == 0:
            lines.append(lines[-1])
    return lines

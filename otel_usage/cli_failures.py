"""Runs the command line and turns whatever goes wrong into one line on stderr and an exit code."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from typing import Any

import click

from otel_usage.cures import explain
from otel_usage.errors import ClickHouseError, OtelUsageError, SettingError
from otel_usage.reports.output import printable

_OUTPUT_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})
"""What writing to the standard output may end in; it is the one file of ours that has no name."""


def run(group: click.Group, arguments: list[str]) -> int:
    """Return the exit code: 0 done, 1 failed, 2 wrong usage.

    Args:
        group: the commands.
        arguments: without the program; `--debug` may stand anywhere.
    """
    # Taken wherever it stands: who wants the traceback has typed the command already.
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        code: Any = group.main(args=arguments, prog_name="otel-usage", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except click.UsageError as error:
        path = _command_path(error, group, arguments)
        return _failed(f"{error.format_message()} (see: {path} --help)", 2, debug)
    except click.exceptions.Exit as error:
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _failed("interrupted", 1, debug)
    except SettingError as error:
        return _failed(str(error), 2, debug)
    except ClickHouseError as error:
        return _failed(explain(error), 1, debug)
    except (OtelUsageError, click.ClickException) as error:
        return _failed(str(error), 1, debug)
    except BrokenPipeError:
        # Whoever read us has enough, as `| head` does.
        _drop_output()
        return 1
    except OSError as error:
        return _failed(_explain_file(error), 1, debug)
    except Exception as error:
        return _failed(f"{type(error).__name__}: {error}. This is a bug; --debug shows where", 1, debug)


def _command_path(error: click.UsageError, group: click.Group, arguments: list[str]) -> str:
    if error.ctx is not None:
        return error.ctx.command_path
    # An option without its value is found before there is a context.
    return f"otel-usage {arguments[0]}" if arguments and arguments[0] in group.commands else "otel-usage"


def _explain_file(error: OSError) -> str:
    reason = (error.strerror or str(error)).lower()
    if error.filename is not None:
        return f"Cannot use {str(error.filename)!r}: {reason}. Mend that, or name another"
    if error.errno in _OUTPUT_ERRORS:
        _drop_output()
        return f"Cannot write the output: {reason}. Send it somewhere else"
    return f"{type(error).__name__}: {reason}. --debug shows where"


def _drop_output() -> None:
    # The interpreter flushes at its end, and would fail once more.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _failed(message: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    # ClickHouse quotes what it was sent, which may be what a client of the app has sent.
    click.echo(f"otel-usage: {printable(' '.join(message.split()))}", err=True)
    return code

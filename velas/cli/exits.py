"""One message and one exit code for everything that can end a command early."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from velas.errors import (
    AdapterError,
    BadRequest,
    BadResponse,
    Banned,
    ConfigError,
    ExchangeError,
    Forbidden,
    RateLimited,
    RequestTimeout,
    RestrictedLocation,
    Unavailable,
    UnknownSymbol,
    VelasError,
)

if TYPE_CHECKING:
    from velas.cli.options import Common

__all__ = [
    "DONE",
    "FAILED",
    "INTERRUPTED",
    "UNREACHABLE",
    "USAGE",
    "code_of",
    "error_text",
    "guard",
    "say",
    "tell",
]

DONE, FAILED, USAGE, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 130

_USAGE = (ConfigError, UnknownSymbol, AdapterError, BadRequest)
_UNREACHABLE = (
    Unavailable,
    RequestTimeout,
    BadResponse,  # something answers there, but it is not the venue
    RateLimited,
    Banned,
    Forbidden,
    RestrictedLocation,
)
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST)


def guard(run: Callable[[], object], common: Common) -> int:
    """Run a command and return its exit code; say what went wrong in one message.

    A traceback is for velas' own bugs (with -v) and for who asks for it (-vv).
    """
    try:
        result = run()
        sys.stdout.flush()
    except click.ClickException as error:
        tell(error.format_message())
        if isinstance(error, click.UsageError) and error.ctx is not None:
            say(f"See: {error.ctx.command_path} --help")
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        say("velas: interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        _silence_stdout()  # whoever read our output has gone, for instance `| head`
        return FAILED
    except (VelasError, OSError) as error:
        tell(error_text(error))
        _trace(common.verbose >= 2)
        return code_of(error)
    except Exception as error:
        hint = "" if common.verbose else " (the traceback: run it again with -v)"
        tell(f"this is a bug in velas: {type(error).__name__}: {error}{hint}")
        _trace(common.verbose >= 1)
        return FAILED
    return result if isinstance(result, int) else DONE


def code_of(error: BaseException) -> int:
    """Return the exit code an error that ended a command stands for."""
    if isinstance(error, _USAGE):
        return USAGE
    if isinstance(error, _UNREACHABLE):
        return UNREACHABLE
    if isinstance(error, ExchangeError):
        return FAILED
    if isinstance(error, OSError) and error.errno in _DENIED:
        return USAGE
    return FAILED


def say(message: str) -> None:
    """Write a line for people to stderr; stdout is for results."""
    # a closed stderr must not end the work
    with contextlib.suppress(OSError, ValueError):
        click.echo(message, err=True)


def tell(message: str) -> None:
    """Write an error to stderr, marked as one."""
    say(f"velas: error: {message}")


def error_text(error: BaseException) -> str:
    """Return what an error says, with the file where the system's own text lacks it."""
    if isinstance(error, OSError) and not isinstance(error, VelasError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def _trace(wanted: bool) -> None:
    if wanted:
        say(traceback.format_exc().rstrip())


def _silence_stdout() -> None:
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

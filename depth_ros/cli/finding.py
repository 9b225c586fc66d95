"""One line of what `depth_ros doctor` found, and how it looks without importing."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
from dataclasses import dataclass

OK, WARN, FAIL = 'OK', 'WARN', 'FAIL'


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        level: `OK`, `WARN` or `FAIL`.
        what: the thing looked at.
        value: how it is.
        way_out: what to do about it, or what it means; empty if there is nothing to say.
    """

    level: str
    what: str
    value: str
    way_out: str = ''


_distributions = functools.cache(importlib.metadata.packages_distributions)  # it reads every one


def version_of(module: str) -> str | None:
    """Version of a module that can be imported, without importing it; None if it cannot."""
    if importlib.util.find_spec(module) is None:
        return None
    distributions = _distributions().get(module, [module])
    try:
        return importlib.metadata.version(distributions[0])
    except importlib.metadata.PackageNotFoundError:
        return 'installed'


def library(module: str) -> Finding:
    """An optional library; looked for, not imported."""
    return Finding(OK, module, version_of(module) or 'not installed (optional)')


def one_line(text: str) -> str:
    """A text without its line breaks."""
    return ' '.join(text.split())

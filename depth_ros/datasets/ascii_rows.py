"""Tables of numbers as text, PCD's and PLY's: whose rows must be those of the header."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from depth_ros.errors import DatasetError
from depth_ros.frame import Float64

_NAN = re.compile(rb'[-+]?(nan(\(.*\))?|1\.#\w+)', re.IGNORECASE)  # as C libraries print it


class AsciiRows:
    """The values of a text and the lines they stand on.

    A row may go on over several lines, and all rows of a table may stand on one line; but no row
    may end within a line in which another begins: then values are missing or too many.

    Args:
        body: the text.
        first_line: number of its first line in the file, for messages.
    """

    def __init__(self, body: bytes, first_line: int) -> None:
        lines = re.split(rb'\r\n|\n|\r', body)
        counts = [len(line.split()) for line in lines]
        self._tokens = body.split()
        self._ends = np.cumsum(counts)  # number of values up to the end of each line
        self._first_line = first_line
        self._offset = 0

    def take(self, count: int, names: Sequence[str]) -> list[bytes]:
        """The next rows of as many values as there are names, one value after the other.

        Raises:
            DatasetError: there are fewer, or rows do not end where lines do.
        """
        width, start = len(names), self._offset
        end = start + count * width
        there = min(end, len(self._tokens))
        on_one_line = count > 1 and self._line(start) == self._line(max(there - 1, start))
        if width and not on_one_line:
            row_ends = np.arange(start + width, there + 1, width)
            torn = np.flatnonzero(~np.isin(row_ends, self._ends))
            if len(torn):
                self._refuse(int(row_ends[torn[0]]) - width, names)
        if there < end:
            raise DatasetError(
                f'truncated: {count} rows of {width} values wanted, but only {there - start} '
                'values left.'
            )
        self._offset = end
        return self._tokens[start:end]

    def take_list(self) -> None:
        """Pass over a list: its length, then so many values.

        Raises:
            DatasetError: it is no length, or there are fewer values.
        """
        (length,) = self.take_values(1)
        self.take_values(int(length) if re.fullmatch(rb'\d+', length) else len(self._tokens))

    def take_values(self, count: int) -> list[bytes]:
        """The next values of a row, wherever lines end."""
        left = len(self._tokens) - self._offset
        if count > left:
            raise DatasetError(f'truncated: {left} values left, wanted {count}.')
        self._offset += count
        return self._tokens[self._offset - count : self._offset]

    def end_row(self) -> None:
        """Check that a row of `take_values` and `take_list` ends where a line does.

        Raises:
            DatasetError: it does not.
        """
        if self._offset not in self._ends:
            raise DatasetError(
                f'line {self._line(self._offset - 1)} has more values than the header names.'
            )

    def numbers(self, tokens: Sequence[bytes], name: str, needed: bool) -> Float64:
        """Values as numbers; what is none is NaN, unless the column is needed.

        Raises:
            DatasetError: a needed value is no number and no way to write NaN.
        """
        try:
            return np.array(tokens, dtype=bytes).astype(np.float64)
        except ValueError:
            return np.array([_number(token, name, needed) for token in tokens], np.float64)

    def _line(self, token: int) -> int:
        """Number in the file of the line on which a value stands."""
        return self._first_line + int(np.searchsorted(self._ends, token, side='right'))

    def _refuse(self, start: int, names: Sequence[str]) -> None:
        line = self._line(start)
        index = line - self._first_line
        values = int(self._ends[index] - (self._ends[index - 1] if index else 0))
        raise DatasetError(
            f'line {line} has {values} values, but the header names {len(names)} '
            f'({", ".join(names[:6])}{", …" if len(names) > 6 else ""}).'
        )


def _number(token: bytes, name: str, needed: bool) -> float:
    try:
        return float(token)
    except ValueError:
        if needed and not _NAN.fullmatch(token):
            text = token.decode('ascii', 'replace')
            raise DatasetError(
                f'{text!r} in column {name} is no number; numbers have a decimal point, and '
                'blanks between them.'
            ) from None
        return float('nan')

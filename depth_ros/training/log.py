"""Numbers of a run over its steps, as CSV and for TensorBoard."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from depth_ros.errors import MissingDependencyError, TrainingError
from depth_ros.files import write_atomic

TABLES = ('train', 'held_out')
"""What is logged: means over steps of training, and scores on held-out examples."""


@dataclass
class Means:
    """Running means of named numbers between two rows of a log.

    Attributes:
        sums: by name.
        count: of steps.
    """

    sums: dict[str, float] = field(default_factory=dict)
    count: int = 0

    def add(self, values: Mapping[str, float]) -> None:
        """Take the numbers of one more step."""
        self.count += 1
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def take(self) -> dict[str, float]:
        """The means so far; starts anew."""
        means = {name: total / self.count for name, total in self.sums.items()}
        self.sums, self.count = {}, 0
        return means


class Log:
    """The `TABLES` in a folder: `<table>.csv`, with a column `step`.

    Rows after `step` are removed: a run that goes on from there writes them again.

    Args:
        folder: where to write, made if need be.
        step: steps done.
        tensorboard: also write event files into `tensorboard/`.

    Raises:
        MissingDependencyError: TensorBoard is wanted but not installed.
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: Path, step: int = 0, tensorboard: bool = False) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._board = _board(folder / 'tensorboard', step) if tensorboard else None
        self._columns = {table: _cut(folder / f'{table}.csv', step) for table in TABLES}

    def write(self, table: str, step: int, values: Mapping[str, float]) -> None:
        """Append a row.

        Raises:
            TrainingError: its columns are not those of the table.
            OSError: it cannot be written.
        """
        row = {'step': step, **values}
        path = self._folder / f'{table}.csv'
        columns = self._columns[table]
        text = io.StringIO()
        if not columns:
            columns += row
            csv.writer(text, lineterminator='\n').writerow(columns)
        if set(row) != set(columns):
            raise TrainingError(f'{path} has columns {columns}, got {list(row)} at step {step}.')
        csv.DictWriter(text, columns, lineterminator='\n').writerow(row)
        with path.open('a') as file:
            file.write(text.getvalue())
        if self._board:
            for name, value in values.items():
                self._board.add_scalar(f'{table}/{name}', value, step)

    def sync(self) -> None:
        """Have all rows on the disk, before a checkpoint that counts on them."""
        for table, columns in self._columns.items():
            if columns:
                with (self._folder / f'{table}.csv').open('a') as file:
                    os.fsync(file.fileno())
        if self._board:
            self._board.flush()

    def close(self) -> None:
        """Write what TensorBoard still holds."""
        if self._board:
            self._board.close()


def _cut(path: Path, step: int) -> list[str]:
    """Remove the rows after a step, and what a crash left of the last one; gives the columns."""
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    header, *rows = csv.reader([line for line in lines if line.endswith('\n')] or [''])
    if not header:
        path.unlink(missing_ok=True)
        return []
    kept = [row for row in rows if len(row) == len(header) and int(row[0]) <= step]
    text = io.StringIO()
    csv.writer(text, lineterminator='\n').writerows([header, *kept])
    write_atomic(path, text.getvalue().encode())
    return header


def _board(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingDependencyError('tensorboard', 'train') from error
    return SummaryWriter(str(folder), purge_step=step + 1)  # hides later steps of an ended run

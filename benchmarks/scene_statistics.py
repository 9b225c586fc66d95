"""Simulated streets and rooms beside real ones: is as much in them, and is it as large?

Run: python3 benchmarks/scene_statistics.py [--figure FILE.png] [--json FILE]
     [--street SOURCE ...] [--room SOURCE ...] [--only fit]
Real samples lie in $DEPTH_ROS_DATA (default ../shared) data/: streets are KITTI, rooms are of
depth cameras (NYU, 7-Scenes, TUM, Redwood). real_sets.py says by which of them constants may be
chosen (`--only fit`), and which ones judge. A SOURCE is all that `open_dataset` opens. One of the
simulator gets the camera of the real samples unless it names another, and without `seed=` stands
for several worlds.

Both go the same way (scene_measures.py has the statistics): streets are measured by the returns of
one sweep, less those that something nearer covers, rooms by dense depth.

The range of the real samples is that of the medians of their sets.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

import cv2
import numpy as np
from real_sets import ROOT, part_of, spread
from scene_measures import UNITS, measure

from depth_ros.datasets.base import Sample
from depth_ros.datasets.open import SIMULATOR_PREFIX, open_dataset
from depth_ros.evaluation.figures import INK_RGB, PAPER_RGB, write_png
from depth_ros.evaluation.report import markdown, write_json
from depth_ros.frame import Float64, UInt8

COLOR_CAMERAS = ('image_02', 'image_2')  # of KITTI, which has grey ones before them
HISTOGRAMS = (  # what of, and the ends of the axis
    ('gradient of the image [grey levels per pixel]', 1.0, 128.0),
    ('misfit of the plane in 5 deg [% of depth]', 0.1, 100.0),
)
SETS_RGB, COLORS = (120, 120, 128), ((255, 176, 0), (70, 190, 255), (235, 70, 140), (90, 220, 120))
HEIGHT, WIDTH, LEFT, BELOW = 430, 680, 24, 60  # of a panel in pixels, and margins of its axis


class Domain(NamedTuple):
    """Real sets of one kind of scene, and what is simulated beside them by default."""

    sets: tuple[str, ...]
    simulated: str
    settings: str
    by_returns: bool
    depths_m: tuple[float, float]

    @property
    def bins(self) -> dict[str, Float64]:
        """Edges of the bins of the histograms."""
        axes = (('depth of the cells [m]', *self.depths_m), *HISTOGRAMS)
        return {name: np.geomspace(low, high, 31) for name, low, high in axes}


DOMAINS = {
    'street': Domain(
        (
            *('kitti_dc_drive0001', 'kitti_obj_000001', 'kitti_obj_0926_a', 'kitti_gt_0926_0009'),
            *('kitti_gt_0930_0016', 'kitti_odo00_1003_0027', 'kitti_obj_0929'),
            *('kitti_obj_000004', 'kitti_seq_traffic_a'),
        ),
        'simulator:street',
        'width=1242&height=375&fov_deg=81.4&frames=4&rate_hz=0.5'
        '&sweep.rings=hdl64e&sweep.azimuth_step_deg=0.173',
        by_returns=True,
        depths_m=(2.0, 100.0),
    ),
    'room': Domain(
        ('nyu_m3d', 'rgbd_7scenes_a', 'rgbd_nyu_a', 'rgbd_tum_fr3', 'rgbd_redwood_lr'),
        'simulator:indoor',
        'width=640&height=480&fov_deg=63.4&tilt_deg=14&frames=4&rate_hz=0.5',
        by_returns=False,
        depths_m=(0.5, 20.0),
    ),
}


@dataclass(frozen=True)
class Statistics:
    """Of the images of one source: numbers by name (images,), and mean shares of the `BINS`."""

    values: dict[str, Float64]
    shares: dict[str, Float64]

    @property
    def medians(self) -> dict[str, float]:
        """Median over the images by name."""
        return {name: float(np.median(values)) for name, values in self.values.items()}


def statistics(samples: Iterator[Sample], domain: Domain) -> Statistics:
    """Statistics of the depth and the image of samples of rectified cameras."""
    found = [measure(sample, domain.by_returns) for sample in samples]
    shares: dict[str, Float64] = {}
    for column, (name, bins) in enumerate(domain.bins.items()):
        each = [(one.depth_m, one.gradient, one.misfit_percent)[column] for one in found]
        shares[name] = np.mean([np.histogram(one, bins)[0] / one.size for one in each], axis=0)
    values = {name: np.array([one.values[name] for one in found]) for name in found[0].values}
    return Statistics(values, shares)


def opened(source: str, domain: Domain, worlds: int) -> list[str]:
    """The source alone, or if it is of the simulator, with what it leaves open, by world."""
    if not source.startswith(SIMULATOR_PREFIX):
        return [source]
    scene, _, given = source.partition('?')
    settings = dict(parse_qsl(domain.settings)) | dict(parse_qsl(given))
    seeds = [settings.pop('seed')] if 'seed' in settings else range(worlds)
    return [f'{scene}?{urlencode(settings | {"seed": seed})}' for seed in seeds]


def samples_of(names: list[str], images: int) -> Iterator[Sample]:
    """Samples of one camera of each of the sources, spread over it."""
    for name in names:
        dataset = open_dataset(name)
        known = dataset.camera_names
        if len(known) > 1:
            wanted = next((camera for camera in COLOR_CAMERAS if camera in known), known[0])
            dataset = open_dataset(name, [wanted])
        for index in spread(len(dataset), images):
            yield dataset.sample(index)


def verdict(value: float, low: float, high: float) -> str:
    """Whether a value is in the range of the real sets, or on which side of it."""
    if value < low:
        return 'out: low'
    return 'out: high' if value > high else 'in range'


def compared(real: dict[str, Statistics], made: dict[str, Statistics]) -> list[dict[str, Any]]:
    """A row per statistic: range and median of the real sets, and what is simulated beside it."""
    rows = []
    for name in next(iter(real.values())).values:
        medians = {key: found.medians[name] for key, found in real.items()}
        low, high = min(medians.values()), max(medians.values())
        row: dict[str, Any] = {'statistic': f'{name} [{UNITS[name]}]'}
        row |= {'real, range of sets': f'{low:.3g} to {high:.3g}'}
        row |= {'real, median of sets': f'{np.median(list(medians.values())):.3g}'}
        for key, found in made.items():
            value = found.medians[name]
            row |= {key: f'{value:.3g}', f'{key}?': verdict(value, low, high)}
        rows.append(row)
    return rows


def figure(
    real: dict[str, Statistics], made: dict[str, Statistics], title: str, bins: dict[str, Float64]
) -> UInt8:
    """A column of panels: the histograms, each real set a grey line, and the medians."""
    panels = [_steps(f'{title}: {name}', name, edges, real, made) for name, edges in bins.items()]
    return np.vstack([*panels, _ranges(f'{title}: medians of images', real, made)])


def _steps(
    title: str,
    name: str,
    bins: Float64,
    real: dict[str, Statistics],
    made: dict[str, Statistics],
) -> UInt8:
    """Mean share of each bin over a logarithmic axis, as a stepped line for each source."""
    panel = _panel(title, real, made)
    top, bottom = 60, HEIGHT - BELOW
    x = np.linspace(LEFT, WIDTH - LEFT, len(bins)).repeat(2)[1:-1]
    highest = max(found.shares[name].max() for found in (*real.values(), *made.values()))
    colors = [SETS_RGB] * len(real) + [COLORS[index % len(COLORS)] for index in range(len(made))]
    for color, found in zip(colors, (*real.values(), *made.values()), strict=True):
        y = bottom - (found.shares[name] / highest * (bottom - top)).repeat(2)
        line = np.stack((x, y), axis=1).round().astype(np.int32)
        thickness = 1 if color == SETS_RGB else 2
        cv2.polylines(panel, [line], False, color, thickness, cv2.LINE_AA)
    cv2.line(panel, (LEFT, bottom), (WIDTH - LEFT, bottom), INK_RGB)
    low, high = np.log10(bins[[0, -1]])
    for decade in range(-2, 3):
        for tick in np.array((1.0, 2.0, 5.0)) * 10.0**decade:
            column = round(LEFT + (np.log10(tick) - low) / (high - low) * (WIDTH - 2 * LEFT))
            if LEFT <= column <= WIDTH - LEFT:
                cv2.line(panel, (column, bottom), (column, bottom + 5), INK_RGB)
                _write(panel, f'{tick:g}', column - 4 * len(f'{tick:g}'), bottom + 22, INK_RGB)
    _write(panel, f'highest {100 * highest:.0f} %', LEFT, bottom + 46, INK_RGB)
    return panel


def _ranges(title: str, real: dict[str, Statistics], made: dict[str, Statistics]) -> UInt8:
    """A row per statistic: all real ranges drawn equally long, and where sources lie in them."""
    panel = _panel(title, real, made)
    left, right = 260, 480
    for row, name in enumerate(next(iter(real.values())).values):
        y = 80 + 27 * row
        medians = [found.medians[name] for found in real.values()]
        low, high = min(medians), max(medians)

        def column(value: float, low: float = low, high: float = high) -> int:
            share = (value - low) / max(high - low, 1e-9)
            return round(left + np.clip(share, -0.2, 1.1) * (right - left))

        _write(panel, f'{name} [{UNITS[name]}]', LEFT, y + 5, INK_RGB)
        cv2.line(panel, (left, y), (right, y), SETS_RGB, 1)
        for value in medians:
            cv2.line(panel, (column(value), y - 7), (column(value), y + 7), SETS_RGB, 1)
        _write(panel, f'{low:.3g} to {high:.3g}', right + 42, y + 5, SETS_RGB)
        for index, found in enumerate(made.values()):
            at, color = (column(found.medians[name]), y), COLORS[index % len(COLORS)]
            cv2.circle(panel, at, 5, color, 2, cv2.LINE_AA)
    return panel


def _panel(title: str, real: dict[str, Statistics], made: dict[str, Statistics]) -> UInt8:
    """An empty panel with a title and the names of what is drawn."""
    panel = np.full((HEIGHT, WIDTH, 3), PAPER_RGB, np.uint8)
    _write(panel, title, LEFT, 24, INK_RGB)
    left = LEFT
    names = (f'{len(real)} real sets', *made)
    for name, color in zip(names, (SETS_RGB, *COLORS * len(made)), strict=False):
        _write(panel, name, left, 46, color)
        left += 10 * len(name) + 20
    return panel


def _write(panel: UInt8, text: str, left: int, baseline: int, color: tuple[int, ...]) -> None:
    cv2.putText(panel, text, (left, baseline), cv2.FONT_HERSHEY_DUPLEX, 0.5, color, 1, cv2.LINE_AA)


def _labels(sources: list[str]) -> dict[str, str]:
    """Sources by what to call them: without the query where that tells them apart."""
    short = [Path(source.partition('?')[0]).name for source in sources]
    return {
        name if short.count(name) == 1 else source: source
        for name, source in zip(short, sources, strict=True)
    }


def main() -> None:
    """Print the tables; write the figure and the numbers if asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, domain in DOMAINS.items():
        text = f'what to compare with real {name}s (default {domain.simulated})'
        parser.add_argument(f'--{name}', nargs='*', default=[domain.simulated], help=text)
    parser.add_argument('--only', choices=('fit', 'judge'), help='which real sets (default both)')
    parser.add_argument('--images', type=int, default=6, help='of a set or world (default 6)')
    parser.add_argument(
        '--worlds', type=int, default=12, help='of a simulated source (default 12)'
    )
    parser.add_argument('--figure', type=Path, help='PNG to write')
    parser.add_argument('--json', type=Path, help='file for the medians of every source')
    options = parser.parse_args()
    columns, numbers = [], {}
    for name, domain in DOMAINS.items():
        sources = _labels(getattr(options, name))
        if not sources:
            continue
        sets = [key for key in domain.sets if options.only in (None, part_of(key))]

        def of(source: str, domain: Domain = domain) -> Statistics:
            names = opened(source, domain, options.worlds)
            return statistics(samples_of(names, options.images), domain)

        real = {key: of(str(ROOT / 'data' / key)) for key in sets}
        made = {key: of(source) for key, source in sources.items()}
        print(f'## {name}\n\n{markdown(compared(real, made))}\n')
        by_set = {key: found.medians for key, found in (real | made).items()}
        print(
            markdown([{'medians': key} | _rounded(found) for key, found in by_set.items()]), '\n'
        )
        numbers[name] = {'real': list(real), 'simulated': sources, 'medians': by_set}
        columns.append(figure(real, made, name, domain.bins))
    if options.json:
        write_json(options.json, numbers)
    if options.figure:
        write_png(options.figure, np.hstack(columns))


def _rounded(found: dict[str, float]) -> dict[str, str]:
    return {name: f'{value:.3g}' for name, value in found.items()}


if __name__ == '__main__':
    main()

"""Results for a benchmark's server: one PNG for each image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from depth_ros.datasets.base import Dataset, Sample
from depth_ros.datasets.images import write_depth
from depth_ros.datasets.kitti import DEPTH_ENCODING
from depth_ros.errors import EvaluationError
from depth_ros.evaluation.evaluate import blame_sample, one_per_camera, seen_by_method
from depth_ros.evaluation.protocols import PROTOCOLS, SETTINGS
from depth_ros.pipeline.config import PipelineConfig
from depth_ros.settings import replaced


def write_kitti_results(
    dataset: Dataset,
    config: PipelineConfig,
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Complete every image and write what KITTI's server takes: uint16, depth in metres times 256.

    Depth is dense: what the method leaves out is filled from the nearest estimate. Images of
    `test_depth_completion_anonymous` keep their names (`0000000000.png`), others have those of
    their samples. Each file is there whole or not at all.

    Args:
        dataset: such as the anonymous test set; truth is not looked at.
        config: settings of the pipeline, the method among them.
        folder: where the files go; it is made.
        progress: `progress(done, of)` is called after each image.

    Raises:
        EvaluationError: an image cannot be completed, with its name and why.
        OSError: a file cannot be written.
    """
    protocol = PROTOCOLS['kitti-dc']
    with one_per_camera(dataset, replaced(config, SETTINGS)) as pipelines:
        for index in range(len(dataset)):
            sample = dataset.sample(index)
            with blame_sample(dataset, sample):
                seen = seen_by_method(sample, 0, protocol.thinning, protocol)
                result = pipelines[sample.camera_name].process(seen.frame)
                if not result.is_metric:
                    raise EvaluationError(f'{result.method} gives no metres.')
            judged_m = protocol.judged(result.estimate.depth_m)
            write_depth(folder / f'{_result_name(sample)}.png', judged_m, DEPTH_ENCODING)
            if progress is not None:
                progress(index + 1, len(dataset))


def _result_name(sample: Sample) -> str:
    return sample.name.removeprefix('image_') if sample.camera_name == 'image' else sample.name

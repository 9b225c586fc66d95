"""A method judged on a dataset: the pipeline runs as on a robot, and truth decides."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from depth_ros.datasets.base import Dataset, Sample
from depth_ros.datasets.lost import LostImage, each, nothing_done
from depth_ros.errors import ConfigError, DepthRosError, EvaluationError, PipelineError
from depth_ros.evaluation.metrics import Scores, judged_scores, mean_scores, score_image
from depth_ros.evaluation.protocols import SETTINGS, Protocol
from depth_ros.evaluation.support import SupportScores, by_support, mean_support
from depth_ros.evaluation.thinning import Thinning, image_seed, refuse_without_lidar, split
from depth_ros.frame import Float32, Frame
from depth_ros.geometry.resize import resize_sparse
from depth_ros.pipeline.calibration import hold_out
from depth_ros.pipeline.config import PipelineConfig
from depth_ros.pipeline.fusion import FusionPipeline
from depth_ros.pipeline.result import StageTimer
from depth_ros.settings import replaced

GROUND_TRUTH = 'depth_gt'
HELD_OUT_LIDAR = 'held-out LiDAR'
REMOVED_LIDAR = 'removed LiDAR'


@dataclass(frozen=True)
class ImageResult:
    """One scored image.

    Attributes:
        name: of the sample.
        camera_name: its camera.
        truth: what judged it: `GROUND_TRUTH`, `HELD_OUT_LIDAR`, or `REMOVED_LIDAR`, what thinning
            took away.
        scores: its scores.
        support: scores by the distance to the returns that the method was given.
        timings_ms: time by stage.
    """

    name: str
    camera_name: str
    truth: str
    scores: Scores
    support: SupportScores
    timings_ms: dict[str, float]


@dataclass(frozen=True)
class Evaluation:
    """What a method reached on a dataset.

    Attributes:
        method: name of the method.
        needs_lidar: whether it completes sparse depth.
        images: every image that was scored, in order.
        lost: the others.
        runs_on: what the method ran on, and at which size where that is another.
    """

    method: str
    needs_lidar: bool
    images: tuple[ImageResult, ...]
    lost: tuple[LostImage, ...] = ()
    runs_on: str = ''

    @property
    def truth(self) -> str:
        """What judged the images; both kinds where a dataset has truth for only some."""
        return ' and '.join(sorted({image.truth for image in self.images}))

    @property
    def scores(self) -> Scores:
        """Means of per-image values.

        Raises:
            EvaluationError: images were judged by two kinds of truth, whose errors have no
                common mean; take the parts of `by_truth`.
        """
        if len({image.truth for image in self.images}) > 1:
            raise EvaluationError(
                f'Images judged by {self.truth} have no common mean; take each kind alone.'
            )
        return mean_scores([image.scores for image in self.images])

    @property
    def support(self) -> SupportScores:
        """Scores by the distance to the next return, over all images."""
        return mean_support([image.support for image in self.images])

    @property
    def ms(self) -> dict[str, float]:
        """Median time by stage, and in total, in milliseconds."""
        return _median_ms(self.images)

    def by_truth(self) -> list[Evaluation]:
        """The same in parts, one for each kind of truth; each names all lost images."""
        return [
            replace(self, images=tuple(image for image in self.images if image.truth == kind))
            for kind in sorted({image.truth for image in self.images})
        ]


def evaluate(
    dataset: Dataset,
    config: PipelineConfig,
    *,
    held_out_share: float = 0.10,
    seed: int = 0,
    thinning: Thinning | None = None,
    beside: Sequence[Thinning] = (),
    protocol: Protocol | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Score a method on every image of a dataset.

    Each camera has a pipeline of its own that sees its images in order, as on a robot, so the
    calibration of sigma learns as it would there. An image is judged by its ground truth, or by
    LiDAR returns that the method does not get to see: those that thinning takes away, else
    windows of them (`pipeline.calibration.hold_out`). Lost or broken images are left out and
    named.

    Args:
        dataset: images to score.
        config: settings of the pipeline, the method among them.
        held_out_share: share of the returns that is taken away where there is no ground truth.
        seed: of every random choice; the choice for an image does not depend on the others.
        thinning: what the method gets of the LiDAR; truth that it gets as points stays in the
            truth, as the benchmarks of the field do it.
        beside: thinnings whose scores are to be compared with these: without ground truth the
            same returns judge them all.
        protocol: of a benchmark, whose crop, thinning, settings and filling are then taken.
        progress: `progress(done, of)` is called after each image.

    Raises:
        EvaluationError: no image could be scored, with the name of the first and why; or there
            is none.
        ConfigError: nothing can be scored with these settings, such as depth that is relative.
    """
    if protocol is not None:
        config = replaced(config, SETTINGS)
        thinning = protocol.thinning if thinning is None else thinning
    if not 0.0 < held_out_share <= 0.5:
        raise ConfigError(f'The share that is held out must be in (0, 0.5], got {held_out_share}.')
    lost: list[LostImage] = []
    with one_per_camera(dataset, config) as pipelines:

        def score(sample: Sample) -> ImageResult:
            pipeline, judges_m = pipelines[sample.camera_name], None
            _refuse_unjudged(sample, protocol)
            if thinning is not None and sample.depth_gt_m is None:
                rows = (thinning, *beside)
                seen, judges = split(sample, thinning, rows, held_out_share, seed)
                judges_m = _returns_of(pipeline, judges, sample.frame)
                sample = replace(sample, frame=seen)
            else:
                sample = seen_by_method(sample, seed, thinning, protocol)
            refuse_without_lidar(sample, pipeline.method)
            return _score(pipeline, sample, judges_m, held_out_share, seed, protocol)

        images = tuple(each(dataset, score, lost, progress))
        method = next(iter(pipelines.values())).method
        runs_on = '; '.join(dict.fromkeys(pipeline.runs_on for pipeline in pipelines.values()))
    if not images:
        raise EvaluationError(
            nothing_done(dataset, lost) if lost else f'{dataset.name} has no images to score.'
        )
    return Evaluation(method.name, method.needs_lidar, images, tuple(lost), runs_on)


def seen_by_method(
    sample: Sample, seed: int, thinning: Thinning | None, protocol: Protocol | None
) -> Sample:
    """A sample as a protocol crops it, with what is left of its LiDAR; errors are of those."""
    if protocol is not None:
        sample = protocol.view(sample)
    if thinning is not None:
        sample = replace(sample, frame=thinning.frame(sample, seed))
    return sample


@contextlib.contextmanager
def blame_sample(dataset: Dataset, sample: Sample) -> Iterator[None]:
    """Turn what goes wrong with a sample into an EvaluationError that names it."""
    try:
        yield
    except DepthRosError as error:
        raise EvaluationError(f'{dataset.name}, {sample.name}: {error}') from error


@contextlib.contextmanager
def one_per_camera(
    dataset: Dataset, config: PipelineConfig
) -> Iterator[dict[str, FusionPipeline]]:
    """A pipeline for each camera of a dataset, by its name; in the end they are closed."""
    with contextlib.ExitStack() as stack:
        yield {
            camera: stack.enter_context(contextlib.closing(FusionPipeline(config)))
            for camera in dataset.camera_names
        }


def truth_in_view(depth_gt_m: Float32, height: int, width: int) -> Float32:
    """Ground truth at the size of the estimate (H, W); pixels are moved, never interpolated."""
    if depth_gt_m.shape == (height, width):
        return depth_gt_m
    return resize_sparse(depth_gt_m, width, height)


def _refuse_unjudged(sample: Sample, protocol: Protocol | None) -> None:
    if sample.truth_lost:
        raise EvaluationError(f'The ground truth cannot be read: {sample.truth_lost}')
    if sample.depth_gt_m is None and protocol is not None:
        raise EvaluationError('There is no ground truth, without which no benchmark judges.')


def _returns_of(pipeline: FusionPipeline, judges: Frame, whole: Frame) -> Float32:
    """Sparse depth (H, W) of the judging ones among all returns of a frame, as filtered.

    All of them tell which one the camera cannot see, of the judges alone too few would.

    Raises:
        EvaluationError: there is none.
    """
    try:
        judges_m, whole_m = (pipeline.observe(frame).sparse_m for frame in (judges, whole))
    except PipelineError as error:
        raise EvaluationError(
            f'No return that was taken away is left to judge: {error}'
        ) from error
    judges_m = np.where(np.isclose(judges_m, whole_m, rtol=1e-4), judges_m, np.float32(0.0))
    if not judges_m.any():
        raise EvaluationError('No return that was taken away is left in the image to judge.')
    return judges_m


def _score(
    pipeline: FusionPipeline,
    sample: Sample,
    judges_m: Float32 | None,
    share: float,
    seed: int,
    protocol: Protocol | None,
) -> ImageResult:
    pipeline.prepare(sample.frame)
    watch = StageTimer()
    view = pipeline.observe(sample.frame, watch)
    if sample.depth_gt_m is not None:
        kind, truth_m = GROUND_TRUTH, truth_in_view(sample.depth_gt_m, *view.sparse_m.shape)
    elif judges_m is not None:
        kind, truth_m = REMOVED_LIDAR, judges_m
    else:
        kind = HELD_OUT_LIDAR
        if not view.sparse_m.any():
            raise EvaluationError('There is neither ground truth nor LiDAR to judge by.')
        seen_m, truth_m = hold_out(view.sparse_m, share, image_seed(sample, seed))
        if not truth_m.any():
            returns = np.count_nonzero(view.sparse_m)
            raise EvaluationError(f'{returns} returns in the image are too few to hold any out.')
        view = replace(view, sparse_m=seen_m)
    if view.masked is not None:
        truth_m = np.where(view.masked, np.float32(0), truth_m)  # where nobody asks for depth
    result = pipeline.complete(view)
    estimate = result.estimate
    if not result.is_metric:
        raise ConfigError(
            f'{result.method} gives {estimate.kind.value}, whose scale and shift are unknown: '
            'there are no metres to score. Take weights that give metres (`depth_ros models '
            'list`).'
        )
    scores = score_image(estimate.depth_m, estimate.sigma_m, truth_m)
    support = by_support(estimate.depth_m, estimate.sigma_m, truth_m, view.sparse_m)
    if protocol is not None:
        scores = judged_scores(scores, protocol.judged(estimate.depth_m), truth_m)
    timings_ms = {**watch.timings_ms, **result.timings_ms}
    return ImageResult(sample.name, sample.camera_name, kind, scores, support, timings_ms)


def _median_ms(images: Sequence[ImageResult]) -> dict[str, float]:
    rows = [{**image.timings_ms, 'total': sum(image.timings_ms.values())} for image in images]
    return {stage: float(np.median([row[stage] for row in rows])) for stage in rows[0]}

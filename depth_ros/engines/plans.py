"""An engine on a TensorRT plan: from the cache or built, but never unchecked."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable

from depth_ros.engines.base import Engine, NotBuiltError
from depth_ros.engines.build import build_plan
from depth_ros.engines.build_monitor import Progress
from depth_ros.engines.exported import Exported
from depth_ros.engines.plan_cache import PlanCache, PlanKey
from depth_ros.engines.self_check import SelfCheckError, check
from depth_ros.engines.tensorrt_engine import PlanError, TensorRTEngine
from depth_ros.errors import EngineError

_log = logging.getLogger(__name__)


def open_tensorrt(
    exported: Exported,
    *,
    fp32: Callable[[], Exported],
    may_build: bool,
    progress: Progress | None = None,
    cache: PlanCache | None = None,
) -> Engine:
    """An engine that runs a network in TensorRT and has passed the self-check.

    A plan that is damaged, foreign or wrong is set aside and built once more. Where that one is
    wrong as well, FP16 gives way to FP32, at once the next time. That memory is short now, or CUDA
    fails, is nothing against a plan.

    Args:
        exported: the network.
        fp32: the same network in FP32, called if it is needed.
        may_build: build a plan that is missing, which takes minutes.
        progress: told how far the build is.
        cache: default is the user's.

    Raises:
        NotBuiltError: there is no good plan and none may be built.
        EngineError: none that can be built computes what it must; or there is no GPU, no
            TensorRT, no room.
    """
    cache = cache or PlanCache()
    if may_build:
        build = functools.partial(_build, cache=cache, progress=progress)
    else:
        build = functools.partial(_miss, cache=cache)
    key = PlanKey.of(exported)
    reason = cache.refusal(key)
    if reason is None:
        try:
            return _open(exported, key, cache, build)
        except SelfCheckError as error:
            if exported.precision == 'fp32':
                raise
            reason = str(error)
            cache.refuse(key, reason)
    _log.warning('%s runs in FP32, for in FP16 TensorRT fails: %s', exported.family, reason)
    exported = fp32()
    return _open(exported, PlanKey.of(exported), cache, build)


def _open(
    exported: Exported,
    key: PlanKey,
    cache: PlanCache,
    build: Callable[[Exported, PlanKey], bytes],
) -> Engine:
    """The engine of the plan in the cache, or if that is none or a bad one, of a new plan."""
    if (plan := cache.lookup(key)) is not None:
        try:
            return _checked(plan, exported)
        except (PlanError, SelfCheckError) as error:
            cache.quarantine(key, plan, str(error))
    plan = build(exported, key)
    try:
        return _checked(plan, exported)
    except (PlanError, SelfCheckError) as error:
        cache.quarantine(key, plan, str(error))
        raise


def _build(
    exported: Exported, key: PlanKey, *, cache: PlanCache, progress: Progress | None
) -> bytes:
    """A new plan, or that of another process which was building it meanwhile."""
    with cache.locked(key):
        plan = cache.lookup(key)
        if plan is None:
            plan = build_plan(exported, timing_cache=cache.timings(key), progress=progress)
            cache.store(key, plan)
    return plan


def _miss(exported: Exported, key: PlanKey, *, cache: PlanCache) -> bytes:
    raise NotBuiltError(
        f'{cache.path(key)} is missing: `depth_ros build` makes the plan of {exported.onnx.name}.'
    )


def _checked(plan: bytes, exported: Exported) -> Engine:
    """The engine of a plan, if it computes what it must."""
    engine = TensorRTEngine(plan, exported)
    try:
        check(engine, exported)
    except EngineError:
        engine.close()
        raise
    return engine

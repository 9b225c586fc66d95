"""Networks with public weights: what they are, where they come from, on which terms."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import cast

from depth_ros.errors import ModelError
from depth_ros.models.base import NetworkFamily

Rgb = tuple[float, float, float]
Normalisation = tuple[Rgb, Rgb]
"""Mean and standard deviation of RGB in 0..255."""

# configs/data/KITTI.yaml of BP-Net.
KITTI: Normalisation = ((90.9950, 96.2278, 94.3213), (79.2382, 80.5267, 82.1483))
# 255 times 0.485 0.456 0.406 and 0.229 0.224 0.225. BP-Net's loader of NYU images takes these; the
# values in its configs/data/NYU.yaml are not used.
IMAGENET: Normalisation = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))


@dataclass(frozen=True)
class ModelCard:
    """One set of public weights.

    Attributes:
        name: what it is called here.
        family: name in `FAMILIES` of the network that it belongs to.
        title: what it is, in a few words.
        source: page of the project.
        file_name: of the weights, as their authors call it.
        url: where the file lies, or empty if it cannot be fetched without a browser.
        by_hand: how to get it then.
        trained_on: data.
        code_licence: of the authors' code.
        weights_licence: of the weights; `licence not stated` where the authors do not say.
        data_licence: of the training data, as far as known.
        parameters: number of parameters.
        size_bytes: of the file, where the source publishes it.
        sha256: of the file, where the source publishes it.
        depth_scale: metres are multiplied by it before the network and divided after.
        normalisation: of the image before the network.
    """

    name: str
    family: str
    title: str
    source: str
    file_name: str
    trained_on: str
    code_licence: str
    data_licence: str
    parameters: int
    weights_licence: str = 'licence not stated'
    url: str = ''
    by_hand: str = ''
    size_bytes: int | None = None
    sha256: str | None = None
    depth_scale: float = 1.0
    normalisation: Normalisation = KITTI

    @property
    def megabytes(self) -> int:
        """Size of the file, or of the parameters in float32 where it is not published."""
        return round((self.size_bytes or 4 * self.parameters) / 1e6)

    @property
    def terms(self) -> str:
        """The licences in one line."""
        return (
            f'code: {self.code_licence}; weights: {self.weights_licence}; '
            f'training data: {self.data_licence}'
        )


_BPNET = 'https://github.com/kakaxi314/BP-Net'
_DMD3C = 'https://github.com/Sharpiless/DMD3C'
_DMD3C_FILES = f'{_DMD3C}/releases/download/pretrain-checkpoints'
_PARAMETERS = 89_873_730


def _from_drive(name: str, archive: str, file_id: str) -> str:
    return (
        f'Download the archive {archive} with a browser from '
        f'https://drive.google.com/file/d/{file_id}/view, then run '
        f'`depth_ros models fetch {name} --from ARCHIVE`.'
    )


_CARDS = (
    ModelCard(
        name='dmd3c',
        family='bpnet',
        title='DMD3C (CVPR 2025)',
        source=_DMD3C,
        file_name='dmd3c_distillation_depth_anything_v2.pth',
        url=f'{_DMD3C_FILES}/dmd3c_distillation_depth_anything_v2.pth',
        trained_on='as dmd3c-pretrained, then KITTI',
        code_licence='MIT',
        data_licence='KITTI is CC BY-NC-SA 3.0, the others have their own',
        parameters=_PARAMETERS,
    ),
    ModelCard(
        name='dmd3c-pretrained',
        family='bpnet',
        title='DMD3C, first stage only',
        source=_DMD3C,
        file_name='pretrained_mixed_singleview_256.pth',
        url=f'{_DMD3C_FILES}/pretrained_mixed_singleview_256.pth',
        trained_on='COCO, Landmarks, nuScenes, Cityscapes, DAVIS; depth by Depth Anything V2',
        code_licence='MIT',
        data_licence='each set has its own, several are non-commercial',
        parameters=_PARAMETERS,
    ),
    ModelCard(
        name='bpnet-kitti',
        family='bpnet',
        title='BP-Net (CVPR 2024), outdoors',
        source=_BPNET,
        file_name='BP_KITTI/result_ema.pth',
        by_hand=_from_drive('bpnet-kitti', 'BP_KITTI', '1sNq68jEEyLU2_XmH1UZRs4wOrt_MidcO'),
        trained_on='KITTI',
        code_licence='MIT',
        data_licence='KITTI is CC BY-NC-SA 3.0',
        parameters=_PARAMETERS,
    ),
    ModelCard(
        name='bpnet-nyu',
        family='bpnet',
        title='BP-Net (CVPR 2024), indoors',
        source=_BPNET,
        file_name='BP_NYU/result_ema.pth',
        by_hand=_from_drive('bpnet-nyu', 'BP_NYU', '1XfKoJVCkj_J5euTkONI_iBx9ZxLUov9w'),
        trained_on='NYU Depth v2, 500 points',
        code_licence='MIT',
        data_licence='NYU Depth v2 is for research, without an explicit licence',
        parameters=_PARAMETERS,
        depth_scale=10.0,
        normalisation=IMAGENET,
    ),
)

MODELS = {card.name: card for card in _CARDS}
"""What can be fetched, by name; of what is fetched, the first is the default."""

FAMILIES = {'bpnet': 'depth_ros.models.bpnet'}
"""Modules that are a `NetworkFamily`, by name."""


def card(name: str) -> ModelCard:
    """The card of public weights.

    Raises:
        ModelError: there are none of this name.
    """
    if name not in MODELS:
        raise ModelError(f'There are no weights {name!r}; there are {list(MODELS)}.')
    return MODELS[name]


def family(name: str) -> NetworkFamily:
    """A family of networks; its module is imported now.

    Raises:
        ModelError: there is no such family.
        MissingDependencyError: PyTorch is not installed.
    """
    if name not in FAMILIES:
        raise ModelError(f'There is no network family {name!r}; there are {list(FAMILIES)}.')
    return cast(NetworkFamily, importlib.import_module(FAMILIES[name]))

"""Public weights for camera and LiDAR: BP-Net and DMD3C."""

from __future__ import annotations

from depth_ros.models.base import IMAGENET, KITTI
from depth_ros.weights.card import ModelCard

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


COMPLETION = (
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
        normalisation=KITTI,
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
        normalisation=KITTI,
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
        normalisation=KITTI,
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

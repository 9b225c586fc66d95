"""Public weights for one camera: Depth Anything and Depth Pro."""

from __future__ import annotations

from collections.abc import Iterator

from depth_ros.frame import DepthKind
from depth_ros.weights.card import ModelCard

_HUB = 'https://huggingface.co'
_V1 = 'https://github.com/LiheYoung/Depth-Anything'
_V2 = 'https://github.com/DepthAnything/Depth-Anything-V2'
_PRO = 'https://github.com/apple/ml-depth-pro'
_NON_COMMERCIAL = 'CC-BY-NC-4.0 (no commercial use)'

_SIZES = {
    's': ('small', 24_785_089),
    'b': ('base', 97_470_785),
    'l': ('large', 335_315_649),
}
_RANGES = {
    20: ('indoor', 'Hypersim', 'CC BY-SA 3.0'),
    80: ('outdoor', 'VKITTI', 'CC BY-NC-SA 3.0'),
}
_V2_DATA = '595,000 synthetic images, then 62 million real ones labelled by a larger model'


def _v2_licence(letter: str) -> str:
    return 'Apache-2.0' if letter == 's' else _NON_COMMERCIAL


def _relative() -> Iterator[ModelCard]:
    for letter, (size, parameters) in _SIZES.items():
        folder = f'Depth-Anything-V2-{size.title()}'
        file_name = f'depth_anything_v2_vit{letter}.pth'
        yield ModelCard(
            name=f'da2-{size}',
            family=f'depth_anything_v2_{letter}',
            title=f'Depth Anything V2 {size.title()}, relative',
            source=_V2,
            file_name=file_name,
            url=f'{_HUB}/depth-anything/{folder}/resolve/main/{file_name}',
            trained_on=_V2_DATA,
            code_licence='Apache-2.0',
            weights_licence=_v2_licence(letter),
            data_licence='each set has its own, several are non-commercial',
            parameters=parameters,
            monocular=True,
            kind=DepthKind.DISPARITY_AFFINE,
        )
    for letter, (size, parameters) in _SIZES.items():
        file_name = f'depth_anything_vit{letter}14.pth'
        yield ModelCard(
            name=f'da1-{size}',
            family=f'depth_anything_v1_{letter}',
            title=f'Depth Anything V1 {size.title()}, relative',
            source=_V1,
            file_name=file_name,
            url=f'{_HUB}/spaces/LiheYoung/Depth-Anything/resolve/main/checkpoints/{file_name}',
            trained_on='1.5 million labelled images, 62 million labelled by a model',
            code_licence='Apache-2.0',
            weights_licence='Apache-2.0 (of the repository)',
            data_licence='each set has its own, several are non-commercial',
            parameters=parameters,
            monocular=True,
            kind=DepthKind.DISPARITY_AFFINE,
        )


def _metric() -> Iterator[ModelCard]:
    for letter, (size, parameters) in _SIZES.items():
        for range_m, (where, data, data_licence) in _RANGES.items():
            folder = f'Depth-Anything-V2-Metric-{data}-{size.title()}'
            file_name = f'depth_anything_v2_metric_{data.lower()}_vit{letter}.pth'
            yield ModelCard(
                name=f'da2-{where}-{size}',
                family=f'depth_anything_v2_{letter}_{range_m}m',
                title=f'Depth Anything V2 {size.title()}, metres up to {range_m}',
                source=_V2,
                file_name=file_name,
                url=f'{_HUB}/depth-anything/{folder}/resolve/main/{file_name}',
                trained_on=f'as da2-{size}, then {data}',
                code_licence='Apache-2.0',
                weights_licence=f'not stated apart; those of da2-{size}: {_v2_licence(letter)}',
                data_licence=f'{data} is {data_licence}, the others have their own',
                parameters=parameters,
                monocular=True,
                max_depth_m=0.95 * range_m,  # a sigmoid reaches the end at infinity only
            )


_DEPTH_PRO = ModelCard(
    name='depth-pro',
    family='depth_pro',
    title='Depth Pro, metres and field of view',
    source=_PRO,
    file_name='depth_pro.pt',
    url='https://ml-site.cdn-apple.com/models/depth-pro/depth_pro.pt',
    trained_on='real and synthetic sets, listed in its paper',
    code_licence='Apple sample code licence (no patents, no use of the name)',
    weights_licence=(
        'two statements that contradict each other: the repository says «under the LICENSE terms» '
        'of its code, the model card says apple-amlr (research only); ask before you sell'
    ),
    data_licence='each set has its own, several are non-commercial',
    parameters=951_991_330,
    monocular=True,
    kind=DepthKind.INVERSE_CANONICAL,
    max_depth_m=250.0,
)

MONOCULAR = (*_metric(), *_relative(), _DEPTH_PRO)

"""The cards say what the projects say."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from depth_ros.errors import ModelError
from depth_ros.frame import DepthKind
from depth_ros.models.base import IMAGENET, KITTI
from depth_ros.weights.registry import (
    FAMILIES,
    LEFT_OUT,
    MODELS,
    card,
    family,
    monocular_family,
)

COMPLETION = ['dmd3c', 'dmd3c-pretrained', 'bpnet-kitti', 'bpnet-nyu']
HOSTS = ('https://github.com/', 'https://huggingface.co/', 'https://ml-site.cdn-apple.com/')


def test_the_order_is_the_order_of_preference() -> None:
    assert (
        list(MODELS)[:4]
        == COMPLETION
        == [name for name, known in MODELS.items() if known.family == 'bpnet']
    )
    metric = [name for name, known in MODELS.items() if known.monocular and known.gives_metres]
    assert metric[:2] == ['da2-indoor-small', 'da2-outdoor-small']
    assert metric[-1] == 'depth-pro'
    assert [known.name for known in MODELS.values()] == list(MODELS)
    assert {known.family for known in MODELS.values()} <= set(FAMILIES)


def test_weights_come_from_a_secure_address_or_by_hand() -> None:
    for known in MODELS.values():
        assert known.source.startswith('https://github.com/')
        if known.url:
            assert known.url.startswith(HOSTS)
            assert known.url.endswith(f'/{known.file_name}')
        else:
            assert 'https://drive.google.com/file/d/' in known.by_hand
            assert f'depth_ros models fetch {known.name} --from' in known.by_hand


def test_kitti_weights_take_metres_and_the_mean_of_kitti() -> None:
    for name in ('dmd3c', 'dmd3c-pretrained', 'bpnet-kitti'):
        assert card(name).depth_scale == 1.0
        assert card(name).normalisation == KITTI
    assert KITTI == ((90.9950, 96.2278, 94.3213), (79.2382, 80.5267, 82.1483))


def test_nyu_weights_take_tenfold_metres_and_the_mean_of_imagenet() -> None:
    """As BP-Net's loader does; its NYU.yaml says otherwise and is not read."""
    assert card('bpnet-nyu').depth_scale == 10.0
    assert card('bpnet-nyu').normalisation == IMAGENET
    mean, std = IMAGENET
    assert [value / 255 for value in mean] == pytest.approx([0.485, 0.456, 0.406])
    assert [value / 255 for value in std] == pytest.approx([0.229, 0.224, 0.225])


def test_terms_hide_nothing() -> None:
    for name in COMPLETION:
        assert card(name).terms.startswith(
            'code: MIT; weights: licence not stated; training data: '
        )
    assert 'KITTI is CC BY-NC-SA 3.0' in card('dmd3c').terms


def test_only_the_small_depth_anything_v2_may_be_used_commercially() -> None:
    licences = {
        name: known.weights_licence for name, known in MODELS.items() if name.startswith('da2-')
    }
    assert licences['da2-small'] == 'Apache-2.0'
    assert licences['da2-base'] == licences['da2-large'] == 'CC-BY-NC-4.0 (no commercial use)'
    for name, licence in licences.items():
        assert ('CC-BY-NC-4.0' in licence) == (not name.endswith('small'))


def test_depth_pro_shows_both_of_its_statements() -> None:
    terms = card('depth-pro').terms
    assert 'under the LICENSE terms' in terms
    assert 'apple-amlr' in terms


def test_what_a_network_says_is_declared() -> None:
    assert card('da2-small').kind is card('da1-large').kind is DepthKind.DISPARITY_AFFINE
    assert card('da2-outdoor-base').kind is DepthKind.METRIC
    assert card('depth-pro').kind is DepthKind.INVERSE_CANONICAL
    assert [card(f'da2-{where}-small').max_depth_m for where in ('indoor', 'outdoor')] == [19, 76]
    assert not card('dmd3c').monocular


def test_what_is_left_out_says_why_and_is_not_offered() -> None:
    assert set(LEFT_OUT) == {'da1-metric', 'da3metric-large'}
    assert not set(LEFT_OUT) & set(MODELS)
    assert 'ZoeDepth' in LEFT_OUT['da1-metric']


def test_number_and_size_of_the_official_parameters(oracle_dir: Path) -> None:
    official = json.loads((oracle_dir / 'bpnet_state_dict.json').read_text())
    sizes = {name: math.prod(entry['shape']) for name, entry in official.items()}
    buffers = ('running_mean', 'running_var', 'num_batches_tracked')
    parameters = sum(size for name, size in sizes.items() if not name.endswith(buffers))
    for known in map(card, COMPLETION):
        assert known.parameters == parameters
        assert abs(known.megabytes - 4 * sum(sizes.values()) / 1e6) < 1


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(ModelError, match=r"no weights 'DMD3C'; there are \['dmd3c', "):
        card('DMD3C')
    with pytest.raises(ModelError, match=r"no network family 'dpt'; there are \['lite', 'bpnet'"):
        family('dpt')


def test_a_family_can_be_built() -> None:
    torch = pytest.importorskip('torch')
    with torch.device('meta'):
        model = family('bpnet').build()
    assert sum(value.numel() for value in model.parameters()) == card('dmd3c').parameters
    assert family('bpnet').STRIDE == 32


def test_a_completion_network_is_no_network_for_one_image() -> None:
    with pytest.raises(ModelError, match='bpnet is no network for one image'):
        monocular_family('bpnet')
    assert monocular_family('depth_anything_v2_s').KIND is DepthKind.DISPARITY_AFFINE


@pytest.mark.parametrize(
    ('name', 'family_name'),
    [(name, known.family) for name, known in MODELS.items() if known.monocular],
)
def test_monocular_cards_tell_the_truth_of_their_networks(name: str, family_name: str) -> None:
    torch = pytest.importorskip('torch')
    with torch.device('meta'):
        model = family(family_name).build()
    assert sum(value.numel() for value in model.parameters()) == card(name).parameters
    assert monocular_family(family_name).KIND is card(name).kind

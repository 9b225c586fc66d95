"""What is known of one set of public weights."""

from __future__ import annotations

from dataclasses import dataclass

from depth_ros.frame import DepthKind
from depth_ros.models.base import Normalisation


@dataclass(frozen=True)
class ModelCard:
    """One set of public weights.

    Attributes:
        name: what it is called here.
        family: name in `depth_ros.weights.registry.FAMILIES` of the network that it belongs to.
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
        normalisation: of the image before the network, where weights of one network differ in it.
        monocular: whether the network sees an image and nothing else.
        kind: what it says.
        max_depth_m: beyond this the network cannot tell depths apart.
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
    normalisation: Normalisation | None = None
    monocular: bool = False
    kind: DepthKind = DepthKind.METRIC
    max_depth_m: float | None = None

    @property
    def megabytes(self) -> int:
        """Size of the file, or of the parameters in float32 where it is not published."""
        return round((self.size_bytes or 4 * self.parameters) / 1e6)

    @property
    def gives_metres(self) -> bool:
        """Whether metres follow from what the network says, with the focal length if need be."""
        return self.kind is not DepthKind.DISPARITY_AFFINE

    @property
    def terms(self) -> str:
        """The licences in one line."""
        return (
            f'code: {self.code_licence}; weights: {self.weights_licence}; '
            f'training data: {self.data_licence}'
        )

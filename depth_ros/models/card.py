"""What is known of one set of public weights."""

from __future__ import annotations

from dataclasses import dataclass

from depth_ros.frame import DepthKind

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
        family: name in `depth_ros.models.registry.FAMILIES` of the network that it belongs to.
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

"""Reading checkpoints of any make; none may run code."""

from __future__ import annotations

import io
import pickle
import re
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from depth_ros.errors import DepthRosError, ModelError, import_optional

if TYPE_CHECKING:
    from torch import Tensor

_SUFFIXES = ('.pth', '.pt', '.ckpt', '.safetensors')
_ENTRIES = ('net', 'state_dict', 'model')  # where training scripts put the parameters
_PREFIXES = ('module.', 'model.')  # what their wrappers put before every name
_MAX_MEMBER_BYTES = 4 * 2**30  # what claims to unpack to more is not one of our networks


def read_state_dict(path: Path | str) -> dict[str, Tensor]:
    """The parameters in a checkpoint by name, on the CPU.

    Takes what `torch.save` writes, safetensors, and a zip or tar archive with one of them in it.
    Of a training state the entry `net`, `state_dict` or `model` counts; a `module.` or `model.`
    before every name is dropped. A file with code in it is refused.

    Raises:
        ModelError: the file is missing, damaged, or something else than a checkpoint.
        MissingDependencyError: PyTorch or safetensors is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f'{path} is no file.')
    with path.open('rb') as file:
        _refuse_impostors(path, file.read(512))
    try:
        return _without_prefixes(_tensors(path, _content(path)))
    except (DepthRosError, MemoryError):
        raise
    except pickle.UnpicklingError as error:
        if unsafe := re.search(r'GLOBAL (\S+)', str(error)):
            raise ModelError(
                f'{path} holds more than tensors ({unsafe[1]}), which could run code; save its '
                f"parameters alone: torch.save({{'net': model.state_dict()}}, 'weights.pth')."
            ) from error
        raise ModelError(f'{path} is damaged or no checkpoint.') from error
    except Exception as error:  # a damaged file makes its reader raise anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f'{path} is damaged or no checkpoint: {reason}') from error


def _refuse_impostors(path: Path, head: bytes) -> None:
    """What a download leaves in place of the file that was meant."""
    start = head.lstrip().lower()
    if not start:
        raise ModelError(f'{path} is empty.')
    if start.startswith((b'<!doctype', b'<html', b'<?xml')):
        raise ModelError(
            f'{path} is a web page, not a checkpoint: open its address in a browser and save the '
            'file that it offers.'
        )
    if start.startswith(b'version https://git-lfs'):
        raise ModelError(f'{path} is a Git LFS pointer; `git lfs pull` brings the file itself.')


def _content(path: Path) -> Any:
    """What a file holds, archive or not."""
    with path.open('rb') as file:
        head = file.read(9)
    if _is_safetensors(head):
        return _safetensors().load_file(path)
    if member := _from_zip(path) if head.startswith(b'PK') else _from_tar(path):
        if _is_safetensors(member[:9]):
            return _safetensors().load(member)
        return _unpickled(io.BytesIO(member))
    return _unpickled(path)


def _is_safetensors(head: bytes) -> bool:
    """Eight bytes of length, then JSON."""
    return head[8:9] == b'{'


def _safetensors() -> Any:
    return import_optional('safetensors.torch', 'torch')


def _unpickled(file: Path | io.BytesIO) -> Any:
    torch = import_optional('torch', 'torch')
    return torch.load(file, map_location='cpu', weights_only=True)


def _from_zip(path: Path) -> bytes | None:
    """The checkpoint in a zip archive; None if the zip is a checkpoint, as torch.save writes."""
    with zipfile.ZipFile(path) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        if any(PurePosixPath(name).name == 'data.pkl' for name in sizes):
            if damaged := archive.testzip():  # torch.load does not look at checksums
                raise ModelError(f'{path} is damaged: the checksum of {damaged} is wrong.')
            return None
        return archive.read(_only_checkpoint(path, sizes))


def _from_tar(path: Path) -> bytes | None:
    """The checkpoint in a tar archive, compressed or not; None if the file is no archive."""
    if not tarfile.is_tarfile(path):
        return None
    with tarfile.open(path) as archive:
        sizes = {entry.name: entry.size for entry in archive.getmembers() if entry.isfile()}
        file = archive.extractfile(_only_checkpoint(path, sizes))
        content = file.read() if file else None
        while archive.fileobj and archive.fileobj.read(1 << 20):
            pass  # the checksum comes at the end
        return content


def _only_checkpoint(path: Path, sizes: Mapping[str, int]) -> str:
    """The one name among the members of an archive that is a checkpoint's."""
    names = [name for name in sizes if PurePosixPath(name).suffix in _SUFFIXES]
    if len(names) != 1:
        held = ', '.join(names or list(sizes)[:5]) or 'nothing'
        raise ModelError(
            f'{path} must hold one file {"/".join(_SUFFIXES)}, it holds {held}; '
            'unpack it and name the file.'
        )
    if sizes[names[0]] > _MAX_MEMBER_BYTES:
        raise ModelError(f'{names[0]} in {path} claims to have {sizes[names[0]]} bytes.')
    return names[0]


def _tensors(path: Path, content: Any) -> dict[str, Tensor]:
    """The parameters among what a checkpoint holds."""
    import torch

    if isinstance(content, Mapping):
        entries = (content[name] for name in _ENTRIES if isinstance(content.get(name), Mapping))
        parameters = next(entries, content)
        state = {k: v for k, v in parameters.items() if isinstance(v, torch.Tensor)}
        if state:
            return state
    held = f'the entries {list(content)[:5]}' if isinstance(content, Mapping) else type(content)
    raise ModelError(f'{path} holds no parameters but {held}.')


def _without_prefixes(state: dict[str, Tensor]) -> dict[str, Tensor]:
    while prefix := next((p for p in _PREFIXES if all(k.startswith(p) for k in state)), None):
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state

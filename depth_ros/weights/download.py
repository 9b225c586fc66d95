"""Downloads that go on where they broke off."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Any

from depth_ros.errors import ModelError
from depth_ros.files import write_atomic

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are here, and with those of the whole file if that is known."""

_TIMEOUT_S = 30.0
_BLOCK_BYTES = 1 << 18
_BY_HAND = 'Or download it another way and give it by --from FILE.'
_AGAIN = 'Run the same command again; it goes on from there if the server can.'


def download(url: str, part: Path, progress: Progress | None = None) -> None:
    """Bring a file from the web to `part`.

    A part that is there already is continued, but only while the server says that it is one of
    the same file, by the ETag or date kept in `<part>.json`; otherwise it starts over.

    Raises:
        ModelError: the server cannot be reached, refuses, or breaks off. What has come so far
            stays for the next call.
        OSError: the file cannot be written.
    """
    offset, validator = _left_over(url, part)
    with _answer(url, offset, validator) as response:
        start, total = _range(response.headers)
        if response.status == HTTPStatus.OK:
            discard(part)
            _take_note(url, part, _validator(response.headers))
            _receive(url, response, part, 0, total, progress)
            return
        if _validator(response.headers) in (validator, None):  # 416 may come without one
            if response.status == HTTPStatus.PARTIAL_CONTENT and start == offset:
                _receive(url, response, part, offset, total, progress)
                return
            if response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and total == offset:
                return
        if not offset:
            raise ModelError(f'{url} answers {response.status} {response.reason}. {_BY_HAND}')
    discard(part)
    download(url, part, progress)


def discard(part: Path) -> None:
    """Remove a part and what is noted of it."""
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def _note(part: Path) -> Path:
    return part.with_name(f'{part.name}.json')


def _take_note(url: str, part: Path, validator: str | None) -> None:
    if validator is not None:
        write_atomic(_note(part), json.dumps({'url': url, 'validator': validator}).encode())


def _left_over(url: str, part: Path) -> tuple[int, str]:
    """Bytes of a part that can be continued, and the validator of the file that it is of."""
    try:
        note = json.loads(_note(part).read_bytes())
        if note['url'] == url:
            return part.stat().st_size, str(note['validator'])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no part, or nothing known of it
    return 0, ''


def _answer(url: str, offset: int, validator: str) -> Any:
    """The response of the server, whose body may be the whole file, its rest, or nothing."""
    request = urllib.request.Request(url, headers={'User-Agent': 'depth_ros'})
    if offset:
        request.add_header('Range', f'bytes={offset}-')
        request.add_header('If-Range', validator)
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return error  # it is a response, too
        raise ModelError(f'{url} answers {error.code} {error.reason}. {_BY_HAND}') from error
    except (OSError, HTTPException) as error:
        reason = getattr(error, 'reason', error)
        raise ModelError(f'{url} cannot be reached: {reason}. {_BY_HAND}') from error
    if response.headers.get_content_type() == 'text/html':
        response.close()
        raise ModelError(f'{url} answers with a web page in place of the file. {_BY_HAND}')
    return response


def _validator(headers: Message) -> str | None:
    """What tells this version of a file from others; a weak ETag does not."""
    etag = headers['ETag']
    return headers['Last-Modified'] if etag is None or etag.startswith('W/') else etag


def _range(headers: Message) -> tuple[int, int | None]:
    """First byte of a response's body in the file, and the size of the whole file."""
    content_range = headers['Content-Range']
    if content_range is None:
        length = headers['Content-Length']
        return 0, None if length is None else int(length)
    found = re.fullmatch(r'bytes (?:(\d+)-\d+|\*)/(?:(\d+)|\*)', content_range)
    start, total = found.groups() if found else (None, None)
    return int(start or 0), None if total is None else int(total)


def _receive(
    url: str,
    response: Any,
    part: Path,
    offset: int,
    total: int | None,
    progress: Progress | None,
) -> None:
    size = offset
    with part.open('ab' if offset else 'wb') as file:
        while block := _block(url, response):
            file.write(block)
            size += len(block)
            if progress:
                progress(size, total)
    if total is not None and size != total:
        raise ModelError(f'{url} broke off at {size} of {total} bytes. {_AGAIN}')


def _block(url: str, response: Any) -> bytes:
    try:
        block: bytes = response.read(_BLOCK_BYTES)
    except (OSError, HTTPException) as error:
        raise ModelError(f'{url} broke off: {error}. {_AGAIN}') from error
    return block

"""A network of a few numbers, a cache of its own, and a web server that can misbehave."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from depth_ros.weights.card import ModelCard
from depth_ros.weights.registry import FAMILIES, MODELS


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of weights of an empty cache."""
    monkeypatch.setenv('DEPTH_ROS_CACHE', str(tmp_path / 'cache'))
    return tmp_path / 'cache' / 'weights'


class FileServer:
    """Serves one file, as well or as badly as a test wants it.

    Attributes:
        content: the file.
        headers: sent with every answer.
        ranges: whether `Range` is heeded.
        if_range: whether `If-Range` is heeded.
        break_after: bytes of a body after which the connection ends, or None.
        status: of every answer, if not 200.
        chunked: send no length.
        requests: headers of the requests so far.
    """

    def __init__(self) -> None:
        self.content = bytes(range(256)) * 4096
        self.headers = {'ETag': '"1"', 'Content-Type': 'application/octet-stream'}
        self.ranges = True
        self.if_range = True
        self.break_after: int | None = None
        self.status = 200
        self.chunked = False
        self.requests: list[dict[str, str]] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def do_GET(self) -> None:
                if self.path == '/moved':
                    self.send_response(302)
                    self.send_header('Location', '/file')
                    self.send_header('Content-Length', '0')
                    self.end_headers()
                else:
                    owner.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self._server.daemon_threads = True
        # Clients that hang up are what this is for.
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f'http://127.0.0.1:{self._server.server_port}/file'

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """RFC 9110, sections 13.1.5 and 14."""
        self.requests.append(dict(request.headers))
        if self.status != 200:
            request.send_error(self.status)
            return
        size = len(self.content)
        wanted = request.headers['Range'] if self.ranges else None
        known = (self.headers.get('ETag'), self.headers.get('Last-Modified'), None)
        if self.if_range and request.headers['If-Range'] not in known:
            wanted = None
        start = int(wanted.removeprefix('bytes=').removesuffix('-')) if wanted else 0
        body = self.content[start:]
        if wanted and start >= size:
            request.send_response(416)
            request.send_header('Content-Range', f'bytes */{size}')
        elif wanted:
            request.send_response(206)
            request.send_header('Content-Range', f'bytes {start}-{size - 1}/{size}')
        else:
            request.send_response(200)
        for name, value in self.headers.items():
            request.send_header(name, value)
        if self.chunked:
            request.send_header('Transfer-Encoding', 'chunked')
            body = f'{len(body):x}\r\n'.encode() + body + b'\r\n0\r\n\r\n'
        else:
            request.send_header('Content-Length', str(len(body)))
        request.end_headers()
        request.wfile.write(body[: self.break_after])
        request.close_connection = self.break_after is not None


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setenv('no_proxy', '*')
    served = FileServer()
    yield served
    served.close()


@pytest.fixture
def tiny() -> Any:
    """A network with six parameters and buffers; every call of `build` gives other values."""
    torch = pytest.importorskip('torch')
    torch.set_num_threads(1)

    class Tiny(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(2, 3, 1, bias=False)
            self.bn = torch.nn.BatchNorm2d(3)

    return Tiny


@pytest.fixture
def checkpoint(tiny: Any) -> dict[str, Any]:
    """A training state of it, as the authors of BP-Net save theirs."""
    return {'net': tiny().state_dict(), 'epoch': 29, 'best_metric_ema': 0.7175}


@pytest.fixture
def tiny_card(
    tiny: Any,
    checkpoint: dict[str, Any],
    cache: Path,
    server: FileServer,
    monkeypatch: pytest.MonkeyPatch,
) -> ModelCard:
    """The card of weights that the server offers."""
    torch = pytest.importorskip('torch')
    pytest.importorskip('safetensors')
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    server.content = buffer.getvalue()
    module = ModuleType('tiny_family')
    module.build = tiny  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, 'tiny_family', module)
    monkeypatch.setitem(FAMILIES, 'tiny', 'tiny_family')
    card = ModelCard(
        name='tiny-one',
        family='tiny',
        title='A tiny network',
        source='https://tiny.example',
        file_name='result_ema.pth',
        url=server.url,
        trained_on='nothing',
        code_licence='MIT',
        data_licence='none needed',
        parameters=12,
    )
    monkeypatch.setitem(MODELS, card.name, card)
    return card

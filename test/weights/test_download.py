"""Downloads over real HTTP on loopback: what comes is the file, however often it breaks off."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Any

import pytest

from depth_ros.errors import ModelError
from depth_ros.weights.download import discard, download

CUT = 300_001


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / 'file.part'


def break_off(server: Any, part: Path) -> None:
    """Leave the first bytes of the file in `part`, as a connection that breaks does."""
    server.break_after = CUT
    with pytest.raises(ModelError, match=f'broke off at {CUT} of {len(server.content)} bytes'):
        download(server.url, part)
    server.break_after = None
    assert part.read_bytes() == server.content[:CUT]


def test_the_whole_file_arrives_and_progress_counts_it(server: Any, part: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    download(server.url, part, lambda done, of: seen.append((done, of)))
    assert part.read_bytes() == server.content
    size = len(server.content)
    assert [of for _, of in seen] == [size] * len(seen)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert seen[-1][0] == size
    assert 'Range' not in server.requests[0]


def test_it_goes_on_where_it_broke_off(server: Any, part: Path) -> None:
    break_off(server, part)
    seen: list[int] = []
    download(server.url, part, lambda done, of: seen.append(done))
    assert part.read_bytes() == server.content
    assert server.requests[1]['Range'] == f'bytes={CUT}-'
    assert server.requests[1]['If-Range'] == '"1"'
    assert min(seen) > CUT


def test_it_goes_on_behind_a_redirection(server: Any, part: Path) -> None:
    server.url = server.url.replace('/file', '/moved')
    break_off(server, part)
    download(server.url, part)
    assert part.read_bytes() == server.content
    assert server.requests[-1]['Range'] == f'bytes={CUT}-'


def test_it_goes_on_after_an_interruption(server: Any, part: Path) -> None:
    def interrupt(done: int, of: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(server.url, part, interrupt)
    assert 0 < part.stat().st_size < len(server.content)
    download(server.url, part)
    assert part.read_bytes() == server.content
    assert 'Range' in server.requests[1]


def test_a_server_that_ignores_ranges_sends_it_again(server: Any, part: Path) -> None:
    break_off(server, part)
    server.ranges = False
    download(server.url, part)
    assert part.read_bytes() == server.content


@pytest.mark.parametrize('heeds_if_range', [True, False])
def test_two_versions_of_a_file_are_never_glued(
    server: Any, part: Path, heeds_if_range: bool
) -> None:
    break_off(server, part)
    server.if_range = heeds_if_range
    server.content = server.content[::-1]
    server.headers['ETag'] = '"2"'
    download(server.url, part)
    assert part.read_bytes() == server.content
    assert json.loads(part.with_name('file.part.json').read_text())['validator'] == '"2"'


def test_a_part_of_another_address_is_not_continued(server: Any, part: Path) -> None:
    break_off(server, part)
    download(f'{server.url}?other', part)
    assert 'Range' not in server.requests[-1]


def test_without_etag_and_date_it_starts_over(server: Any, part: Path) -> None:
    server.headers.pop('ETag')
    break_off(server, part)
    download(server.url, part)
    assert part.read_bytes() == server.content
    assert 'Range' not in server.requests[-1]


def test_a_date_takes_the_place_of_a_weak_etag(server: Any, part: Path) -> None:
    date = 'Wed, 23 Apr 2025 10:00:00 GMT'
    server.headers |= {'ETag': 'W/"1"', 'Last-Modified': date}
    break_off(server, part)
    download(server.url, part)
    assert part.read_bytes() == server.content
    assert server.requests[-1]['If-Range'] == date
    assert 'Range' in server.requests[-1]


def test_what_is_complete_is_not_sent_again(server: Any, part: Path) -> None:
    download(server.url, part)
    before = part.stat().st_mtime_ns
    download(server.url, part)
    assert part.stat().st_mtime_ns == before
    assert part.read_bytes() == server.content


def test_a_part_longer_than_the_file_starts_over(server: Any, part: Path) -> None:
    download(server.url, part)
    with part.open('ab') as file:
        file.write(b'too much')
    download(server.url, part)
    assert part.read_bytes() == server.content


@pytest.mark.parametrize('note', ['', '{', '[]', '{"url": 3}'])
def test_a_spoilt_note_starts_over(server: Any, part: Path, note: str) -> None:
    break_off(server, part)
    part.with_name('file.part.json').write_text(note)
    download(server.url, part)
    assert part.read_bytes() == server.content


def test_a_body_without_a_length(server: Any, part: Path) -> None:
    server.chunked = True
    download(server.url, part)
    assert part.read_bytes() == server.content
    discard(part)
    server.break_after = CUT
    with pytest.raises(ModelError, match='broke off'):
        download(server.url, part)


@pytest.mark.parametrize('status', [403, 404, 429, 500])
def test_a_refusal_names_the_code_and_leaves_nothing(server: Any, part: Path, status: int) -> None:
    server.status = status
    with pytest.raises(ModelError, match=rf'answers {status} .*--from FILE'):
        download(server.url, part)
    assert list(part.parent.iterdir()) == []


def test_a_refusal_keeps_what_was_there(server: Any, part: Path) -> None:
    break_off(server, part)
    server.status = 503
    with pytest.raises(ModelError, match='answers 503'):
        download(server.url, part)
    server.status = 200
    download(server.url, part)
    assert part.read_bytes() == server.content
    assert server.requests[-1]['Range'] == f'bytes={CUT}-'


def test_a_web_page_is_not_the_file(server: Any, part: Path) -> None:
    server.headers['Content-Type'] = 'text/html; charset=utf-8'
    with pytest.raises(ModelError, match='web page'):
        download(server.url, part)
    assert list(part.parent.iterdir()) == []


def test_no_server(server: Any, part: Path) -> None:
    server.close()
    with pytest.raises(ModelError, match=r'cannot be reached: .*refused.*--from FILE'):
        download(server.url, part)


def test_after_a_full_disk_it_goes_on(server: Any, part: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (CUT, hard))
    try:
        with pytest.raises(OSError, match='too large'):
            download(server.url, part)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert 0 < part.stat().st_size <= CUT
    download(server.url, part)
    assert part.read_bytes() == server.content

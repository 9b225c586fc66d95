"""Where a jpeg ends and how large its image is; a decoder may not be asked."""

from __future__ import annotations

import re

JPEG = b'\xff\xd8\xff'
"""What every jpeg begins with."""

# In the coded part of a jpeg 0xFF begins a marker unless one of these follows (ITU-T T.81, B.1.1).
_NEXT_MARKER = re.compile(rb'\xff[^\x00\xff\xd0-\xd7]')
_END, _SCAN = 0xD9, 0xDA
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers of headers that tell the size
_STANDALONE = {0x01, *range(0xD0, 0xD9)}  # markers that no length follows


def jpeg_length(data: bytes) -> int:
    """Bytes of the complete jpeg that `data` begins with; 0 if it is none, or breaks off.

    OpenCV 4.5 fills the rest of a jpeg that breaks off with grey and says nothing, so its end
    must be found before it is decoded. The thumbnail in its header has an end, too.
    """
    if not data.startswith(JPEG):
        return 0
    at, scanned = 2, False
    while (at := data.find(b'\xff', at)) >= 0 and at + 1 < len(data):
        marker = data[at + 1]
        if marker == _END:
            return at + 2 if scanned else 0
        if marker in (0x00, 0xFF):
            at += 1
            continue
        at += 2
        if marker in _STANDALONE:
            continue
        at += int.from_bytes(data[at : at + 2], 'big')
        if marker == _SCAN:
            scanned, found = True, _NEXT_MARKER.search(data, at)
            if found is None:
                break
            at = found.start()
    return 0


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) by the header of the jpeg that `data` begins with; None if it tells none."""
    at = 2 if data.startswith(JPEG) else len(data)
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _FRAMES:
            height, width = (int.from_bytes(data[at + i : at + i + 2], 'big') for i in (5, 7))
            return (width, height) if width and height else None
        if marker == 0xFF:
            at += 1
        elif marker in _STANDALONE:
            at += 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], 'big')
    return None

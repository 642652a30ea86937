"""A PNG without the notes in its file (texts, profiles, resolution): a damaged note is no damaged picture.

JPEG needs none of this: Pillow passes over the notes there that it does not understand.
"""

import zlib
from pathlib import Path

SIGNATURE = b"\x89PNG\r\n\x1a\n"
KEPT = (b"tRNS", b"eXIf")  # of what a PNG may lack: transparency and orientation


def without_notes(path: Path) -> bytes | None:
    """The file with the picture's own chunks alone; None if it is no PNG, cannot be read or holds no notes.

    A chunk is length, name, data, check sum; a name's first letter is small where a picture may do without the chunk.
    """
    try:
        content = path.read_bytes()
    except OSError:
        return None
    kept, start = [SIGNATURE], len(SIGNATURE)
    while content.startswith(SIGNATURE) and start + 12 <= len(content):
        end = start + 12 + int.from_bytes(content[start : start + 4], "big")
        chunk = content[start:end]
        sound = zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")
        if not chunk[4] & 32 or (sound and chunk[4:8] in KEPT):
            kept.append(chunk)
        start = end
    return b"".join(kept) if len(kept) > 1 and sum(map(len, kept)) < len(content) else None

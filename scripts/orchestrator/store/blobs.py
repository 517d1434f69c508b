"""Blobs: content-addressed bytes in the history, compressed where that helps."""

from orchestrator.model.ids import content_hash


def put(con, data, known=None):
    """Keeps bytes; returns their address (b2:…), which may be known. The same bytes are kept once."""
    address = known or content_hash(data)
    if con.execute("SELECT 1 FROM blobs WHERE hash = ?", (address,)).fetchone() is None:
        import zlib

        packed = zlib.compress(data, 6) if len(data) > 200 else data
        codec, body = ("zlib", packed) if len(packed) < len(data) else ("plain", data)
        con.execute("INSERT OR IGNORE INTO blobs VALUES (?, ?, ?, ?)", (address, len(data), codec, body))
    return address


def get(con, address):
    """The bytes at an address. KeyError when there are none."""
    row = con.execute("SELECT codec, data FROM blobs WHERE hash = ?", (address,)).fetchone()
    if row is None:
        raise KeyError(address)
    if row[0] == "zlib":
        import zlib

        return zlib.decompress(row[1])
    return bytes(row[1])

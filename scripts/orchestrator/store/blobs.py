"""Blobs: content-addressed bytes in the history, compressed where that helps."""

from orchestrator.model.ids import content_hash

SMALL = 1000  # bytes that are kept as they are: to load zlib takes a hook longer than to write them


def put(con, data, known=None):
    """Keeps bytes; returns their address (b2:…), which may be known. The same bytes are kept once."""
    address = known or content_hash(data)
    if con.execute("SELECT 1 FROM blobs WHERE hash = ?", (address,)).fetchone() is None:
        codec, body = "plain", data
        if len(data) > SMALL:
            import zlib

            packed = zlib.compress(data, 6)
            if len(packed) < len(data):
                codec, body = "zlib", packed
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

"""Settings that hold for one machine only: paths, and whether data are downloaded."""

import re
from typing import Any

PATHS = ("folder", "resume", "init", "root", "font", "weights")  # last parts of keys
# An absolute path, alone or in a list, with or without quotes.
ABSOLUTE = re.compile(r"""(^|[\[(,])\s*["']?(/|~|[A-Za-z]:[\\/])""")


def is_local(key: str, value: Any) -> bool:
    """Return whether a setting holds for this machine only, so that exports leave it out.

    Args:
        key: Such as root, data.root or data.of.root.
        value: Its value, as an object or as typed. Absolute paths are local whatever their key.
    """
    name = key.rpartition(".")[2]
    return name in (*PATHS, "download") or bool(ABSOLUTE.search(str(value)))

"""Object files for an index whose files do not matter."""

from __future__ import annotations


class Untouched:
    """Implements adapters.database.index.Files."""

    def delete(self, path: str) -> None:
        """It stays."""

    def restore(self, path: str, copy: str) -> None:
        """Both stay."""

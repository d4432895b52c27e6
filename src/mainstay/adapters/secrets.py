"""Secrets: where they are kept, and nothing that would show them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret is kept; it is read for every batch, so a rotated token is taken up.

    Args:
        env: name of an environment variable that holds it.
        file: path of a file whose first line is it.
    """

    env: str = ""
    file: str = ""

    def read(self, environ: Mapping[str, str] | None = None) -> str:
        """The secret, out of this process's environment where no other is given.

        Raises:
            InvalidInput: the variable or the file is missing or empty.
        """
        if self.env:
            if value := (os.environ if environ is None else environ).get(self.env, "").strip():
                return value
            raise InvalidInput(f"the environment variable {self.env} holds no secret",
                               f"set {self.env} before you start Mainstay")
        try:
            lines = Path(self.file).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"the secret in {self.file} cannot be read: {error}",
                               "name a file that Mainstay may read") from error
        if lines and lines[0].strip():
            return lines[0].strip()
        raise InvalidInput(f"the file {self.file} holds no secret", "write the secret into its first line")

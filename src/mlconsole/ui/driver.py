"""The driver for terminals without UTF-8: the bytes that leave are ASCII, whatever drew them."""

from __future__ import annotations

from textual.drivers.linux_driver import LinuxDriver

from mlconsole.ui.ascii import to_ascii


class AsciiDriver(LinuxDriver):
    """Textual's own driver with ASCII in place of every glyph."""

    def write(self, data: str) -> None:
        """Write in ASCII."""
        super().write(to_ascii(data))

"""The time limits on connections whose requests httptools parses.

httptools by itself reads a head that does not end for ever, so what comes of one is counted here. What came at once
with its beginning is not: the end of another request may be in it. So little more than ``MOST_HEADER`` bytes is held;
that a whole head is not longer, ``projections.web.admission`` sees to.
"""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from projections.web.admission import MOST_HEADER
from projections.web.connections import WORK, Patient, Phase


class PatientHttpTools(Patient, HttpToolsProtocol):  # type: ignore[misc]  # to the type checker it is one of h11, too
    """Written in C, comes with the extra ``speed``."""

    _is_in_head = False
    _size = 0

    def data_received(self, data: bytes) -> None:
        was_in_head = self._is_in_head
        super().data_received(data)
        if was_in_head and self._is_in_head:
            self._size += len(data)
            if self._size > MOST_HEADER:
                self._is_in_head = False
                self.send_400_response("")

    def on_message_begin(self) -> None:
        self._is_in_head, self._size = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        super().on_headers_complete()

    def _unsupported_upgrade_warning(self) -> None:
        """httptools leaves alone what stands behind a request for an upgrade, which is answered as any other one.

        So it is said that the connection ends there, and whoever has sent more sends that again.
        """
        super()._unsupported_upgrade_warning()
        self.flow.pause_reading()
        self.cycle.keep_alive = False

    def _now(self) -> Phase:
        """While one request is answered, those behind it wait for the server."""
        return (WORK, self.cycle) if self.pipeline else super()._now()

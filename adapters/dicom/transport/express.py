"""Objects that lie like ones before, from the socket to the journal: what `_alike` recognises and answers.

`_alike` is compiled from `_alike.c`. Where there was no compiler everything is read as it comes, which takes longer.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from adapters.dicom.content import part10
from adapters.dicom.transport.channel import Channel
from adapters.dicom.transport.storing import SUCCESS, Alike
from gateway.ports import Received, ReceptionTogether

if TYPE_CHECKING:
    from adapters.dicom.transport import _alike

MOST = 256
"""Objects that are answered until somebody sees to what they need besides."""
AS_ALWAYS, CAME, ENDED, UNSENT = 0, 1, 2, 3
"""See `_alike.Alike.poll`."""
Told = tuple[int, int, bytes]
"""Descriptor, one of these, and bytes."""


def compiled() -> Any | None:
    """The module `_alike`, where there is one."""
    try:
        return importlib.import_module("adapters.dicom.transport._alike")
    except ImportError:
        return None


class Brought(NamedTuple):
    """An object that has been answered."""

    channel: Channel
    received: Received


class _Context(NamedTuple):
    channel: Channel
    alike: Alike


class Express:
    """In the dispatcher's thread alone."""

    def __init__(self, poll: int, together: ReceptionTogether) -> None:
        """`poll`: descriptor of an epoll that has the sockets of all associations. Raises ImportError where nothing was
        compiled."""
        module = compiled()
        if module is None:
            raise ImportError("adapters/dicom/transport/_alike.c was not compiled")
        self._together = together
        self._alike: _alike.Alike = module.Alike(poll, self._take, self._sync)
        self._staged: list[tuple[_Context, Received]] = []
        self._brought: list[tuple[_Context, Received]] = []
        self._missed: dict[int, int] = {}

    def watch(self, channel: Channel) -> None:
        """It joins; nothing of a message has come."""
        self._missed[channel.descriptor] = 0
        self._alike.watch(channel.descriptor)

    def forget(self, channel: Channel) -> bytes:
        """It leaves. What has come of a message, and nobody has got."""
        self._missed.pop(channel.descriptor, None)
        return self._alike.forget(channel.descriptor)

    def close(self) -> None:
        """Nobody is left."""
        del self._alike

    def learn(self, channel: Channel, request: Any) -> None:
        """One of its requests has been answered which was not recognised. The more seldom the more there were."""
        missed = self._missed.get(channel.descriptor)
        if missed is None or not channel.is_between:
            return
        self._missed[channel.descriptor] = missed = missed + 1
        self._alike.watch(channel.descriptor)
        if not missed & (missed - 1):
            try:
                self._learn(channel, request.alike())
            except Exception:  # it is answered, and so are the others
                structlog.get_logger().exception("likeness_not_learnt")

    def _learn(self, channel: Channel, alike: Alike | None) -> None:
        if alike is not None and channel.takes(len(alike.likeness.answer)):
            self._alike.learn(channel.descriptor, alike.likeness, _Context(channel, alike))

    def poll(self, timeout: float, quiet: float) -> tuple[list[Told], list[Brought], bool]:
        """See `_alike.Alike.poll`: what is for others, what was answered, and whether anything has come."""
        told, _, has_come = self._alike.poll(timeout, quiet, MOST if self._together.is_open() else 0)
        brought, self._brought = self._brought, []
        try:
            self._together.end()
            self._note(brought)
        except Exception:  # what was answered is kept, and what is told is acted upon
            structlog.get_logger().exception("dispatch_failed")
        return told, [Brought(context.channel, received) for context, received in brought], has_come

    def _note(self, brought: Sequence[tuple[_Context, Received]]) -> None:
        for (channel, alike), _ in brought:
            statuses = alike.tally.statuses
            statuses[SUCCESS] = statuses.get(SUCCESS, 0) + 1
            alike.tally.studies.add(alike.study)
            self._missed[channel.descriptor] = 0
        for channel in {context.channel.descriptor: context.channel for context, _ in brought}.values():
            channel.heard()

    def _take(self, context: _Context, uid: str, pieces: Sequence[memoryview]) -> bool:
        try:
            received = self._written(context.alike, uid, pieces)
        except Exception:  # read and judged by itself, it says what is wrong
            structlog.get_logger().exception("dispatch_failed")
            return False
        finally:
            for piece in pieces:
                piece.release()  # what it shows is overwritten
        if received is not None:
            self._staged.append((context, received))
        return received is not None

    def _written(self, alike: Alike, uid: str, pieces: Sequence[memoryview]) -> Received | None:
        meta = alike.meta
        header = part10.build(part10.FileMeta(meta.sop_class_uid, uid, meta.transfer_syntax_uid, meta.source_ae_title))
        return self._together.take(alike.tally.sender, header, pieces, alike.study, uid)

    def _sync(self) -> bool:
        staged, self._staged = self._staged, []
        try:
            is_durable = self._together.sync()
        except Exception:
            structlog.get_logger().exception("dispatch_failed")
            return False
        if is_durable:
            self._brought += staged
        return is_durable

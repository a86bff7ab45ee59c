from collections.abc import Callable, Sequence

from adapters.dicom.content.likeness import Likeness

AS_ALWAYS, CAME, ENDED, UNSENT = 0, 1, 2, 3

class Alike:
    """Associations whose messages may lie like ones before. One thread at a time."""

    def __init__(self, poll: int, take: Callable[[object, str, Sequence[memoryview]], bool],
                 sync: Callable[[], bool], /) -> None:
        """`poll`: descriptor of an epoll that has their sockets.

        `take` is called with the context of a likeness, the SOP Instance UID and the fragments of the data set, which
        are lent: whether it is written. `sync`: whether all that was taken since it was called last is durable; they
        are answered 0x0000 then."""

    def watch(self, descriptor: int, /) -> None:
        """From now on what comes there is compared; nothing of a message has come."""

    def forget(self, descriptor: int, /) -> bytes:
        """It is not read here any more. What has come of a message and nobody has been told of."""

    def learn(self, descriptor: int, likeness: Likeness, context: object, /) -> None:
        """Another likeness of what comes there; the oldest of eight goes. Raises ValueError where it cannot be one."""

    def poll(self, timeout: float, quiet: float, most: int, /) -> tuple[list[tuple[int, int, bytes]], int, bool]:
        """Wait for what comes, take and answer what is alike, until there is something for somebody else, or `most`
        objects have been answered (0: nothing is taken), or nothing has come for `timeout` seconds (`quiet` once
        something was taken), or that time is over (50 ms at least).

        What is for others: descriptor, one of
        - 0: there is something to be read, as always,
        - 1: so much has been read, and is not alike,
        - 2: the same, and the connection has ended,
        - 3: so much of an answer could not be sent;
        from 1 on its messages are not compared before it is watched again. And how many objects were taken, and whether
        anything has come at all."""

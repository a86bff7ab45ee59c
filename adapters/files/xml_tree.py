"""XML of strangers as plain nodes: no document type, no entities of its own, nothing fetched, bounded in depth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from gateway.errors import Unusable

DEEPEST = 64
_MOST_NODES = 50_000


@dataclass(slots=True)
class Node:
    """An element. `name` and the attributes' names are without their namespace."""

    name: str
    namespace: str
    attributes: dict[str, str]
    children: list[Node] = field(default_factory=list)
    text: str = ""

    def first(self, *path: str) -> Node | None:
        """The first descendant along these names."""
        node: Node | None = self
        for name in path:
            node = next((child for child in node.children if child.name == name), None) if node else None
        return node

    def every(self, *path: str) -> Iterator[Node]:
        """All descendants along these names, in document order."""
        if not path:
            yield self
            return
        for child in self.children:
            if child.name == path[0]:
                yield from child.every(*path[1:])

    def told(self, attribute: str, *path: str) -> str:
        """An attribute of the first descendant along the names, "" where there is none."""
        node = self.first(*path)
        return node.attributes.get(attribute, "").strip() if node else ""


class _Builder:
    def __init__(self) -> None:
        self.root: Node | None = None
        self._open: list[Node] = []
        self._count = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, local = name.rpartition(" ")
        node = Node(local, namespace, {key.rpartition(" ")[2]: value for key, value in attributes.items()})
        self._count += 1
        if len(self._open) >= DEEPEST or self._count > _MOST_NODES:
            raise Unusable("the XML is nested too deep or holds too many elements")
        if self._open:
            self._open[-1].children.append(node)
        else:
            self.root = node
        self._open.append(node)

    def end(self, _name: str) -> None:
        self._open.pop()

    def text(self, data: str) -> None:
        self._open[-1].text += data


def parse_xml(content: bytes) -> Node:
    """The root element. Raises Unusable: not well-formed, or it declares a document type (entities come of those)."""
    builder, parser = _Builder(), expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = builder.start, builder.end
    parser.CharacterDataHandler = builder.text
    parser.StartDoctypeDeclHandler = _no_document_type
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise Unusable("the XML is not well-formed") from error
    if builder.root is None:
        raise Unusable("the XML holds no element")
    return builder.root


def _no_document_type(*_: object) -> None:
    raise Unusable("the XML declares a document type: entities are not taken")

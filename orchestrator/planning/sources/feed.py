"""Product feeds as XML: RSS with `g:` elements, or Atom, read without building a tree.

The file comes from strangers: a document type, and with it every entity of its own, is refused before it means
anything, nothing outside the file is ever read, and depth and lengths are bounded.
"""

from __future__ import annotations

from xml.parsers import expat

from orchestrator.planning.document import unwritable
from orchestrator.planning.findings import Findings, shown
from orchestrator.planning.sheets import Cell, Sheet

GOOGLE = "http://base.google.com/ns/1.0"
ITEMS = frozenset(("item", "entry"))
LISTS = frozenset(("additional_image_link",))
"""Attributes that an item may have several times; a comma parts them, as in tables."""

MAX_DEPTH = 60
MAX_LENGTH = 100_000


def read_feed(source: str, data: bytes, findings: Findings) -> Sheet | None:
    """The items of a feed with the attributes that they have; None, with the mistake noted, if it is none."""
    reader = _Reader(source, findings)
    try:
        reader.parse(data)
    except _Refused as refused:
        findings.add(f"{source}, line {reader.line}", refused.what, refused.mend)
        return None
    except (expat.ExpatError, ValueError, LookupError) as error:
        told = expat.ErrorString(error.code) if isinstance(error, expat.ExpatError) else str(error)
        mend = "Export the feed again" + _NAMESPACE * ("prefix" in str(told))
        findings.add(f"{source}, line {reader.line}", f"is not XML ({told})", mend)
        return None
    columns = dict.fromkeys(name for _, record in reader.records for name in record)
    if not columns:
        mend = "Give a Merchant feed: RSS with <item>s or Atom with <entry>s"
        findings.add(source, "has no items with attributes", mend)
        return None
    whole = [(number, {name: record.get(name) for name in columns}) for number, record in reader.records]
    return Sheet(tuple(columns), whole, reader.lines)


_NAMESPACE = f', or add xmlns:g="{GOOGLE}" to the outermost element'


class _Refused(Exception):
    def __init__(self, what: str, mend: str) -> None:
        self.what, self.mend = what, mend
        super().__init__(what)


class _Reader:
    """What the parser tells while it goes through the file.

    An item's attributes are its own children: the price within `<g:shipping>` is not the item's. One with the
    prefix `g:` counts before one without.
    """

    def __init__(self, source: str, findings: Findings) -> None:
        self.records: list[tuple[int, dict[str, Cell]]] = []
        self.lines: dict[int, int] = {}
        self._source, self._findings = source, findings
        self._item: dict[str, str] | None = None
        self._googles: set[str] = set()
        self._stack: list[str] = []
        self._depth_of_item = 0
        self._text: list[str] = []
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters

    @property
    def line(self) -> int:
        return self._parser.CurrentLineNumber

    def parse(self, data: bytes) -> None:
        self._parser.Parse(data, True)

    def _doctype(self, name: str, *_: object) -> None:
        raise _Refused(f"declares a document type ({shown(name)})", "Leave the <!DOCTYPE …> out: feeds need none")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._stack.append(tag)
        if len(self._stack) > MAX_DEPTH:
            raise _Refused(f"is nested more than {MAX_DEPTH} deep", "Export the feed again")
        name = _local(tag)
        if self._item is None and name in ITEMS:
            self._item, self._googles, self._depth_of_item = {}, set(), len(self._stack)
            self.lines[len(self.records) + 1] = self.line
        elif self._item is not None and len(self._stack) == self._depth_of_item + 1:
            self._text = []
            if name == "link" and attributes.get("rel", "alternate") == "alternate" and "href" in attributes:
                self._item.setdefault("link", attributes["href"])

    def _characters(self, text: str) -> None:
        if self._item is not None and len(self._stack) == self._depth_of_item + 1:
            self._text.append(text)

    def _end(self, tag: str) -> None:
        depth = len(self._stack)
        self._stack.pop()
        if self._item is None:
            return
        if depth == self._depth_of_item + 1:
            self._keep(self._item, tag, "".join(self._text).strip())
            self._text = []
        elif depth == self._depth_of_item:
            number = len(self.records) + 1
            self.records.append((number, {name: value or None for name, value in self._item.items()}))
            self._item = None

    def _keep(self, item: dict[str, str], tag: str, text: str) -> None:
        name, google = _local(tag), tag.startswith(f"{GOOGLE} ")
        if len(text) > MAX_LENGTH:
            raise _Refused(f"<{name}> has {len(text)} characters", f"{MAX_LENGTH} is the most: say it shorter")
        if odd := unwritable(text):
            where = f"{self._source}, line {self.line}, {name}"
            self._findings.add(where, f"the character {odd} can't be kept", "Leave it out", group=("odd", odd))
        if name in LISTS and text:
            item[name] = ",".join(filter(None, (item.get(name), text.replace(",", "%2C"))))
        elif text and (name not in item or (google and name not in self._googles)):
            item[name] = text
            self._googles |= {name} if google else set()


def _local(tag: str) -> str:
    """The name of an element without its namespace; without one, a prefix may still stand before it."""
    return tag.rpartition(" ")[2].rpartition(":")[2].casefold()

"""Decode lists, watch events and single objects of one kind.

An object that is none of what its kind should be costs only itself (`Malformed`), never the list it came in.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec
from msgspec import Struct, field

from mlconsole.cluster.errors import ServerError
from mlconsole.cluster.objects import Fields


class Malformed(Struct, frozen=True):
    """An object that could not be read, and why."""

    kind: str
    name: str
    why: str


class ListMeta(Fields, frozen=True):
    """Metadata of a list."""

    resource_version: str = ""
    continue_: str = field(default="", name="continue")


class RawList(Fields, frozen=True):
    """A list whose items are decoded one by one."""

    metadata: ListMeta = ListMeta()
    items: tuple[msgspec.Raw, ...] | None = None


class WatchEvent(Fields, frozen=True):
    """An event of a watch; `object` is a Status for ERROR."""

    type: str
    object: msgspec.Raw = msgspec.Raw(b"{}")


class _Name(Fields, frozen=True):
    name: str = ""
    namespace: str = ""


class _NameOnly(Fields, frozen=True):
    metadata: _Name = _Name()


class _Version(Fields, frozen=True):
    resource_version: str = ""


class _VersionOnly(Fields, frozen=True):
    metadata: _Version = _Version()


Kind = TypeVar("Kind", bound=Struct)
_NAMES = msgspec.json.Decoder(_NameOnly)
_VERSIONS = msgspec.json.Decoder(_VersionOnly)
_RAW_LIST = msgspec.json.Decoder(RawList)


class _Chunk(Struct, Generic[Kind], frozen=True):
    metadata: ListMeta = ListMeta()
    items: list[Kind] | None = None


class ItemDecoder(Generic[Kind]):
    """Decodes objects of one kind, and says of the others what is wrong with them."""

    def __init__(self, kind: type[Kind]) -> None:
        self._kind = kind.__name__
        self._decoder: msgspec.json.Decoder[Kind] = msgspec.json.Decoder(kind)
        self._chunk: msgspec.json.Decoder[_Chunk[Kind]] = msgspec.json.Decoder(_Chunk[kind])  # type: ignore[valid-type]

    def decode(self, raw: bytes | msgspec.Raw) -> Kind | Malformed:
        """The object, or why it is none."""
        try:
            return self._decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return Malformed(self._kind, _name(raw), str(error))

    def chunk(self, body: bytes) -> tuple[ListMeta, list[Kind | Malformed]]:
        """A list's metadata and its items. Raises msgspec.DecodeError when `body` is no list at all.

        In one pass, which takes two thirds of the time; item by item only where one of them is malformed.
        """
        try:
            whole = self._chunk.decode(body)
            return whole.metadata, list(whole.items or ())
        except msgspec.ValidationError:
            rough = _RAW_LIST.decode(body)
            return rough.metadata, [self.decode(raw) for raw in rough.items or ()]


def raw_list(body: bytes, what: str) -> RawList:
    """A list whose items stay as they were sent. Raises ServerError for a body that is no list."""
    try:
        return _RAW_LIST.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ServerError(f"cannot read {what}", f"the answer is no list: {error}", "is this an API server?") from error


def version_of(raw: bytes | msgspec.Raw) -> str:
    """The resourceVersion of an object, whatever else is wrong with it; empty where it has none."""
    try:
        return _VERSIONS.decode(raw).metadata.resource_version
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def key_of(raw: bytes | msgspec.Raw) -> tuple[str, str]:
    """(namespace, name) of an object, whatever else is wrong with it."""
    try:
        meta = _NAMES.decode(raw).metadata
        return meta.namespace, meta.name
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "", "?"


def _name(raw: bytes | msgspec.Raw) -> str:
    return "/".join(key_of(raw)).strip("/")

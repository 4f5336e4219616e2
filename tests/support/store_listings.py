"""Listings of a bucket as S3 and Google (LIST version 2) and as Azure (List Blobs) write them."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from typing import Protocol
from xml.sax.saxutils import escape

_PAGE = 20
"""Objects of a page: few, so that listings have several."""


class Stored(Protocol):
    data: bytes
    tag: str
    modified: float


@dataclass(frozen=True)
class Page:
    objects: Sequence[tuple[str, Stored]]
    folders: Sequence[str]
    after: str | None
    """What the next page begins behind; None on the last one."""


def page_of(objects: Mapping[str, Stored], query: Mapping[str, str]) -> Page:
    """Returns what a request asks for, by the parameters of its URL."""
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    after = query.get("continuation-token", query.get("marker", ""))
    entries = [(key, found) for key, found in sorted(objects.items()) if key.startswith(prefix)]
    folders = {
        prefix + key.removeprefix(prefix).split(delimiter)[0] + delimiter
        for key, _ in entries
        if delimiter and delimiter in key.removeprefix(prefix)
    }
    plain = [(key, found) for key, found in entries if not any(key.startswith(each) for each in folders)]
    page = [(key, found) for key, found in plain if key > after][:_PAGE]
    more = bool(page) and page[-1][0] != plain[-1][0]
    return Page(page, [] if after else sorted(folders), page[-1][0] if more else None)


def s3_listing(bucket: str, page: Page) -> str:
    contents = "".join(
        f"<Contents><Key>{escape(key)}</Key><Size>{len(found.data)}</Size><ETag>{escape(found.tag)}</ETag>"
        f"<LastModified>{time.strftime('%Y-%m-%dT%H:%M:%S.000Z', time.gmtime(found.modified))}</LastModified>"
        "</Contents>"
        for key, found in page.objects
    )
    folders = "".join(f"<CommonPrefixes><Prefix>{escape(each)}</Prefix></CommonPrefixes>" for each in page.folders)
    token = f"<NextContinuationToken>{escape(page.after)}</NextContinuationToken>" if page.after else ""
    return (
        f"<ListBucketResult><Name>{bucket}</Name><IsTruncated>{str(bool(page.after)).lower()}</IsTruncated>{token}"
        f"<KeyCount>{len(page.objects)}</KeyCount>{contents}{folders}</ListBucketResult>"
    )


def azure_listing(page: Page) -> str:
    blobs = "".join(
        f"<Blob><Name>{escape(key)}</Name><Properties><Last-Modified>{formatdate(found.modified, usegmt=True)}"
        f"</Last-Modified><Content-Length>{len(found.data)}</Content-Length><Content-Type>a/b</Content-Type>"
        f"<Etag>{escape(found.tag)}</Etag></Properties></Blob>"
        for key, found in page.objects
    )
    folders = "".join(f"<BlobPrefix><Name>{escape(each)}</Name></BlobPrefix>" for each in page.folders)
    marker = f"<NextMarker>{escape(page.after)}</NextMarker>" if page.after else "<NextMarker/>"
    return f"<EnumerationResults><Blobs>{blobs}{folders}</Blobs>{marker}</EnumerationResults>"

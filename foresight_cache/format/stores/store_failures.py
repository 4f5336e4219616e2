"""What a failed request to an object store means: whether it is worth another try, and the sentence for it."""

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>([^<]+)</Code>")
_MESSAGE = re.compile(r"<Message>([^<]*)</Message>")
_DEBUG = "\n\nDebug source:"
_EXPIRED = ("ExpiredToken", "TokenRefreshRequired", "RequestExpired", "InvalidToken", "ExpiredTokenException")
_REFUSED = (400, 401, 403, 405)
_WAIT = (408, 409, 412, 425, 429)
_LATER = ("RequestTimeout", "IncompleteBody", "OperationAborted")
"""S3's codes of requests that may be sent again although their status says that they are wrong."""
_METADATA = re.compile(r"/latest/api/token|/latest/meta-data|/computeMetadata/|/metadata/identity/")
"""Where a machine in a cloud asks for its own credentials; elsewhere nobody answers."""

Kind = Literal["later", "no bucket", "expired", "refused", "no credentials", "other region", "unsupported", "wrong"]
_REMEDY: dict[Kind, str] = {
    "later": "check its address and the network, and run the same command again: what is finished is kept",
    "no bucket": "create the bucket, or check the URL",
    "expired": "renew the credentials and run the same command again: what is finished is kept",
    "refused": "check that the credentials are valid and allow it, and run the same command again",
    "no credentials": "set those of the store in the environment, as docs/object_stores.md says",
    "other region": "set AWS_REGION to the region of the bucket",
    "unsupported": "use a store that supports it",
    "wrong": "check the URL and the settings of the store",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a request failed, as far as the answer says."""

    kind: Kind
    status: int | None
    """Of the answer; None where there was none."""
    reason: str
    """What the store or the network said, without a full stop."""

    @property
    def remedy(self) -> str:
        return _REMEDY[self.kind]


def failure_of(error: Exception) -> Failure:
    """Returns what an error of obstore means.

    >>> text = "Error performing PUT … - Server returned non-2xx status code: 503 …: <Code>SlowDown</Code>"
    >>> failure_of(Exception(text)).kind, failure_of(Exception(text)).reason
    ('later', '503 SlowDown')
    """
    text, _, debug = str(error).partition(_DEBUG)
    status = int(match[1]) if (match := _STATUS.search(text)) else None
    code = match[1] if (match := _CODE.search(text)) else ""
    kind: Kind = "wrong" if "InvalidCertificate" in debug else _kind(text, status, code)
    reason = _answered(text, status, code) if status else _of_network(text, debug)
    return Failure(kind, status, "no credentials were found" if kind == "no credentials" else reason.rstrip("."))


def _kind(text: str, status: int | None, code: str) -> Kind:
    if _METADATA.search(text):
        return "no credentials"
    if code in _EXPIRED:
        return "expired"
    if code == "NoSuchBucket" or "The specified container does not exist" in text:
        return "no bucket"
    if code == "NotImplemented" or status == 501:
        return "unsupported"
    if status in (301, 307) or "without LOCATION" in text or "AuthorizationHeaderMalformed" in code:
        return "other region"
    if code in _LATER or status in _WAIT or (status is not None and status >= 500):
        return "later"
    if status in _REFUSED:
        return "refused"
    return "later" if status is None and "builder error" not in text and "HTTP error" in text else "wrong"


def _answered(text: str, status: int, code: str) -> str:
    """Returns what a store has answered."""
    message = match[1] if (match := _MESSAGE.search(text)) else ""
    name = code or (HTTPStatus(status).phrase if status in list(HTTPStatus) else "")
    return " ".join(filter(None, [str(status), f"{name}:" if message else name, message]))


def _of_network(text: str, debug: str) -> str:
    """Returns why there was no answer."""
    if "TimedOut" in debug:
        return "no answer came in time"
    causes = re.findall(r'"([^"]+)"', debug.partition("HttpError {")[2])
    return ": ".join(causes) if causes else text.rpartition(" - ")[2]

"""What goes wrong with an object store, told in a sentence without any part of a key."""

import errno
import os
import re
from urllib.parse import urlsplit

from curate.errors import (
    CurateError,
    InvalidInput,
    MissingDependency,
    ServiceRefused,
    ServiceUnavailable,
    StorageFailed,
    WorkspaceUnusable,
)

_NO_BUCKET = re.compile(r"NoSuchBucket|bucket does not exist")
_NO_KEY = re.compile(
    r"(No|Partial)Credentials|CredentialsNotLoaded|credentials? .{0,20}not |no credentials|169\.254\.169\.254"
)
_REFUSED = re.compile(
    r"AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|InvalidToken|PermissionError|\b40[13]\b"
)
_BAD_NAME = re.compile(r"InvalidBucketName|Invalid bucket name|Invalid endpoint|ParamValidation")
_PLAIN_HTTP = "URL scheme is not allowed"
_GONE = re.compile(
    r"EndpointConnection|ConnectTimeout|ReadTimeout|ConnectionClosed|ConnectionError|HTTPClient|FSTimeout|TimeoutError"
    r"|error sending request|operation timed out|retry_timeout|SlowDown|ServiceUnavailable|InternalError|\b50[0-4]\b"
)


def endpoint() -> str:
    """The host that objects are asked of, or nothing where it is the provider's own."""
    return urlsplit(os.environ.get("AWS_ENDPOINT_URL") or "").netloc.rpartition("@")[2]


def to_error(url: str, error: BaseException) -> CurateError:
    """A failure of an object store in one sentence, of which no part of a key is told."""
    text = f"{type(error).__name__} {code_of(error)} {error}"
    place = f"{url} at {endpoint()}" if endpoint() else url
    bucket = urlsplit(url).netloc
    if _NO_BUCKET.search(text):
        return WorkspaceUnusable(
            f"there is no bucket {bucket}{f' at {endpoint()}' if endpoint() else ''}",
            hint="create it, name another one with -w, or set AWS_ENDPOINT_URL for a server of your own",
        )
    if _NO_KEY.search(text):
        return MissingDependency(
            f"no key to {place} was found",
            hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_ENDPOINT_URL for a server of your own)",
        )
    if _PLAIN_HTTP in text:
        return InvalidInput(
            f"{place} is asked without encryption", hint="set AWS_ALLOW_HTTP=true if that is meant, or use https://"
        )
    if _BAD_NAME.search(text):
        return InvalidInput(f"{place} is not a place that can be asked", hint="check -w and AWS_ENDPOINT_URL")
    if _REFUSED.search(text):
        return ServiceRefused(
            f"{place} refuses this key",
            hint="check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and that the key may list, read, write and delete",
        )
    if _GONE.search(text) or getattr(error, "errno", None) == errno.EBUSY:
        return ServiceUnavailable(
            f"{place} does not answer", hint="check the network and AWS_ENDPOINT_URL, then run again: nothing is lost"
        )
    said = code_of(error) or getattr(error, "strerror", None) or type(error).__name__
    return StorageFailed(f"cannot use {place}: {said}", hint="look at the store's own log, then run again")


def code_of(error: BaseException) -> str:
    """What the store itself calls the failure, such as NoSuchKey; empty where it said nothing."""
    for one in (error, error.__cause__):
        response = getattr(one, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
    return ""


def has_no_bucket(error: BaseException) -> bool:
    """Whether what is not there is the whole bucket."""
    return _NO_BUCKET.search(f"{code_of(error)} {error}") is not None
